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
from numerai_lab.neural.starting_encoder import StartingEncoder


@dataclass(frozen=True)
class FitScope:
    """Eras that a fit may learn from.

    kind: `train` learns from features of training eras, `all` from those of validation eras too.
    `cross_fit` learns from features and targets; the columns of a block of training eras come from
    a fit without the block and its neighbours. `early` learns from features and targets of the
    first `share` of the training eras, from which no model then learns. `per_era` learns from
    features of training eras, then from those of each era.

    blocks: of `cross_fit`. share: of `early`.
    """

    kind: Literal["train", "all", "cross_fit", "early", "per_era"]
    blocks: int = 0
    share: float = 1.0

    @property
    def labelled(self) -> bool:
        """Whether the fit sees targets."""
        return self.kind in ("cross_fit", "early")


class Generator(Component):
    """Learns from features, and from targets if `uses_labels`, and emits float32 columns.

    stochastic: another seed gives other columns. learns: `fit` reads the values of features.
    per_era: all rows of an era get the same columns. wide_by_data: the number of columns is known
    after `fit` only. several_targets: `fit` gets auxiliary targets beside the target, if it uses
    labels. reads_feature_sets: `fit` gets the panel's feature sets; other generators get none.
    """

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The name in configs; every subclass declares it as a field."""

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
    def in_words(self) -> str:
        return super().in_words if self.select is None else f"{super().in_words} of selected features"

    @property
    def whole_era(self) -> bool:
        """Whether a row's columns depend on the other rows of the block; then they are repeatable for whole eras only."""
        return False

    @property
    def untrained(self) -> dict[str, Any] | None:
        """Parameters of an untrained network of about this size and as many columns; None if nothing is trained."""
        return None

    @property
    def no_encoder(self) -> str:
        """The end of a sentence that says why no network can begin with this generator's encoder; empty where one can."""
        return "it has no encoder that is trained without labels"

    @property
    def encoder_widths(self) -> list[int]:
        """Widths of the encoder's layers, about, for estimates; empty without an encoder."""
        return []

    def starting_encoder(self) -> StartingEncoder:
        """The fitted encoder for a network that begins with it. Only generators without `no_encoder` have it."""
        raise NotImplementedError(f"{self.kind}: {self.no_encoder}")

    @property
    def fit_scope(self) -> FitScope:
        """The eras and targets that `fit` gets."""
        return FitScope(self.fit_on)

    def settled(self, n_rows: int) -> "Generator":
        """The generator with all parameters chosen that depend on the number of rows to learn from.

        A run calls it once, so that all its fits agree.
        """
        return self

    def sized(self, widths: Mapping[str, int]) -> Self:
        """The generator, with its number of columns set where that depends on generators above it.

        widths: number of columns of each of them.
        """
        return self

    def refusal(self, panel: Panel) -> str:
        """A sentence that says why `fit` refuses this panel; empty where it does not. A run calls it before any fit.

        panel: as `fit` gets it, with the names, number and dtype of its features; their values may
        differ.
        """
        return ""

    @abstractmethod
    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from every era of the panel, whose target is hidden unless the generator uses labels.

        Raises NlabError for a panel with a `refusal`.
        """

    @abstractmethod
    def transform(self, block: Block) -> Float32:
        """The columns of a block with the features that `fit` saw: float32, rows × len(names_out()), no NaN."""

    def columns_for(self, block: Block) -> Float32:
        """The columns of a block with all raw features: `transform` of the selected ones."""
        selected = self.state().get("selected_")
        return self.transform(block if selected is None else replace(block, features=block.features[:, selected]))

    @abstractmethod
    def names_out(self) -> list[str]:
        """Names of the emitted columns, without the generator's own name."""

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float | None:
        """Estimated seconds that `fit` and columns take on a core; None where they are few.

        n_fitted: rows to learn from; n_rows: rows that get columns; n_columns: raw features; flops:
        floating-point operations of the core per second.
        """
        return None

    def saved_bytes(self, n_columns: int) -> int:
        """Estimated bytes on disk of the learned arrays of a fit, where they are many."""
        return 0

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of memory that `fit` takes beyond one era's block, loaded libraries included."""
        return 8 * 8 * n_columns**2  # matrices of features × features, at the end of eigh
