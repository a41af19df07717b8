"""Linear fits of predictions on an era's features, and what they leave: pure functions of arrays.

A deployed model carries these functions, so they need numpy and scipy alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int8
from numerai_lab.core.fixed_point import chunks, sums_fit, times, transposed_times
from numerai_lab.core.integer_products import column_sums, exact, float_gram, largest
from numerai_lab.metrics.normal_equations import solver

LEAST_PIVOT = 1e-4
"""Pivots of the rows' own Gram matrix above this, as a share of a row's length: no row is a combination of others."""
NOTHING_LEFT = 1e-6
"""A residual below this share of what was neutralised is rounding, not a prediction."""

Rest = Callable[[Float64, Float64 | None], Float64]
"""Centred columns (rows × m), and `products_with` them (q × m) where these are known → what their least-squares fit leaves."""
Gram = Callable[[Int8], Float64]
"""X′X of small integers, of which only the lower triangle counts."""


@dataclass(frozen=True)
class Centred:
    """Features (rows × q) as they are stored, which stand for features less their means, of length 1.

    exact: products with them are sums of whole numbers. There is no float64 copy of them all.
    """

    features: Array
    mean: Float64
    norms: Float64
    exact: bool

    @classmethod
    def of(cls, features: Array, mean: Float64, norms: Float64, most: int | None) -> "Centred":
        """most: the `largest` of the features."""
        return cls(np.require(features, requirements=("C", "W")), mean, norms, sums_fit(max(features.shape), most))

    def products_with(self, columns: Float64) -> Float64:
        """Products of the features with columns (rows × m): q × m."""
        if self.exact and np.isfinite(columns).all():
            total = transposed_times(self.features, columns)
        else:
            total = np.zeros((len(self.mean), columns.shape[1]))
            for rows, chunk in chunks(self.features):
                total += chunk.T @ columns[rows]
        # The total is that of the features as stored.
        products: Float64 = (total - np.outer(self.mean, columns.sum(0))) / self.norms[:, None]
        return products

    def rest(self, columns: Float64, coefficients: Float64) -> Float64:
        """Columns (rows × m) less a combination of the features (q × m)."""
        weights = coefficients / self.norms[:, None]
        rest: Float64 = columns + self.mean @ weights
        if self.exact and np.isfinite(weights).all():
            rest -= times(self.features, weights)
        else:
            for rows, chunk in chunks(self.features):
                rest[rows] -= chunk @ weights
        return rest


def factorised(features: Array, gram: Gram = float_gram) -> tuple[Centred, Array, Rest]:
    """The features (rows × q) without constant ones, their positions, and what fits on them leave."""
    most = largest(features)
    if features.shape[1] >= len(features) - 1 and _explain_all(features, gram, most):
        mean = features.mean(0, dtype=np.float64)
        variance = np.square(features - mean).sum(0)
        alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
        return Centred.of(features[:, alive], mean[alive], np.sqrt(variance[alive]), most), alive, _nothing
    mean, scatter = _scatter(features, gram, most)
    variance = np.diag(scatter)
    alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
    if len(alive) < len(mean):
        features, mean, scatter = features[:, alive], mean[alive], np.asfortranarray(scatter[np.ix_(alive, alive)])
    centred = Centred.of(features, mean, np.sqrt(np.diag(scatter)), most)
    solve, corrected = solver(scatter, centred.norms)

    def rest_of(columns: Float64, products: Float64 | None) -> Float64:
        rest = centred.rest(columns, solve(centred.products_with(columns) if products is None else products))
        return rest if corrected else centred.rest(rest, solve(centred.products_with(rest)))

    return centred, alive, rest_of


def _nothing(centred: Float64, _: Float64 | None) -> Float64:
    """What is left of columns that the features explain."""
    return np.zeros_like(centred)


def without_fit(rest_of: Rest, values: Float64, proportion: float, products: Float64 | None = None) -> Float64:
    """Columns less `proportion` times their least-squares fit on features, as factorised, and a constant (minimum norm).

    With proportion 1, NaN where only rounding is left, because the features explain the column. products: `products_with` the
    columns less their means (q × m), where they are known. Source: numerai_tools.scoring.neutralize.
    """
    level = values.mean(0)
    centred = values - level
    rest = rest_of(centred, products)
    if proportion != 1.0:
        neutral: Float64 = values - proportion * (centred - rest + level)
        return neutral
    lost = np.sqrt((rest**2).sum(0)) <= NOTHING_LEFT * np.sqrt((centred**2).sum(0))
    return np.where(lost, np.nan, rest)


def _explain_all(features: Array, gram: Gram, most: int | None) -> bool:
    """Whether features (rows × q) and a constant explain every column: no centred row is a combination of the others."""
    from scipy.linalg import lapack

    if len(features) < 2:
        return False
    if exact(most, features.shape[1]):
        lower = gram(np.ascontiguousarray(features.T))
        product = np.tril(lower) + np.tril(lower, -1).T
    else:
        rows = features.astype(np.float64)
        product = rows @ rows.T
    means = product.mean(0)
    centred = product - means - means[:, None] + means.mean()
    level = np.trace(centred) / len(centred)
    lower, failed = lapack.dpotrf(centred + level / len(centred), lower=1, clean=0)
    return not failed and level > 0 and bool(np.diag(lower).min() > LEAST_PIVOT * np.sqrt(level))


def _scatter(features: Array, gram: Gram, most: int | None) -> tuple[Float64, Float64]:
    """Column means and centred scatter matrix, in Fortran order; only the lower triangle counts."""
    from scipy.linalg import blas

    n, q = features.shape
    if not n * q:
        return np.zeros(q), np.zeros((q, q))
    if most is not None and exact(most, n):
        mean = column_sums(features, most) / n
        return mean, np.asarray(blas.dsyr(-n, mean, lower=1, a=gram(features), overwrite_a=1), np.float64)
    x = features.astype(np.float64)
    mean = x.mean(0)
    x -= mean
    return mean, np.asarray(blas.dsyrk(1.0, x.T, lower=1), np.float64)
