"""Weights of rows by how easily they are learned: the sample reweighting of DoubleEnsemble."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.weigher import Weigher
from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.core.xgboost_matrix import bins_of, quantile_matrix

EDGE = 0.1
"""The share of a learning curve that counts as its start, and as its end."""


class DoubleEnsemble(Weigher):
    """Weights of rows: more for rows that are learned with effort, less for easy rows and for noise.

    Boosted trees are trained again and again, each time with the weights that the last ones gave.
    h = a1 · rank(−loss of their mean) + a2 · rank(end / start of the row's learning curve), where a
    learning curve is the rank of the row's loss after each tree, and start and end are its means
    over the first and last tenth. Rows are cut into bins of equal width of h, and a row weighs
    1 / (decay^k · h̄ + .1), with h̄ the mean of its bin and k the number of the model. The weights
    for the run's own model are those after the last. The other half of the method, a selection of
    features by shuffling each, is left out: weights are of rows.

    Source: Zhang et al. 2020, DoubleEnsemble (arXiv:2010.01265), with the settings of Qlib's config
    for Alpha158: decay .5, ten bins, both terms alike, three of its six models.
    """

    control: ClassVar[Control] = Control(why="no world has rows of pure noise beside rows that can be learned")
    words: ClassVar[str] = "weights of rows by how they are learned"
    kind: Literal["double_ensemble"] = "double_ensemble"
    stochastic: ClassVar[bool] = True
    library_bytes: ClassVar[int] = 150_000_000
    requires: ClassVar[tuple[str, ...]] = ("xgboost",)

    n_models: int = Field(3, gt=0, le=100, description="times that trees are trained and weights follow")
    n_estimators: int = Field(100, ge=2, le=10_000, description="trees of each")
    learning_rate: float = Field(0.1, gt=0, le=1, description="weight of each tree")
    max_depth: int = Field(5, gt=0, le=30, description="levels of a tree")
    colsample_bytree: float = Field(0.1, gt=0, le=1, description="share of the columns each tree may use")
    bins: int = Field(10, ge=2, le=1000, description="bins of h")
    easy: float = Field(1.0, ge=0, description="a1: how much a small loss lowers a row's weight")
    noisy: float = Field(1.0, ge=0, description="a2: how much a loss that falls less than others' lowers it")
    decay: float = Field(0.5, gt=0, le=1, description="how much nearer to equal weights are with each further model")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns `row_weights_` (float32) of all rows with a target, era after era from `starts_` on, and `eras_`."""
        stream = TrainingStream(panel, ("raw",), panel.raw_names, 0)
        self.eras_ = np.array([origin.era for origin in stream.origins], np.int64)
        self.starts_ = np.concatenate([[0], np.cumsum(stream.n_rows)]).astype(np.int64)
        matrix = quantile_matrix(stream, bins_of(stream))
        target = matrix.get_label().astype(np.float64)
        predicted = np.zeros(len(target))
        for k in range(1, self.n_models + 1):
            trees = self._trained(matrix, bins_of(stream), int(rng.integers(2**31 - 1)))
            predicted += self._predicted(trees, matrix, self.n_estimators)
            start, end = self._curve(trees, matrix, target)
            h = self.easy * _ranks(-((target - predicted / k) ** 2)) + self.noisy * _ranks(end / start)
            self.row_weights_ = _binned_weights(h, self.bins, self.decay**k)
            matrix.set_weight(self.row_weights_)
            context.progress(k, self.n_models)
        return self

    def weigh(self, era: int, n_rows: int) -> Float32:
        i = int(np.searchsorted(self.eras_, era))
        weights: Float32 = self.row_weights_[self.starts_[i] : self.starts_[i + 1]]
        return weights

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        # Cells row-wise and column-wise; gradients; losses, ranks and their sums as floats of eight bytes.
        return n_rows * (2 * n_columns + 140)

    def _trained(self, matrix: Any, max_bin: int, seed: int) -> Any:
        """Trees on the rows with their weights."""
        import xgboost

        names = ("learning_rate", "max_depth", "colsample_bytree")
        own = {name: getattr(self, name) for name in names} | {"max_bin": max_bin, "seed": seed}
        return xgboost.train({"objective": "reg:squarederror", "tree_method": "hist", **own}, matrix, self.n_estimators)

    def _predicted(self, trees: Any, matrix: Any, n_trees: int) -> Float64:
        """What the first trees predict for the training rows."""
        return np.asarray(trees.predict(matrix, iteration_range=(0, n_trees)), np.float64)

    def _curve(self, trees: Any, matrix: Any, target: Float64) -> tuple[Float64, Float64]:
        """Start and end of each row's learning curve: float64, rows."""
        n_edge = max(1, int(EDGE * self.n_estimators))
        means = []
        for first in (1, self.n_estimators - n_edge + 1):
            curve = np.zeros(len(target))
            for n_trees in range(first, first + n_edge):
                curve += _ranks((target - self._predicted(trees, matrix, n_trees)) ** 2)
            means.append(curve / n_edge)
        return means[0], means[1]


def _ranks(values: Float64) -> Float64:
    """Ranks from 1 / n to 1, ties at their mean."""
    from scipy.stats import rankdata

    ranks: Float64 = rankdata(values) / len(values)
    return ranks


def _binned_weights(h: Float64, n_bins: int, decay: float) -> Float32:
    """1 / (decay · h̄ + .1) of each row, h̄ the mean of its bin; bins of equal width: float32."""
    width = max(float(np.ptp(h)) / n_bins, 1e-12)
    places = np.minimum((h - h.min()) / width, n_bins - 1).astype(np.int64)
    means = np.bincount(places, h, n_bins) / np.maximum(np.bincount(places, minlength=n_bins), 1)
    weights: Float32 = (1 / (decay * means + 0.1))[places].astype(np.float32)
    return weights
