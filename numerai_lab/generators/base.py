"""The contract of generators: they learn from features and emit columns."""

from abc import abstractmethod
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.basics import ALONE, Aid, Float32
from numerai_lab.component import Component
from numerai_lab.panel import Block, Panel


class Generator(Component):
    """Learns from the features of the eras it is given, without labels, and emits float32 columns.

    stochastic: another seed gives other columns. whole_era: a row's columns depend on which rows come with it, so
    `transform` is promised to be repeatable only era by era, which is how it is always called.
    """

    stochastic: ClassVar[bool] = False
    whole_era: ClassVar[bool] = False

    fit_on: Literal["train", "all"] = Field(
        "train",
        description="eras whose features are learned from; all = validation features too (label-free, but transductive: "
        "every table says so)",
    )

    @abstractmethod
    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> Self:
        """Learns from every era of the panel, whose target is hidden."""

    @abstractmethod
    def transform(self, block: Block) -> Float32:
        """Columns for the rows of a block: float32, rows × len(names_out()), no NaN."""

    @abstractmethod
    def names_out(self) -> list[str]:
        """Names of the emitted columns, without the generator's own name."""

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        """An estimate of the memory that fitting takes beyond one era's block, the libraries it loads included."""
        return 4 * 8 * n_columns**2
