"""Log-ratios of pairs of features."""

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32, Float64, Int32
from numerai_lab.core.control import Control
from numerai_lab.core.covariance import moments, torch_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator

SPREAD = 4
"""A feature is in at most this many times the pairs that it would have in an even spread."""

SLICE = 10_000
"""Pairs converted to Python objects at a time; thousands of features make millions of pairs."""


class LogRatioPairs(Generator):
    """log((x_i + c) / (x_j + c)) of pairs of features on 0..1.

    Pairs are chosen without labels, by the covariance over the eras of the fit: the largest
    variance of x_i − x_j, or the smallest |correlation|. The best come first. A feature that is in
    many pairs already is skipped, so that a few odd features do not make up all pairs.

    Source: [liz, Numerai forum]; the choice of pairs there is unpublished.
    """

    control: ClassVar[Control] = Control(why="no published theory says where ratios of features add to trees")
    words: ClassVar[str] = "log ratios of {n_pairs} pairs of features"
    kind: Literal["log_ratio_pairs"] = "log_ratio_pairs"
    n_pairs: int = Field(32, gt=0, le=10_000, description="pairs, a column each")
    pairs: Literal["most_variable", "least_correlated"] = Field(
        "most_variable", description="largest variance of x_i − x_j, or smallest |correlation|"
    )
    offset: float = Field(0.25, gt=0, le=10, description="c, on features of 0..1; .25 is one bin")

    def refusal(self, panel: Panel) -> str:
        most = panel.n_raw * (panel.n_raw - 1) // 2
        message = f"log_ratio_pairs: n_pairs is {self.n_pairs}, but {panel.n_raw} features make only {most} pairs"
        return message if self.n_pairs > most else ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Chooses the pairs. Raises NlabError where the features make fewer than `n_pairs`."""
        p = panel.n_raw
        if message := self.refusal(panel):
            raise NlabError(message)
        score = self._score(moments(panel, "pooled").covariance)
        first, second = np.triu_indices(p, 1)
        order = np.argsort(-score[first, second], kind="stable")
        slices = (order[start : start + SLICE] for start in range(0, len(order), SLICE))
        pairs = (pair for rows in slices for pair in zip(first[rows].tolist(), second[rows].tolist(), strict=True))
        self.pairs_ = _spread_out(pairs, self.n_pairs, -(-SPREAD * self.n_pairs // p))
        return self

    def transform(self, block: Block) -> Float32:
        return log_ratios(block.features, block.top, self.pairs_, self.offset)

    def names_out(self) -> list[str]:
        return [f"ratio{i + 1}" for i in range(self.n_pairs)]

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return super().fitting_bytes(n_rows, n_columns) + torch_bytes(n_rows, n_columns)

    def _score(self, covariance: Float64) -> Float64:
        """The score of every pair, features × features: higher is better, −inf with a constant feature."""
        variance = np.diag(covariance)
        alive = variance > 0
        if self.pairs == "most_variable":
            score = variance[:, None] + variance - 2 * covariance
        else:
            deviation = np.sqrt(np.where(alive, variance, 1))
            score = -np.abs(covariance / np.outer(deviation, deviation))
        return np.where(np.outer(alive, alive), np.round(score, 12), -np.inf)  # rounding must not rank equal scores


def log_ratios(features: Array, top: float, pairs: Int32, offset: float) -> Float32:
    """log((x_i + offset) / (x_j + offset)) of pairs (n × 2) of features on 0..1: float32, rows × n."""
    logs = np.log(features.astype(np.float64) / top + offset)
    ratios: Float32 = (logs[:, pairs[:, 0]] - logs[:, pairs[:, 1]]).astype(np.float32)
    return ratios


def _spread_out(pairs: Iterable[tuple[int, int]], n: int, at_most: int) -> NDArray[np.int32]:
    """The first n pairs that use no feature more than `at_most` times, then the first skipped ones: n × 2."""
    uses: Counter[int] = Counter()
    chosen: list[tuple[int, int]] = []
    skipped: list[tuple[int, int]] = []
    for i, j in pairs:
        if len(chosen) == n:
            break
        if uses[i] < at_most and uses[j] < at_most:
            uses.update((i, j))
            chosen.append((i, j))
        elif len(skipped) < n:
            skipped.append((i, j))
    return np.array((chosen + skipped)[:n], np.int32)
