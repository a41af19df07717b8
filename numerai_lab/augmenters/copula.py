"""Rows drawn from a Gaussian copula and cut into the bins of the training eras."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.bins import Marginals, known_blocks
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

MOST = 0.98
"""Largest correlation of normal variables behind bins."""
FLOOR = 1e-3
"""Smallest eigenvalue of a correlation matrix that rows are drawn from."""


class Copula(Proportioned):
    """Rows drawn from a Gaussian copula with the correlations of an era's features and target.

    Correlations of bins are converted to those of the normal variables behind them. Features are
    cut at the proportions of all training rows; the target's counts are exact. A feature that is
    constant in the era stays constant. It is the cheap baseline of every method that invents rows.

    Source: Sklar 1959; Nelsen 2006, An Introduction to Copulas; binned margins after Olsson 1979
    (polyserial correlation).
    """

    control: ClassVar[Control] = Control(
        why="no published theory says where rows drawn from a fitted copula add to the rows it was fitted on"
    )
    words: ClassVar[str] = "rows drawn from a Gaussian copula"
    kind: Literal["copula"] = "copula"
    invents_rows: ClassVar[bool] = True

    scope: Literal["era", "pooled"] = Field("era", description="correlations of the era itself, or of all training rows")

    @property
    def whole_era(self) -> bool:
        return True

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self._learn_proportions(panel, rng)
        pooled = _Sums.empty(panel.n_raw + 1)
        if self.scope == "pooled":
            for done, block in enumerate(known_blocks(panel), start=1):
                pooled = pooled.plus(joint(block))
                context.progress(done, len(panel.eras))
        self.root_ = self._root(pooled) if self.scope == "pooled" else np.zeros((0, 0), np.float32)
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        root = self._root(_Sums.empty(block.features.shape[1] + 1).plus(joint(block))) if self.scope == "era" else self.root_
        normal = rng.standard_normal((len(block), len(root)), dtype=np.float32) @ root.T
        features = self._marginals.cut(normal[:, :-1], block.features.dtype)
        constant = (block.features == block.features[:1]).all(0)
        features[:, constant] = block.features[0, constant]
        return replace(block, features=features, target=self._target(normal[:, -1], rng), columns={})

    def _root(self, sums: "_Sums") -> Float32:
        """The root of the correlation matrix of the normal variables behind features and target."""
        series = series_of(self._marginals, self.target_values_, self.target_shares_)
        return root_of(behind_bins(sums.correlation, series)).astype(np.float32)


@dataclass(frozen=True)
class _Sums:
    """Number of rows, sums and cross products of features and target."""

    n: int
    total: Float64
    products: Float64

    @classmethod
    def empty(cls, p: int) -> "_Sums":
        return cls(0, np.zeros(p), np.zeros((p, p)))

    def plus(self, x: Float32) -> "_Sums":
        # Values lie within ±½, so that float32 products of an era are exact to about 1e-6.
        return _Sums(self.n + len(x), self.total + x.sum(0, dtype=np.float64), self.products + x.T @ x)

    @property
    def correlation(self) -> Float64:
        """The correlation matrix: 0 for what does not vary, 1 on the whole diagonal."""
        mean = self.total / max(self.n, 1)
        covariance = self.products / max(self.n, 1) - np.outer(mean, mean)
        return as_correlation(covariance)


def joint(block: Block) -> Float32:
    """Features and, in the last column, target of rows whose target is known, centred on 0: float32."""
    assert block.target is not None
    return np.column_stack([block.unit(), block.target]) - np.float32(0.5)


def as_correlation(covariance: Float64) -> Float64:
    """The correlation matrix of a covariance: 0 for what does not vary, 1 on the whole diagonal."""
    variance = np.diag(covariance)
    inverse = np.where(variance > 1e-7, 1 / np.sqrt(np.maximum(variance, 1e-7)), 0)
    correlation: Float64 = covariance * np.outer(inverse, inverse)
    np.fill_diagonal(correlation, 1)
    return correlation


def series_of(features: Marginals, target: Float64, shares: Float64) -> Float64:
    """`Marginals.series` of every feature and, last, the target."""
    return np.vstack([features.series, Marginals(target[None], shares[None]).series])


def behind_bins(correlation: Float64, series: Float64) -> Float64:
    """Correlations of the normal variables behind bins. correlation: of the bins; series: their Hermite coefficients."""
    loading = series[:, 0]
    inverse = np.divide(1, loading, out=np.zeros_like(loading), where=loading > 0)
    powers = [np.zeros_like(correlation), *(np.outer(term, term) for term in series.T)]
    out: Float64 = np.clip(correlation * np.outer(inverse, inverse), -MOST, MOST)
    for _ in range(3):  # Newton's method; the first order above is exact for small correlations
        value, slope = powers[-1], np.zeros_like(out)
        for power in powers[-2::-1]:
            slope = slope * out + value
            value = value * out + power
        out = np.clip(out - (value - correlation) / np.maximum(slope, 0.1), -MOST, MOST)
    np.fill_diagonal(out, 1)
    return out


def positive(correlation: Float64, floor: float = FLOOR) -> Float64:
    """A correlation matrix with eigenvalues raised to a floor, scaled back to a unit diagonal."""
    values, vectors = np.linalg.eigh(correlation)
    if values[0] >= floor:
        return correlation
    return as_correlation((vectors * np.maximum(values, floor)) @ vectors.T)


def root_of(correlation: Float64) -> Array:
    """The Cholesky factor of a correlation matrix, which is first made positive definite where it is not."""
    try:
        root: Array = np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        root = np.linalg.cholesky(positive(correlation))
    return root
