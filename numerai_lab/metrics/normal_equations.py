"""Solves the normal equations of least-squares fits: from a Gram matrix to coefficients. Needs numpy and scipy alone."""

from collections.abc import Callable

import numpy as np

from numerai_lab.core.arrays import Array, Float64

RANK_TOLERANCE = 1e-11
"""Eigenvalues of the scaled Gram matrix below this share of the largest count as zero (singular values: its root)."""
MIN_PIVOT = 1e-5
GOOD_PIVOT = 1e-2
"""With pivots above this, what the Gram matrix says of a fit's rest is as exact as the features themselves."""
SINGLE_PIVOT = 3e-2
"""With pivots above this, a factor in float32 is close enough for its solutions to be corrected."""
NO_PIVOT = 1e-13
"""A feature of length 1 is a combination of others, up to rounding, if its squared residual is below this."""
SETTLED = 1e-16
"""A correction below this share of a solution changes nothing."""
ROUNDING = 1e-9
"""Corrections below this share that get no shorter are the rounding of float64."""
CORRECTIONS = 8
"""Corrections that are tried before a factor in float64 is made."""
MOST_VECTORS = 10
"""Up to so many columns are solved for one by one: BLAS is faster with vectors than with a narrow matrix."""

Solver = Callable[[Float64], Float64]
"""Products with the features (q × m) → coefficients of the least-squares fit (q × m)."""


def solver(scatter: Float64, norms: Float64) -> tuple[Solver, bool]:
    """Cholesky of all features, or of the independent ones where the rest are their combinations; else eigenvectors.

    scatter: products of centred features (q × q, Fortran order, lower triangle), kept and overwritten; norms: their lengths.
    The solver takes and gives what belongs to features of length 1. Fits have minimum norm, or the same residual as the fit
    that has. The second is whether the solver corrects the rounding of the Gram matrix itself.
    """
    from scipy.linalg import lapack

    if not len(scatter):
        return np.zeros_like, True
    with np.errstate(over="ignore", under="ignore"):  # where float32 can't hold the products there is no factor
        factor, failed = lapack.spotrf(scatter.astype(np.float32, order="F"), lower=1, clean=0, overwrite_a=1)
    if not failed and (np.diag(factor) / norms).min() > SINGLE_PIVOT:
        return _refined_solver(scatter, norms, factor), True
    return _solver_in_float64(scatter, norms)


def _refined_solver(scatter: Float64, norms: Float64, factor: Array) -> Solver:
    """Solves by a factor in float32 and corrects until float64 agrees, by a factor in float64 where that doesn't settle.

    That takes half the time of a factor in float64 and is as exact. Source: Langou et al., 2006, Exploiting the performance
    of 32 bit floating point arithmetic in obtaining 64 bit accuracy (LAPACK's dsposv).
    """
    fallback: list[Solver] = []

    def solve(products: Float64) -> Float64:
        if not fallback:
            coefficients = _corrected(products, scatter, norms[:, None], factor)
            if coefficients is not None:
                return coefficients
            fallback.append(_solver_in_float64(scatter, norms)[0])
        return fallback[0](products)

    return solve


def _corrected(products: Float64, scatter: Float64, norms: Float64, factor: Array) -> Float64 | None:
    """Coefficients by a factor in float32 and their corrections; None where these don't settle. norms: q × 1."""
    wanted = products * norms
    coefficients = norms * _solve_in_float32(factor, wanted)
    before = 1.0
    for _ in range(CORRECTIONS):
        step = norms * _solve_in_float32(factor, wanted - _scatter_times(scatter, coefficients / norms))
        coefficients += step
        lengths = np.sqrt((coefficients**2).sum(0))
        moved = float(np.max(np.sqrt((step**2).sum(0)) / np.where(lengths > 0, lengths, 1.0), initial=0.0))
        # The next one would be shorter by as much as this one is than the last.
        if moved * moved <= SETTLED * before or before / 2 < moved < ROUNDING:
            return coefficients
        before = moved
    return None


def _solve_in_float32(factor: Array, wanted: Float64) -> Float64:
    """What a factor in float32 makes of columns, each of which is scaled so that float32 holds it."""
    from scipy.linalg import blas, lapack

    size = np.abs(wanted).max(0)
    size[size == 0] = 1.0
    solved = _by_columns(
        (wanted / size).astype(np.float32),
        lambda x: blas.strsv(factor, blas.strsv(factor, x, lower=1), lower=1, trans=1),
        lambda x: lapack.spotrs(factor, x, lower=1)[0],
    )
    unscaled: Float64 = solved * size
    return unscaled


def _scatter_times(scatter: Float64, weights: Float64) -> Float64:
    from scipy.linalg import blas

    return _by_columns(weights, lambda x: blas.dsymv(1.0, scatter, x, lower=1), lambda x: blas.dsymm(1.0, scatter, x, lower=1))


def _by_columns(columns: Array, of_vector: Callable[[Array], Array], of_matrix: Callable[[Array], Array]) -> Float64:
    if columns.shape[1] > MOST_VECTORS:
        return np.asarray(of_matrix(columns), np.float64)
    done = np.empty(columns.shape)
    for i in range(columns.shape[1]):
        done[:, i] = of_vector(columns[:, i])
    return done


def _solver_in_float64(scatter: Float64, norms: Float64) -> tuple[Solver, bool]:
    """What `solver` returns, by a factor in float64. scatter: overwritten by the correlations."""
    from scipy.linalg import blas, lapack

    scatter /= norms
    scatter /= norms[:, None]
    lower, failed = lapack.dpotrf(scatter, lower=1, clean=0)
    pivot = 0.0 if failed else np.diag(lower).min()

    def solve(products: Float64) -> Float64:
        return np.asarray(lapack.dpotrs(lower, products, lower=1)[0], np.float64)

    def corrected(products: Float64) -> Float64:
        coefficients = solve(products)
        return coefficients + solve(products - blas.dsymm(1.0, scatter, coefficients, lower=1))

    if pivot > GOOD_PIVOT:
        return corrected, True
    if pivot > MIN_PIVOT:
        return solve, False
    lower, order, rank, _ = lapack.dpstrf(scatter, tol=NO_PIVOT, lower=1)
    if np.diag(lower)[:rank].min() > MIN_PIVOT:
        return _of_independent(np.asfortranarray(lower[:rank, :rank]), order[:rank] - 1), False
    return _by_eigenvectors(scatter), False


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
