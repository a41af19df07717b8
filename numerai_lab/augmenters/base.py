"""The contract of augmenters: they emit training rows."""

from abc import abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field

from numerai_lab.component import Component
from numerai_lab.panel import Block


class Augmenter(Component):
    """Makes training rows out of an era's own rows, on the fly; validation rows are never touched."""

    copies: int = Field(1, gt=0, description="blocks of new rows an era")
    mode: Literal["append", "replace"] = Field("append", description="train on both, or on the new rows only")

    @property
    def replaces(self) -> bool:
        """The era's own rows are left out."""
        return self.mode == "replace"

    @abstractmethod
    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        """As many new rows as the block has: features (int8 or float32, same units), target, era; no columns."""
