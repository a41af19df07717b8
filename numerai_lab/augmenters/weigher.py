"""The base of augmenters that weigh training rows and make none."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import AMOUNTS, Augmenter
from numerai_lab.core.arrays import Float64, Int64


class Weigher(Augmenter):
    """Weighs the training rows and makes none.

    Weights are relative: the stream divides them by their mean over the real training rows. Several weighers of a variant
    multiply. A synthetic row weighs the mean of its era times the `weight` of its augmenter; rows of invented eras weigh
    that `weight` alone. With `shuffle_eras` each era gets the weights of another one: the placebo of the same weigher.
    """

    learns: ClassVar[bool] = True
    stochastic: ClassVar[bool] = False
    weighs: ClassVar[bool] = True
    unseeded: ClassVar[tuple[str, ...]] = ("device", *AMOUNTS)

    # No parameters here: a class variable takes the place of a field of the base class.
    copies: ClassVar[int] = 0  # type: ignore[misc]
    ratio: ClassVar[float] = 0.0  # type: ignore[misc]
    mode: ClassVar[Literal["append"]] = "append"  # type: ignore[misc]
    weight: ClassVar[float] = 1.0  # type: ignore[misc]
    materialize: ClassVar[bool] = False  # type: ignore[misc]

    shuffle_eras: bool = Field(False, description="placebo: give every era the weights of another one, at random by the seed")

    @property
    def in_words(self) -> str:
        return f"{super().in_words}{', shuffled over eras' if self.shuffles else ''}"

    @property
    def shuffles(self) -> bool:
        return self.shuffle_eras

    @property
    def reads_seed(self) -> bool:
        return self.stochastic or self.shuffle_eras


class EraWeigher(Weigher):
    """Weighs all rows of an era alike. `fit` learns `eras_` (int64, rising) and `weights_` (float64, one an era)."""

    def weigh(self, era: int, n_rows: int) -> float:
        return float(self.weights_[np.searchsorted(self.eras_, era)])

    def _learn(self, eras: Int64, weights: Float64) -> None:
        """Keeps the weights of the eras, divided by their mean."""
        self.eras_, self.weights_ = eras.astype(np.int64), weights / weights.mean()
