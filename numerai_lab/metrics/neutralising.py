"""Linear fits of predictions on an era's features, and what they leave: pure functions of arrays.

A deployed model carries these functions, so they need numpy and scipy alone.
"""

from collections.abc import Callable

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int8
from numerai_lab.core.fixed_point import (
    chunked_times,
    chunked_transposed_times,
    float_times,
    float_transposed_times,
    sums_fit,
)
from numerai_lab.core.integer_products import column_sums, exact, float_gram, largest
from numerai_lab.metrics.normal_equations import solver

LEAST_PIVOT = 1e-4
"""Pivots of the rows' own Gram matrix above this, as a share of a row's length: no row is a combination of others."""
NOTHING_LEFT = 1e-6
"""A residual below this share of what was neutralised is rounding, not a prediction."""

Products = Callable[[Float64], Float64]
"""Columns (rows × m) → products of the features, centred and of length 1, with them (q × m)."""
Rest = Callable[[Float64, Float64 | None], Float64]
"""Centred columns (rows × m), and `Products` with them where these are known → what their least-squares fit leaves."""
Gram = Callable[[Int8], Float64]
"""X′X of small integers, of which only the lower triangle counts."""
Times = Callable[[Int8, Float64], Float64]
"""X or X′ of small integers times columns of floats, as exact sums."""


def factorised(
    features: Array, gram: Gram = float_gram, times: Times = float_times, transposed_times: Times = float_transposed_times
) -> tuple[Products, Array, Rest]:
    """Products with the features (rows × q) that are not constant, the positions of these, and what fits on them leave.

    gram, times, transposed_times: of int8 features. There is no float64 copy of the features.
    """
    most = largest(features)
    if not sums_fit(max(features.shape), most):
        times, transposed_times = chunked_times, chunked_transposed_times
    if features.shape[1] >= len(features) - 1 and _explain_all(features, gram, most):
        mean = features.mean(0, dtype=np.float64)
        variance = np.square(features - mean).sum(0)
        alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
        kept = np.require(features[:, alive], requirements=("C", "W"))
        return _products(kept, mean[alive], np.sqrt(variance[alive]), transposed_times), alive, _nothing
    mean, scatter = _scatter(features, gram, most)
    variance = np.diag(scatter)
    alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
    if len(alive) < len(mean):
        features, mean, scatter = features[:, alive], mean[alive], np.asfortranarray(scatter[np.ix_(alive, alive)])
    norms = np.sqrt(np.diag(scatter))
    features = np.require(features, requirements=("C", "W"))
    products_with = _products(features, mean, norms, transposed_times)
    solve, corrected = solver(scatter, norms)

    def residual(columns: Float64, coefficients: Float64) -> Float64:
        weights = coefficients / norms[:, None]
        rest: Float64 = columns + mean @ weights - times(features, weights)
        return rest

    def rest_of(centred: Float64, products: Float64 | None) -> Float64:
        rest = residual(centred, solve(products_with(centred) if products is None else products))
        return rest if corrected else residual(rest, solve(products_with(rest)))

    return products_with, alive, rest_of


def _products(features: Array, mean: Float64, norms: Float64, transposed_times: Times) -> Products:
    def products_with(columns: Float64) -> Float64:
        # Products are those of the features as stored; these are centred and scaled.
        products: Float64 = (transposed_times(features, columns) - np.outer(mean, columns.sum(0))) / norms[:, None]
        return products

    return products_with


def _nothing(centred: Float64, _: Float64 | None) -> Float64:
    """What is left of columns that the features explain."""
    return np.zeros_like(centred)


def without_fit(rest_of: Rest, values: Float64, proportion: float, products: Float64 | None = None) -> Float64:
    """Columns less `proportion` times their least-squares fit on features, as factorised, and a constant (minimum norm).

    With proportion 1, NaN where only rounding is left, because the features explain the column. products: `Products` with the
    columns less their means, where they are known. Source: numerai_tools.scoring.neutralize.
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
