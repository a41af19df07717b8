"""Exposures of predictions to an era's scoring features, and neutralisation against them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Exposures:
    """An era's scoring features, with one Gram matrix for exposures and neutralisation of all predictions.

    features: rows × q as stored, int8 or float, without constant ones; alive: their positions among
    all features. They are centred and scaled to length 1 in chunks of float64; there is no float64
    copy of them all.
    """

    features: Array
    mean: Float64
    norms: Float64
    alive: Array
    solve: Solver

    @classmethod
    def of(cls, features: Array) -> "Exposures":
        """Factorises the correlation matrix of the features (rows × q)."""
        mean, scatter = _scatter(features)
        variance = np.diag(scatter)
        alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
        if len(alive) < len(mean):
            features, mean, scatter = features[:, alive], mean[alive], np.asfortranarray(scatter[np.ix_(alive, alive)])
        norms = np.sqrt(np.diag(scatter))
        scatter /= norms
        scatter /= norms[:, None]
        return cls(np.ascontiguousarray(features), mean, norms, alive, _solver(scatter))

    def correlations(self, predictions: Float64) -> Float64:
        """ρ(p, f): alive features × m; NaN for constant predictions."""
        p = predictions - predictions.mean(0)
        constant = np.ptp(predictions, axis=0) == 0
        norms = np.sqrt((p**2).sum(0))
        scaled = np.divide(p, norms, out=np.zeros_like(p), where=~constant)
        return np.where(constant, np.nan, self._products(scaled))

    def neutralised(self, values: Float64, proportion: float = 1.0) -> Float64:
        """Columns less `proportion` times their least-squares fit on the features and a constant (minimum norm).

        With proportion 1, NaN where only rounding is left, because the features explain the column.
        Source: numerai_tools.scoring.neutralize.
        """
        mean = values.mean(0)
        centred = values - mean
        rest, products = self._without(centred, self.solve(self._products(centred)))
        rest, _ = self._without(rest, self.solve(products))  # corrects the rounding of the Gram matrix
        if proportion != 1.0:
            neutral: Float64 = values - proportion * (centred - rest + mean)
            return neutral
        lost = np.sqrt((rest**2).sum(0)) <= NOTHING_LEFT * np.sqrt((centred**2).sum(0))
        return np.where(lost, np.nan, rest)

    def _products(self, columns: Float64) -> Float64:
        """Products of the features with columns (rows × m): q × m."""
        total = np.zeros((columns.shape[1], len(self.mean)))
        for rows, chunk in self._chunks():
            total += columns[rows].T @ chunk
        return self._scaled(total, columns.sum(0))

    def _without(self, columns: Float64, coefficients: Float64) -> tuple[Float64, Float64]:
        """Columns less a combination of the features, and the features' products with the rest, in one pass."""
        weights = coefficients / self.norms[:, None]
        rest = columns + self.mean @ weights
        total = np.zeros((columns.shape[1], len(self.mean)))
        for rows, chunk in self._chunks():
            rest[rows] -= chunk @ weights
            total += rest[rows].T @ chunk
        return rest, self._scaled(total, rest.sum(0))

    def _chunks(self) -> Iterator[tuple[slice, Float64]]:
        height = max(16, CHUNK // max(1, len(self.mean)))
        space = np.empty((height, len(self.mean)))
        for start in range(0, len(self.features), height):
            rows = slice(start, min(start + height, len(self.features)))
            chunk = space[: rows.stop - start]
            chunk[...] = self.features[rows]
            yield rows, chunk

    def _scaled(self, total: Float64, sums: Float64) -> Float64:
        """Products with the centred features of length 1 (q × m), from those with the features as stored (m × q)."""
        products: Float64 = ((total - np.outer(sums, self.mean)) / self.norms).T
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
