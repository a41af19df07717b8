"""Measures of generated columns: how new they are, what they keep of the rows, how alike two fits are."""

import numpy as np

from numerai_lab.core.arrays import Float64, Int64

PENALTY = 1e-3
"""Ridge penalty of the regression on raw features, as a share of the rows: enough to make it solvable."""


def explained(X: Float64, Z: Float64, X_later: Float64, Z_later: Float64) -> Float64:
    """R² of each column of Z on X, fitted on the first rows and measured on the later ones; 0 at least, NaN for constants.

    1: the column is a linear function of the raw features; 0: all of it is new to a linear model (or noise).
    """
    mean, spread = X.mean(0), X.std(0)
    scale = np.where(spread > 0, spread, np.inf)
    x, x_later = (X - mean) / scale, (X_later - mean) / scale
    target = Z.mean(0)
    weights = np.linalg.solve(x.T @ x + PENALTY * len(x) * np.eye(x.shape[1]), x.T @ (Z - target))
    left = ((Z_later - target - x_later @ weights) ** 2).sum(0)
    whole = ((Z_later - Z_later.mean(0)) ** 2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Float64 = np.where(whole > 1e-12 * len(Z_later), np.maximum(0, 1 - left / whole), np.nan)
    return share


def neighbours_kept(X: Float64, Z: Float64, k: int) -> float:
    """Share of a row's k nearest rows by X that are among its k nearest by Z; both with columns of the same spread.

    k / (rows − 1) by chance.
    """
    near_by_X, near_by_Z = _nearest(_scaled(X), k), _nearest(_scaled(Z), k)
    shared = [len(np.intersect1d(*rows)) / k for rows in zip(near_by_X, near_by_Z, strict=True)]
    return float(np.mean(shared))


def alike(Z: Float64, other: Float64) -> float:
    """Mean canonical correlation of two sets of columns: 1 for linear functions of each other, near 0 for noise.

    NaN where all columns of a set are constant.
    """
    basis, other_basis = _basis(Z), _basis(other)
    if not basis.shape[1] or not other_basis.shape[1]:
        return float("nan")
    return float(np.linalg.svd(basis.T @ other_basis, compute_uv=False).clip(0, 1).mean())


def plane(Z: Float64) -> Float64:
    """The first two principal scores of columns scaled to the same spread: rows × 2, with fixed signs."""
    scaled = _scaled(Z)
    _, _, directions = np.linalg.svd(scaled, full_matrices=False)
    two = directions[:2]
    two = two * np.sign(two[np.arange(len(two)), np.abs(two).argmax(1)])[:, None]
    placed = scaled @ two.T
    return placed if placed.shape[1] == 2 else np.column_stack([placed, np.zeros(len(Z))])


def _scaled(Z: Float64) -> Float64:
    spread = Z.std(0)
    scaled: Float64 = (Z - Z.mean(0)) / np.where(spread > 0, spread, np.inf)
    return scaled


def _nearest(Z: Float64, k: int) -> Int64:
    from sklearn.neighbors import NearestNeighbors

    positions: Int64 = NearestNeighbors(n_neighbors=k).fit(Z).kneighbors(return_distance=False)
    return positions


def _basis(Z: Float64) -> Float64:
    """An orthonormal basis of the centred columns."""
    left, values, _ = np.linalg.svd(Z - Z.mean(0), full_matrices=False)
    return left[:, values > 1e-6 * max(values.max(initial=0), 1e-12)]
