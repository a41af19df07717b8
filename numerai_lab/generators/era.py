"""The era of a row as a column."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Float32
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator


class EraCode(Generator):
    """The era's number on a scale: 0 for the first era of the fit and all before it, 1 for the last.

    Later eras get 1 too, since a model has seen nothing beyond; with `emit_era: own` they go beyond
    1.

    Source: [preparedzebra, Numerai forum], who emitted every row with the last training era.
    """

    learns: ClassVar[bool] = False
    per_era: ClassVar[bool] = True

    control: ClassVar[Control] = Control(why="the column is constant within an era, and scores are of ranks within an era")
    words: ClassVar[str] = "the era's number"
    kind: Literal["era_code"] = "era_code"
    emit_era: Literal["max", "own"] = Field("max", description="of later eras: the last one that was learned from, or their own")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.first_, self.last_ = np.array(panel.eras[0]), np.array(panel.eras[-1])
        return self

    def transform(self, block: Block) -> Float32:
        code = max(0, block.era - int(self.first_)) / max(1, int(self.last_) - int(self.first_))
        return np.full((len(block), 1), min(code, 1) if self.emit_era == "max" else code, np.float32)

    def names_out(self) -> list[str]:
        return ["era"]
