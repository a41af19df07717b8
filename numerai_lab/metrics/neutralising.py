"""Linear fits of predictions on an era's features, and what they leave: pure functions of arrays.

A deployed model carries these functions, so they need numpy and scipy alone.
"""

from collections.abc import Callable, Iterator

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int8
from numerai_lab.core.integer_products import exact, float_gram
from numerai_lab.metrics.normal_equations import solver

LEAST_PIVOT = 1e-4
"""Pivots of the rows' own Gram matrix above this, as a share of a row's length: no row is a combination of others."""
NOTHING_LEFT = 1e-6
"""A residual below this share of what was neutralised is rounding, not a prediction."""
CHUNK = 50_000
"""Values of a float64 copy of the features at a time: they fit into a core's own cache."""

Rest = Callable[[Float64, Float64 | None], Float64]
"""Centred columns (rows × m), and `products_with` them (q × m) where these are known → what their least-squares fit leaves."""
Gram = Callable[[Int8], Float64]
"""X′X of small integers, of which only the lower triangle counts."""


def factorised(features: Array, gram: Gram = float_gram) -> tuple[Array, Float64, Float64, Array, Rest]:
    """The features (rows × q) without constant ones, their means and norms, their positions, and what fits on them leave."""
    if features.shape[1] >= len(features) - 1 and _explain_all(features, gram):
        mean = features.mean(0, dtype=np.float64)
        variance = np.square(features - mean).sum(0)
        alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
        return np.ascontiguousarray(features[:, alive]), mean[alive], np.sqrt(variance[alive]), alive, _nothing
    mean, scatter = _scatter(features, gram)
    variance = np.diag(scatter)
    alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
    if len(alive) < len(mean):
        features, mean, scatter = features[:, alive], mean[alive], np.asfortranarray(scatter[np.ix_(alive, alive)])
    norms = np.sqrt(np.diag(scatter))
    features = np.ascontiguousarray(features)
    solve, corrected = solver(scatter, norms)

    def rest_of(centred: Float64, products: Float64 | None) -> Float64:
        known = products_with(features, mean, norms, centred) if products is None else products
        rest = _residual(features, mean, norms, centred, solve(known))
        return rest if corrected else _residual(features, mean, norms, rest, solve(products_with(features, mean, norms, rest)))

    return features, mean, norms, alive, rest_of


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


def products_with(features: Array, mean: Float64, norms: Float64, columns: Float64) -> Float64:
    """Products of the features, centred and of length 1, with columns (rows × m): q × m."""
    total = np.zeros((columns.shape[1], len(mean)))
    for rows, chunk in _chunks(features):
        total += columns[rows].T @ chunk
    # The total is that of the features as stored (m × q); these are centred and scaled.
    products: Float64 = ((total - np.outer(columns.sum(0), mean)) / norms).T
    return products


def _residual(features: Array, mean: Float64, norms: Float64, columns: Float64, coefficients: Float64) -> Float64:
    """Columns less a combination of the features."""
    weights = coefficients / norms[:, None]
    rest: Float64 = columns + mean @ weights
    for rows, chunk in _chunks(features):
        rest[rows] -= chunk @ weights
    return rest


def _chunks(features: Array) -> Iterator[tuple[slice, Float64]]:
    height = max(16, CHUNK // max(1, features.shape[1]))
    space = np.empty((height, features.shape[1]))
    for start in range(0, len(features), height):
        rows = slice(start, min(start + height, len(features)))
        chunk = space[: rows.stop - start]
        chunk[:] = features[rows]
        yield rows, chunk


def _explain_all(features: Array, gram: Gram) -> bool:
    """Whether features (rows × q) and a constant explain every column: no centred row is a combination of the others."""
    from scipy.linalg import lapack

    if len(features) < 2:
        return False
    if exact(features, features.shape[1]):
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


def _scatter(features: Array, gram: Gram) -> tuple[Float64, Float64]:
    """Column means and centred scatter matrix, in Fortran order; only the lower triangle counts."""
    from scipy.linalg import blas

    n, q = features.shape
    if not n * q:
        return np.zeros(q), np.zeros((q, q))
    if exact(features, n):
        mean = features.sum(0, dtype=np.int32) / n
        return mean, np.asarray(blas.dsyr(-n, mean, lower=1, a=gram(features), overwrite_a=1), np.float64)
    x = features.astype(np.float64)
    mean = x.mean(0)
    x -= mean
    return mean, np.asarray(blas.dsyrk(1.0, x.T, lower=1), np.float64)
