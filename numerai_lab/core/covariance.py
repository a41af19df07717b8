"""Covariances of a panel in one streaming pass, and the factors behind them, for generators and augmenters."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.integer_products import column_sums, exact, gram, largest, prepare, prepared_bytes
from numerai_lab.core.panel import Block, Panel

PSI_FLOOR = 1e-12


@dataclass(frozen=True)
class Moments:
    """Mean (features) and covariance (features × features, divisor n), float64, of x / top − ½."""

    mean: Float64
    covariance: Float64


def moments(panel: Panel, covariance: Literal["pooled", "era_mean"]) -> Moments:
    """The moments of a panel in one pass, era by era. Raises NlabError for fewer than two rows.

    Memory: one era's float32 block and up to five matrices of features × features; `torch_bytes`.
    """
    p = panel.n_raw
    prepare(panel.n_rows * p**2)
    n, total, summed = 0, np.zeros(p), np.zeros((p, p))
    for block in panel.blocks():
        sums, gram = _sums(block)
        n, total = n + len(block), total + sums
        if covariance == "pooled":
            summed += gram
        else:
            summed += gram / len(block) - np.outer(sums, sums) / len(block) ** 2
    if n < 2:
        raise NlabError("there must be at least two rows to learn from")
    summed = np.tril(summed) + np.tril(summed, -1).T
    mean = total / n
    matrix = summed / n - np.outer(mean, mean) if covariance == "pooled" else summed / len(panel.eras)
    # What is left of rounding after the subtraction must not pass for variance.
    dead = np.diag(matrix) <= 1e-12 * (1 + mean**2)
    matrix[dead, :] = matrix[:, dead] = 0
    return Moments(mean / panel.top - 0.5, matrix / panel.top**2)


def torch_bytes(n_rows: int, n_columns: int) -> int:
    """Memory of torch where `moments` of so many rows and features loads it."""
    return prepared_bytes(n_rows * n_columns**2)


def factor_analysis(S: Float64, k: int, tolerance: float, max_iterations: int) -> tuple[Float64, Float64, int]:
    """Maximum-likelihood loadings (p × k), noise variances (p) and steps taken for a covariance S (p × p)."""
    from scipy.linalg import eigh

    p = len(S)
    diagonal = np.diag(S).copy()
    if k == 0:
        return np.zeros((p, 0)), diagonal, 0
    psi, step, moved = diagonal.copy(), 0, np.inf
    while moved >= tolerance and step < max_iterations:
        step += 1
        root = np.sqrt(psi)
        values, vectors = eigh(S / np.outer(root, root), subset_by_index=[p - k, p - 1])
        weights = root[:, None] * vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1] - 1, 0))
        updated = np.maximum(diagonal - (weights**2).sum(1), PSI_FLOOR)
        moved = np.abs(updated - psi).max()
        psi = updated
    return signed(weights), psi, step


def signed(loadings: Float64) -> Float64:
    """The same columns, each with the sign that makes its largest loading positive."""
    largest = np.abs(loadings).argmax(0)
    signs = np.sign(loadings[largest, np.arange(loadings.shape[1])])
    return loadings * np.where(signs == 0, 1, signs)


def _sums(block: Block) -> tuple[Float64, Float64]:
    """Sums of the columns, and of their products in the lower triangle."""
    most = largest(block.features)
    if most is not None and exact(most, len(block)):
        return column_sums(block.features, most).astype(np.float64), gram(block.features)
    y = block.features.astype(np.float64)
    return y.sum(0), y.T @ y
