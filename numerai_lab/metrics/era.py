"""Scores of one era: every prediction column at once against target, features and other people's predictions."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.basics import Array, Float64

RANK_TOLERANCE = 1e-11
"""Eigenvalues of the scaled Gram matrix below this share of the largest count as zero (singular values: its root)."""
MIN_PIVOT = 1e-5
NOTHING_LEFT = 1e-6
"""A residual below this share of what was neutralised is rounding, not a prediction."""
MIN_COVERAGE = 0.8
"""Share of an era's rows that need another model's prediction for MMC, as numerai-tools asks."""


def rank(values: Float64) -> Float64:
    """(average rank − ½) / n, column by column: rows × m → rows × m."""
    from scipy.stats import rankdata

    ranks: Float64 = (rankdata(values, axis=0) - 0.5) / max(1, len(values))
    return ranks


def gauss(values: Float64) -> Float64:
    """Φ⁻¹(rank): rows × m → rows × m."""
    from scipy.special import ndtri

    normal: Float64 = ndtri(rank(values))
    return normal


def power15(values: Float64) -> Float64:
    """sign(x) |x|^1.5."""
    powered: Float64 = np.sign(values) * np.abs(values) ** 1.5
    return powered


def pearson(x: Float64, y: Float64) -> Float64:
    """Correlation of every column of x (rows × m) with y (rows); NaN where either is constant or rows are fewer than 2."""
    if len(x) < 2:
        return np.full(x.shape[1], np.nan)
    constant = (np.ptp(x, axis=0) == 0) | (np.ptp(y) == 0)
    x, y = x - x.mean(0), y - y.mean()
    norms = np.sqrt((x**2).sum(0) * (y**2).sum())
    correlations: Float64 = np.divide(x.T @ y, norms, out=np.full(x.shape[1], np.nan), where=~constant & (norms > 0))
    return correlations


def numerai_corr(predictions: Float64, target: Float64) -> Float64:
    """Numerai's CORR of every column (rows × m) with a target that has no NaN.

    Source: numerai_tools.scoring.numerai_corr.
    """
    return (
        pearson(power15(gauss(predictions)), power15(target - target.mean()))
        if len(target)
        else np.full(predictions.shape[1], np.nan)
    )


def rank_corr(predictions: Float64, target: Float64) -> Float64:
    """Correlation of ranks, ties broken by row order (ids rise within an era), with the target: the score of 2020–22.

    Source: numerai_tools.scoring.tie_broken_rank_correlation.
    """
    order = np.argsort(np.argsort(predictions, axis=0, kind="stable"), axis=0, kind="stable")
    correlations = pearson(order.astype(np.float64), target)
    constant = np.ptp(predictions, axis=0) == 0 if len(predictions) else np.ones(predictions.shape[1], bool)
    return np.where(constant, np.nan, correlations)


def contribution(predictions: Float64, other: Float64, target: Float64) -> Float64:
    """MMC of every column against another model's predictions (rows): what is orthogonal to it, times the target.

    Source: numerai_tools.scoring.correlation_contribution. NaN for constant predictions or a constant other model.
    """
    p, m = gauss(predictions), gauss(other[:, None])[:, 0]
    if len(m) < 2 or np.ptp(other) == 0:
        return np.full(p.shape[1], np.nan)
    residual = p - np.outer(m, (m @ p) / (m @ m))
    scaled = target * 4 if target.min() >= 0 and target.max() <= 1 else target
    scores = (scaled - scaled.mean()) @ residual / len(target)
    return np.where(np.ptp(predictions, axis=0) == 0, np.nan, scores)


@dataclass(frozen=True)
class Exposures:
    """An era's scoring features as what serves exposures and neutralisation: one Gram matrix for all of them.

    features: rows × q, int8 or float32. Constant features take no part.
    """

    centred: Float64
    norms: Float64
    alive: Array
    solver: "tuple[str, Float64, Float64]"

    @classmethod
    def of(cls, features: Array) -> "Exposures":
        """Centres the features and factorises their correlation matrix."""
        mean, covariance = _scatter(features)
        variance = np.diag(covariance)
        alive = np.flatnonzero(variance > 1e-12 * mean**2 * len(features))
        norms = np.sqrt(variance[alive])
        centred = features[:, alive].astype(np.float64)
        centred -= mean[alive]
        centred /= norms
        scaled = covariance[np.ix_(alive, alive)] / np.outer(norms, norms)
        return cls(centred, norms, alive, _factorised(scaled))

    def correlations(self, predictions: Float64) -> Float64:
        """ρ(p, f): alive features × m; NaN for constant predictions."""
        p = predictions - predictions.mean(0)
        norms = np.sqrt((p**2).sum(0))
        constant = np.ptp(predictions, axis=0) == 0
        scaled = np.divide(p, norms, out=np.full_like(p, np.nan), where=~constant)
        correlations: Float64 = self.centred.T @ scaled
        return correlations

    def neutralised(self, values: Float64, proportion: float = 1.0) -> Float64:
        """Columns less `proportion` times their least-squares fit on the features and a constant (minimum norm).

        With proportion 1, NaN where nothing but rounding is left: the features explain the column wholly.
        Source: numerai_tools.scoring.neutralize.
        """
        centred = values - values.mean(0)
        fit = self._fit(centred)
        fit += self._fit(centred - fit)  # one step of refinement takes back what the Gram matrix's rounding cost
        rest: Float64 = centred - fit
        lost = np.sqrt((rest**2).sum(0)) <= NOTHING_LEFT * np.sqrt((centred**2).sum(0))
        left = rest if proportion == 1.0 else values - proportion * (fit + values.mean(0))
        return np.where(lost, np.nan, left) if proportion == 1.0 else left

    def _fit(self, centred: Float64) -> Float64:
        how, factor, inverse = self.solver
        products = self.centred.T @ centred
        if how == "cholesky":
            from scipy.linalg import cho_solve

            return self.centred @ cho_solve((factor, True), products)
        return self.centred @ (factor @ (inverse[:, None] * (factor.T @ products)))


@dataclass(frozen=True)
class EraData:
    """What one era is scored on. target: rows, NaN where unknown; others: predictions by name, NaN where missing.

    reference: for every prediction column, the column it is compared with.
    """

    target: Float64
    features: Array
    meta_model: Float64 | None
    benchmark: Float64 | None
    reference: list[int]


def score_era(predictions: Float64, data: EraData) -> dict[str, Float64]:
    """Every per-era metric of every prediction column (rows × m, no NaN) → name → m values, NaN where undefined.

    As numerai-tools does, neutralisation and exposures use all rows of the era, scores those whose target is known.
    """
    known = np.isfinite(data.target)
    target = data.target[known]
    exposures = Exposures.of(data.features)
    correlations = np.abs(exposures.correlations(predictions))
    normal = gauss(predictions)
    neutral = exposures.neutralised(normal)
    fnc = numerai_corr(np.nan_to_num(neutral[known]), target)
    undefined = np.isnan(neutral).any(0) | (np.ptp(predictions, axis=0) == 0)
    with_features = correlations.shape[0] > 0
    return {
        "corr": numerai_corr(predictions[known], target),
        "rank_corr": rank_corr(predictions[known], target),
        "fnc": np.where(undefined, np.nan, fnc),
        "max_feature_exposure": correlations.max(0) if with_features else np.full(predictions.shape[1], np.nan),
        "max_feature": exposures.alive[correlations.argmax(0)].astype(float)
        if with_features
        else np.full(predictions.shape[1], np.nan),
        "feature_exposure": np.sqrt((correlations**2).mean(0)) if with_features else np.full(predictions.shape[1], np.nan),
        "mmc": _against(predictions, data.meta_model, data.target),
        "bmc": _against(predictions, data.benchmark, data.target),
        "corr_with_meta_model": _with_other(normal, predictions, data.meta_model),
        "corr_with_reference": np.array([pearson(normal[:, [i]], normal[:, j])[0] for i, j in enumerate(data.reference)]),
    }


def _against(predictions: Float64, other: Float64 | None, target: Float64) -> Float64:
    missing = np.full(predictions.shape[1], np.nan)
    if other is None:
        return missing
    known = np.isfinite(target)
    rows = known & np.isfinite(other)
    if rows.sum() < 2 or rows.sum() < MIN_COVERAGE * known.sum():
        return missing
    return contribution(predictions[rows], other[rows], target[rows])


def _with_other(normal: Float64, predictions: Float64, other: Float64 | None) -> Float64:
    rows = np.zeros(len(normal), bool) if other is None else np.isfinite(other)
    if other is None or rows.sum() < max(2, MIN_COVERAGE * len(rows)):
        return np.full(normal.shape[1], np.nan)
    return pearson(normal if rows.all() else gauss(predictions[rows]), gauss(other[rows][:, None])[:, 0])


def _scatter(features: Array) -> tuple[Float64, Float64]:
    """Column means and centred scatter matrix; int8 products are summed by float32 BLAS, which is exact below 2²⁴."""
    n = len(features)
    if features.dtype == np.int8 and n * 16 < 2**24:
        small = features.astype(np.float32)
        mean = small.mean(0, dtype=np.float64)
        return mean, (small.T @ small).astype(np.float64) - n * np.outer(mean, mean)
    x = features.astype(np.float64)
    mean = x.mean(0)
    x -= mean
    return mean, x.T @ x


def _factorised(scaled: Float64) -> "tuple[str, Float64, Float64]":
    """Cholesky where the features are independent, else eigenvectors and inverse eigenvalues (0 for the null space)."""
    if not len(scaled):
        return "eigen", np.zeros((0, 0)), np.zeros(0)
    try:
        lower = np.linalg.cholesky(scaled)
        if np.diag(lower).min() > MIN_PIVOT:
            return "cholesky", np.asarray(lower, np.float64), np.zeros(0)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(scaled)
    kept = values > RANK_TOLERANCE * values[-1]
    inverse: Float64 = np.divide(1, values, out=np.zeros_like(values), where=kept)
    return "eigen", vectors, inverse
