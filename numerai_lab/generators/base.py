"""The contract of generators: they learn from features and emit columns."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Float32
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.select import Select


@dataclass(frozen=True)
class FitScope:
    """Eras that a fit may learn from.

    train, all: features of training eras, or of validation eras too. cross_fit: features and targets; of training rows
    by fits that saw neither their block of eras nor its neighbours. early: features and targets of the first `share` of
    the training eras, which no model may then learn from. per_era: features of training eras, then each era's own.
    blocks, share: of cross_fit and early alone.
    """

    kind: Literal["train", "all", "cross_fit", "early", "per_era"]
    blocks: int = 0
    share: float = 1.0

    @property
    def labelled(self) -> bool:
        """It sees targets."""
        return self.kind in ("cross_fit", "early")


class Generator(Component):
    """Learns from the features of the eras it is given and emits float32 columns; from targets only if `uses_labels`.

    stochastic: another seed gives other columns. learns: the values of features in `fit` matter to the columns. per_era: all
    rows of an era get the same columns. wide_by_data: how many columns there are is known after `fit` alone. several_targets:
    it is shown auxiliary targets beside the target, if it uses labels. reads_feature_sets: it is shown the panel's feature sets;
    others find none there.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """What configs call it; every subclass declares it as a field."""

    stochastic: ClassVar[bool] = False
    learns: ClassVar[bool] = True
    per_era: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = False
    wide_by_data: ClassVar[bool] = False
    several_targets: ClassVar[bool] = False
    reads_feature_sets: ClassVar[bool] = False

    fit_on: Literal["train", "all"] = Field(
        "train",
        description="eras whose features are learned from; all = validation features too (label-free, but transductive: "
        "every table says so)",
    )
    select: Select | None = Field(
        None,
        description="raw features that are read: {features: [feature sets], by: variance, keep: lowest or highest, top_k: n}; "
        "none = all",
    )

    @property
    def whole_era(self) -> bool:
        """A row's columns depend on which rows come with it: `transform`, always called era by era, is repeatable only so."""
        return False

    @property
    def untrained(self) -> dict[str, Any] | None:
        """Of a network that is trained: the parameters of one of about its size, with as many columns, that is not."""
        return None

    @property
    def fit_scope(self) -> FitScope:
        """What `fit` is shown."""
        return FitScope(self.fit_on)

    def settled(self, n_rows: int) -> "Generator":
        """The generator with every choice made that depends on the number of rows to learn from.

        A run asks once, so that all its fits agree.
        """
        return self

    def sized(self, widths: Mapping[str, int]) -> Self:
        """Itself, knowing how many columns the generators emit that were fitted before it."""
        return self

    def refusal(self, panel: Panel) -> str:
        """Why it can't be fitted on this panel, in a sentence; empty where it can. A run asks before it fits anything.

        panel: as `fit` is shown it, but for the features: their names, number and dtype are right, their values may not be.
        """
        return ""

    @abstractmethod
    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from every era of the panel; its target is hidden unless the generator uses labels."""

    @abstractmethod
    def transform(self, block: Block) -> Float32:
        """Columns for the rows of a block of the features that `fit` saw: float32, rows × len(names_out()), no NaN."""

    def columns_for(self, block: Block) -> Float32:
        """`transform` of a block of all raw features: those that are not selected are left out first."""
        selected = self.state().get("selected_")
        return self.transform(block if selected is None else replace(block, features=block.features[:, selected]))

    @abstractmethod
    def names_out(self) -> list[str]:
        """Names of the emitted columns, without the generator's own name."""

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float | None:
        """An estimate of the time that fit and columns take on a core that does so many floating-point operations a second.

        n_fitted: rows to learn from; n_rows: rows that get columns. None where nobody waits long enough to ask.
        """
        return None

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        """An estimate of the memory that fitting takes beyond one era's block, the libraries it loads included."""
        return 8 * 8 * n_columns**2  # matrices of features × features, at the end of eigh
