"""The contract of augmenters: they emit training rows, or weigh them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.component import Component
from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.row_weights import Weight

AMOUNTS = ("copies", "ratio", "mode", "weight", "materialize", "shuffle_eras")
"""Parameters that no `fit` reads: the number of new rows, their weight, how they are stored, and the order of weights."""


class Augmenter(Component):
    """Makes synthetic training rows, or weighs rows, from training eras only; validation rows are never touched.

    Most augmenters make an era's new rows from its real rows: they implement `augment`. With
    `crosses_eras`, rows have a second parent from any training era: `blend`. With `invents_eras`,
    rows form new eras: `invent`. One that only weighs derives from `Weigher`. learns: it has a
    `fit`. stochastic: another seed gives other rows.
    invents_rows: no row is a changed copy of a real one, so a run reports how realistic they are.
    weighs: it makes no rows, and weighs those there are. reads_target: rows that it makes have a
    target, or its weights depend on one.
    expensive: rows are always made once and stored, as with `materialize`.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The name in configs; every subclass declares it as a field."""

    learns: ClassVar[bool] = False
    stochastic: ClassVar[bool] = True
    invents_eras: ClassVar[bool] = False
    invents_rows: ClassVar[bool] = False
    expensive: ClassVar[bool] = False
    weighs: ClassVar[bool] = False
    reads_target: ClassVar[bool] = True
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
    def in_words(self) -> str:
        times = f", {self.copies} times" if self.copies > 1 else ""
        return f"{super().in_words}{times}{' in place of real rows' if self.replaces else ''}"

    @property
    def shuffles(self) -> bool:
        """Whether it deals its weights to other eras, as a placebo."""
        return False

    @property
    def reads_seed(self) -> bool:
        """Whether another seed gives other rows or weights, by what it draws or by which parents are drawn for it."""
        return self.stochastic or self.ratio < 1

    @property
    def replaces(self) -> bool:
        """Whether models learn from the new rows only."""
        return self.mode == "replace"

    @property
    def keeps_rows(self) -> bool:
        """Whether rows are made once and read from files."""
        return self.expensive or self.materialize

    @property
    def between_bins(self) -> bool:
        """Whether features lie between bins: float32 even where real rows hold small integers."""
        return False

    @property
    def recipe(self) -> dict[str, Any]:
        """The parameters that new rows depend on: all but `materialize`."""
        return self.model_dump(exclude={"materialize"})

    @property
    def crosses_eras(self) -> bool:
        """Whether rows have a second parent, which may come from another training era."""
        return False

    @property
    def whole_era(self) -> bool:
        """Whether rows depend on all rows of the era; then `ratio` selects from the new rows, not from the parents."""
        return False

    @property
    def tournament_targets(self) -> bool:
        """Whether new rows have the tournament's target values, whatever the values of the training target."""
        return False

    @property
    def growth(self) -> float:
        """The number of new rows as a multiple of the real rows."""
        return self.copies * self.ratio

    def n_of(self, n: int) -> int:
        """The number of rows (of eras, if it invents eras) that a copy makes of n: at least one."""
        return max(1, round(exact_share(self.ratio, n)))

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of memory that `fit` takes beyond one era's block, where it is much."""
        return 0

    def saved_bytes(self, n_columns: int) -> int:
        """Estimated bytes on disk of the learned arrays of a fit, where they are many."""
        return 0

    def refusal(self, panel: Panel) -> str:
        """A sentence that says why `fit` refuses these training eras; empty where it does not.

        A run calls it before any fit.
        """
        return ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from the training eras with their target, NaN where unknown.

        Raises NlabError for eras with a `refusal`.
        """
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        """As many new rows as the block has: features (int8 or float32, same units), target, era; no columns."""
        raise NotImplementedError

    def blend(self, block: Block, partners: Block, rng: np.random.Generator) -> Block:
        """New rows from the rows of a block and their partners, row by row; partners come from any training era."""
        raise NotImplementedError

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        """The rows of a new era. number: counts new eras over all copies, from 0."""
        raise NotImplementedError

    @property
    def rows_a_pass(self) -> int:
        """Rows of new eras that `invent_together` makes at once; new eras with more are made one by one."""
        return 1

    def invent_together(self, numbers: Sequence[int], n_rows: Sequence[int], rngs: Sequence[np.random.Generator]) -> list[Block]:
        """The rows of several new eras, each as `invent` makes it, but for the last bits of sums."""
        return [self.invent(*era) for era in zip(numbers, n_rows, rngs, strict=True)]

    def weigh(self, era: int, n_rows: int) -> Weight:
        """The weights of a training era's rows with a target: float32 in the order of the rows, or a number for all of them."""
        raise NotImplementedError
