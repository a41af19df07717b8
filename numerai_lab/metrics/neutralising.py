"""Linear fits of predictions on an era's features, and what they leave: pure functions of arrays.

A deployed model carries these functions: nothing here reads another module.
"""

from collections.abc import Callable, Iterator

import numpy as np

from numerai_lab.core.arrays import Array, Float64

RANK_TOLERANCE = 1e-11
"""Eigenvalues of the scaled Gram matrix below this share of the largest count as zero (singular values: its root)."""
MIN_PIVOT = 1e-5
NO_PIVOT = 1e-13
"""A feature of length 1 is a combination of others, up to rounding, if its squared residual is below this."""
NOTHING_LEFT = 1e-6
"""A residual below this share of what was neutralised is rounding, not a prediction."""
CHUNK = 100_000
"""Values of a float64 copy of the features at a time: they fit into a core's own cache."""

Solver = Callable[[Float64], Float64]
"""Products with the features (q × m) → coefficients of the least-squares fit (q × m)."""


def factorised(features: Array) -> tuple[Array, Float64, Float64, Array, Solver]:
    """The features (rows × q) without constant ones, their means and norms, their positions, and the solver of fits on them."""
    mean, scatter = _scatter(features)
    variance = np.diag(scatter)
    alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
    if len(alive) < len(mean):
        features, mean, scatter = features[:, alive], mean[alive], np.asfortranarray(scatter[np.ix_(alive, alive)])
    norms = np.sqrt(np.diag(scatter))
    scatter /= norms
    scatter /= norms[:, None]
    return np.ascontiguousarray(features), mean, norms, alive, _solver(scatter)


def without_fit(features: Array, mean: Float64, norms: Float64, solve: Solver, values: Float64, proportion: float) -> Float64:
    """Columns less `proportion` times their least-squares fit on factorised features and a constant (minimum norm).

    With proportion 1, NaN where only rounding is left, because the features explain the column.
    Source: numerai_tools.scoring.neutralize.
    """
    level = values.mean(0)
    centred = values - level
    rest, products = _residual(features, mean, norms, centred, solve(products_with(features, mean, norms, centred)))
    rest, _ = _residual(features, mean, norms, rest, solve(products))  # corrects the rounding of the Gram matrix
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
    return _scaled(mean, norms, total, columns.sum(0))


def _residual(features: Array, mean: Float64, norms: Float64, columns: Float64, coefficients: Float64) -> tuple[Float64, Float64]:
    """Columns less a combination of the features, and the features' products with the rest, in one pass."""
    weights = coefficients / norms[:, None]
    rest = columns + mean @ weights
    total = np.zeros((columns.shape[1], len(mean)))
    for rows, chunk in _chunks(features):
        rest[rows] -= chunk @ weights
        total += rest[rows].T @ chunk
    return rest, _scaled(mean, norms, total, rest.sum(0))


def _chunks(features: Array) -> Iterator[tuple[slice, Float64]]:
    height = max(16, CHUNK // max(1, features.shape[1]))
    space = np.empty((height, features.shape[1]))
    for start in range(0, len(features), height):
        rows = slice(start, min(start + height, len(features)))
        chunk = space[: rows.stop - start]
        chunk[:] = features[rows]
        yield rows, chunk


def _scaled(mean: Float64, norms: Float64, total: Float64, sums: Float64) -> Float64:
    """Products with the centred features of length 1 (q × m), from those with the features as stored (m × q)."""
    products: Float64 = ((total - np.outer(sums, mean)) / norms).T
    return products


def _scatter(features: Array) -> tuple[Float64, Float64]:
    """Column means and centred scatter matrix, in Fortran order with the lower triangle filled alone.

    Products of int8 are summed by float32 BLAS, which is exact below 2²⁴.
    """
    from scipy.linalg import blas

    n, q = features.shape
    if not n * q:
        return np.zeros(q), np.zeros((q, q))
    if features.dtype == np.int8 and n * max(int(features.max()), -int(features.min())) ** 2 < 2**24:
        small = features.astype(np.float32)
        mean = (np.ones(n, np.float32) @ small).astype(np.float64) / n
        scatter = blas.ssyrk(1.0, small.T, lower=1).astype(np.float64)
        return mean, np.asarray(blas.dsyr(-n, mean, lower=1, a=scatter, overwrite_a=1), np.float64)
    x = features.astype(np.float64)
    mean = x.mean(0)
    x -= mean
    return mean, np.asarray(blas.dsyrk(1.0, x.T, lower=1), np.float64)


def _solver(scaled: Float64) -> Solver:
    """Cholesky of all features, or of the independent ones where the rest are their combinations; else eigenvectors.

    scaled: correlations, lower triangle. Fits have minimum norm, or the same residual as the fit
    that has.
    """
    from scipy.linalg import lapack

    if not len(scaled):
        return np.zeros_like
    lower, failed = lapack.dpotrf(scaled, lower=1, clean=0)
    if not failed and np.diag(lower).min() > MIN_PIVOT:
        return lambda products: np.asarray(lapack.dpotrs(lower, products, lower=1)[0], np.float64)
    lower, order, rank, _ = lapack.dpstrf(scaled, tol=NO_PIVOT, lower=1)
    if np.diag(lower)[:rank].min() > MIN_PIVOT:
        return _of_independent(np.asfortranarray(lower[:rank, :rank]), order[:rank] - 1)
    return _by_eigenvectors(scaled)


def _of_independent(lower: Float64, independent: Array) -> Solver:
    """The solver that gives the independent features coefficients by their Cholesky factor, and the rest 0."""
    from scipy.linalg import lapack

    def solve(products: Float64) -> Float64:
        coefficients = np.zeros_like(products)
        coefficients[independent] = lapack.dpotrs(lower, products[independent], lower=1)[0]
        return coefficients

    return solve


def _by_eigenvectors(scaled: Float64) -> Solver:
    from scipy.linalg import eigh

    values, vectors = eigh(scaled, lower=True, check_finite=False, driver="evd")
    nonzero = values > RANK_TOLERANCE * values[-1]
    inverse = np.divide(1, values, out=np.zeros_like(values), where=nonzero)
    return lambda products: np.asarray(vectors @ (inverse[:, None] * (vectors.T @ products)), np.float64)
