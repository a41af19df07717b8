"""The contract of augmenters: they emit training rows."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.component import Component
from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

AMOUNTS = ("copies", "ratio", "mode", "weight", "materialize")
"""Parameters that no `fit` reads: they say how many rows are made of what was learned, and what becomes of them."""


class Augmenter(Component):
    """Makes training rows on the fly, from training eras only; validation rows are never touched.

    Most make an era's rows out of its own: they implement `augment`. One whose rows have a second parent anywhere in the
    training eras says `crosses_eras` and implements `blend`; one that makes eras of its own says `invents_eras` and
    implements `invent`. learns: it has a `fit`. stochastic: another seed gives other rows. invents_rows: no row is a changed
    copy of a real one, so that a run reports how real they are. expensive: its rows are made once and kept,
    whatever `materialize` says.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """What configs call it; every subclass declares it as a field."""

    learns: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    invents_eras: ClassVar[bool] = False
    invents_rows: ClassVar[bool] = False
    expensive: ClassVar[bool] = False
    unseeded: ClassVar[tuple[str, ...]] = ("device", *AMOUNTS)

    copies: int = Field(1, gt=0, le=10_000, description="blocks of new rows an era")
    ratio: float = Field(
        1.0,
        gt=0,
        le=1,
        description="size of a block as a share of the era's rows; parents are drawn without replacement",
    )
    mode: Literal["append", "replace"] = Field("append", description="train on both, or on the new rows only")
    weight: float = Field(1.0, gt=0, description="weight of a new row in training; a real row weighs 1")
    materialize: bool = Field(
        False,
        description="write the rows into the cache once and read them from there, the same bytes; for the disk (a byte a cell, "
        "four between bins) it saves making them anew on all passes but one (XGBoost takes 3 or 4, LightGBM 3, ridge 1) and for "
        "every other model and variant of the same seed and training eras",
    )

    @property
    def replaces(self) -> bool:
        """The era's own rows are left out."""
        return self.mode == "replace"

    @property
    def keeps_rows(self) -> bool:
        """Rows are made once and read from files."""
        return self.expensive or self.materialize

    @property
    def between_bins(self) -> bool:
        """Features lie between bins: float32 even where real rows hold small integers."""
        return False

    @property
    def recipe(self) -> dict[str, Any]:
        """The parameters that rows, and what is learned from them, hang on: all but where the rows are kept."""
        return self.model_dump(exclude={"materialize"})

    @property
    def crosses_eras(self) -> bool:
        """Rows have a second parent that may come from another training era."""
        return False

    @property
    def whole_era(self) -> bool:
        """Rows depend on all rows of the era, so that a `ratio` is taken of what was made, not of the parents."""
        return False

    @property
    def growth(self) -> float:
        """New rows as a multiple of the real ones."""
        return self.copies * self.ratio

    def n_of(self, n: int) -> int:
        """How many of n rows (of n eras, for one that invents eras) a copy makes: at least one."""
        return max(1, round(exact_share(self.ratio, n)))

    def refusal(self, panel: Panel) -> str:
        """Why it can't be fitted on these training eras, in a sentence; empty where it can. A run asks before any fit."""
        return ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from the training eras with their target, NaN where unknown."""
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        """As many new rows as the block has: features (int8 or float32, same units), target, era; no columns."""
        raise NotImplementedError

    def blend(self, block: Block, partners: Block, rng: np.random.Generator) -> Block:
        """New rows from those of the block and as many partners, row by row, from any training era."""
        raise NotImplementedError

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        """The rows of a new era; number: which one, counted over all copies from 0."""
        raise NotImplementedError
