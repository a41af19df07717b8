"""Probes of a representation: how well simple predictors do that read its columns alone."""

from dataclasses import dataclass, field

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64

PENALTIES = np.logspace(-3, 2, 11)
"""Ridge penalties to choose from, as multiples of the rows, on columns of standard deviation 1."""


@dataclass
class Moments:
    """Sums of products of columns and target, both centred within each era.

    gram: columns × columns; with_target: columns; n_rows: rows added.
    """

    gram: Float64 = field(default_factory=lambda: np.zeros((0, 0)))
    with_target: Float64 = field(default_factory=lambda: np.zeros(0))
    n_rows: int = 0

    def add(self, columns: Float32, target: Float64) -> None:
        """Adds the rows of an era: columns (rows × k), target (rows, no NaN)."""
        if not self.n_rows:
            self.gram, self.with_target = np.zeros((columns.shape[1],) * 2), np.zeros(columns.shape[1])
        centred = columns.astype(np.float64)
        centred -= centred.mean(0)
        self.gram += centred.T @ centred
        self.with_target += centred.T @ (target - target.mean())
        self.n_rows += len(target)

    def __add__(self, other: "Moments") -> "Moments":
        if not self.n_rows or not other.n_rows:
            return self if self.n_rows else other
        return Moments(self.gram + other.gram, self.with_target + other.with_target, self.n_rows + other.n_rows)


def linear_probe(first: Moments, last: Moments) -> Float64:
    """Weights of a ridge regression of the target on columns, within eras: float64, columns.

    The penalty is the one that, fitted on the first training eras, has the least squared error on the last ones; the weights
    are fitted on all. A column that is constant within eras gets weight 0. Source: Alain & Bengio 2016 (arXiv:1610.01644).
    """
    whole = first + last
    spread = np.sqrt(np.diag(whole.gram) / max(1, whole.n_rows))
    scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9 * max(1.0, float(spread.max(initial=0))))
    candidates = _ridge(first, scale)
    gram, with_target = last.gram * scale * scale[:, None], last.with_target * scale
    errors = np.einsum("ij,ik,kj->j", candidates, gram, candidates, optimize=True) - 2 * with_target @ candidates
    chosen: Float64 = _ridge(whole, scale)[:, int(np.argmin(errors))] * scale
    return chosen


@dataclass(frozen=True)
class NeighbourProbe:
    """Predicts the mean target of the nearest training rows.

    columns: float32, rows × k; target: float64, rows, centred within its era. n_neighbours: at most a tenth of the rows.
    """

    columns: Float32
    target: Float64
    n_neighbours: int

    def predict(self, columns: Float32) -> Float64:
        """Predictions for rows × k, by Euclidean distance on columns of the same spread among training rows."""
        from sklearn.neighbors import NearestNeighbors

        mean, spread = self.columns.mean(0), self.columns.std(0)
        scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
        nearest = NearestNeighbors(n_neighbors=max(1, min(self.n_neighbours, len(self.target) // 10)), algorithm="brute")
        nearest.fit((self.columns - mean) * scale)
        places: Array = nearest.kneighbors((columns - mean) * scale, return_distance=False)
        predictions: Float64 = self.target[places].mean(1)
        return predictions


def mean_and_error(scores: Float64, eras: Array, overlap: int) -> tuple[float, float]:
    """The mean of per-era scores, and its standard error; NaN without two scores. NaN scores are left out.

    overlap: eras within which targets overlap. Products of deviations of eras nearer than twice that count by Bartlett's
    weights; the error is at least that of independent eras. Source: Newey & West 1987.
    """
    known = np.isfinite(scores)
    scores, eras = scores[known], eras[known].astype(np.float64)
    n = len(scores)
    if n < 2:
        return (float(scores.mean()) if n else float("nan")), float("nan")
    away = scores - scores.mean()
    weights = np.maximum(0, 1 - np.abs(eras[:, None] - eras) / (2 * max(overlap, 1)))
    np.fill_diagonal(weights, 1)
    variance = max(float(away @ weights @ away), float(away @ away)) / (n * (n - 1))
    return float(scores.mean()), float(np.sqrt(variance))


def _ridge(moments: Moments, scale: Float64) -> Float64:
    """Weights of scaled columns for each of PENALTIES: columns × penalties."""
    values, vectors = np.linalg.eigh(moments.gram * scale * scale[:, None])
    projected = vectors.T @ (moments.with_target * scale)
    shrunk = projected[:, None] / (np.maximum(values, 0)[:, None] + PENALTIES * moments.n_rows)
    weights: Float64 = vectors @ shrunk
    return weights
