"""Scores of one era, of all prediction columns at once: against target, features and other models."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.exposures import Exposures

MIN_COVERAGE = 0.8
"""Share of an era's rows that need another model's prediction for MMC, as numerai-tools asks."""


def rank(values: Float64) -> Float64:
    """(average rank − ½) / n, column by column: rows × m → rows × m; a column with NaN is NaN."""
    return _ranks(values, *_sorted(values))


def _ranks(values: Float64, order: Array, tied: Array) -> Float64:
    """`rank` of values as `_sorted`."""
    ranks = _places(order) + 1
    for column in np.flatnonzero(tied):
        ranks[:, column] = _average_ranks(values[:, column], order[:, column])
    return (ranks - 0.5) / max(1, len(values))


def _average_ranks(values: Float64, order: Array) -> Float64:
    """Ranks from 1, of equal values their mean; all NaN where a value is. order: the rows by rising value."""
    rising = values[order]
    if np.isnan(rising[-1]):  # NaN sorts last
        return np.full(len(values), np.nan)
    begins = np.flatnonzero(np.concatenate([[True], rising[1:] != rising[:-1]]))
    lengths = np.diff(np.append(begins, len(values)))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(begins + (lengths + 1) / 2, lengths)
    return ranks


def _sorted(values: Float64) -> tuple[Array, Array]:
    """The rows of every column by rising value (rows × m), in any order where values are equal, and which columns have such."""
    columns = np.ascontiguousarray(values.T)
    order = np.argsort(columns, axis=1)
    rising = np.take_along_axis(columns, order, 1)
    return order.T, ~np.asarray((rising[:, 1:] > rising[:, :-1]).all(1))  # a column with NaN counts as tied


def _places(order: Array) -> Float64:
    """0 … rows − 1 at the rows that an order lists (rows × m)."""
    places = np.empty(order.shape, order="F")
    np.put_along_axis(places.T, order.T, np.arange(len(order), dtype=np.float64), axis=1)
    return places


def gauss(values: Float64) -> Float64:
    """Φ⁻¹(rank): rows × m → rows × m."""
    return _normal(rank(values))


def _normal(ranks: Float64) -> Float64:
    from scipy.special import ndtri

    normal: Float64 = ndtri(ranks)
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
    return _corr(gauss(predictions), target)


def _corr(normal: Float64, target: Float64) -> Float64:
    """`numerai_corr` of gaussianised predictions."""
    if not len(target):
        return np.full(normal.shape[1], np.nan)
    return pearson(power15(normal), power15(target - target.mean()))


def rank_corr(predictions: Float64, target: Float64) -> Float64:
    """Correlation of ranks, ties broken by row order (ids rise within an era), with the target: the score of 2020–22.

    Source: numerai_tools.scoring.tie_broken_rank_correlation.
    """
    return _rank_corr(predictions, *_sorted(predictions), target)


def _rank_corr(predictions: Float64, order: Array, tied: Array, target: Float64) -> Float64:
    """`rank_corr` of predictions as `_sorted`."""
    if tied.any():
        order = order.copy(order="F")
        order[:, tied] = np.argsort(predictions[:, tied], axis=0, kind="stable")
    ranks = _places(order)
    constant = np.ptp(predictions, axis=0) == 0 if len(predictions) else np.ones(predictions.shape[1], bool)
    return np.where(constant, np.nan, pearson(ranks, target))


def contribution(predictions: Float64, other: Float64, target: Float64) -> Float64:
    """MMC of every column against another model's predictions (rows): the part orthogonal to it, times the target.

    Source: numerai_tools.scoring.correlation_contribution. NaN for constant predictions or a
    constant other model.
    """
    return _contribution(gauss(predictions), gauss(other[:, None])[:, 0], target)


def _contribution(p: Float64, m: Float64, target: Float64) -> Float64:
    """`contribution` of gaussianised predictions."""
    if len(m) < 2 or np.ptp(m) == 0:
        return np.full(p.shape[1], np.nan)
    scaled = target * 4 if target.min() >= 0 and target.max() <= 1 else target
    scaled = scaled - scaled.mean()
    # The orthogonal part of p and the target in one product each: p is never copied.
    scores = (scaled @ p - (scaled @ m) * (m @ p) / (m @ m)) / len(target)
    return np.where(np.ptp(p, axis=0) == 0, np.nan, scores)


@dataclass(frozen=True)
class EraData:
    """The data that an era is scored on. target: rows, NaN where unknown; meta_model, benchmark: rows, NaN where missing.

    reference: for every prediction column, the column it is compared with.
    """

    target: Float64
    features: Array
    meta_model: Float64 | None
    benchmark: Float64 | None
    reference: list[int]


def score_era(predictions: Float64, data: EraData) -> dict[str, Float64]:
    """Every per-era metric by name: a value per prediction column, NaN where undefined.

    predictions: rows × m, no NaN. As in numerai-tools, neutralisation and exposures use all rows of
    the era, scores those with a known target.
    """
    known = np.isfinite(data.target)
    target = data.target[known]
    predictions = np.asfortranarray(predictions)
    ranked, meta_model, benchmark = _Ranked.of(predictions), _ranked(data.meta_model), _ranked(data.benchmark)
    exposures = Exposures.of(data.features)
    neutral, correlations = exposures.neutralised_and_correlations(ranked.normal, predictions)
    fnc = numerai_corr(np.nan_to_num(neutral[known]), target)
    undefined = np.isnan(neutral).any(0) | (np.ptp(predictions, axis=0) == 0)
    among_known = ranked.among(known)
    return {
        "corr": _corr(among_known.normal, target),
        "rank_corr": _rank_corr(among_known.predictions, among_known.order, among_known.tied, target),
        "fnc": np.where(undefined, np.nan, fnc),
        **_exposure(exposures, correlations),
        "mmc": _against(ranked, meta_model, data.target),
        "bmc": _against(ranked, benchmark, data.target),
        "corr_with_meta_model": _with_other(ranked, meta_model),
        "corr_with_reference": _with_reference(ranked.normal, data.reference),
    }


@dataclass(frozen=True)
class _Ranked:
    """Predictions (rows × m), sorted and gaussianised once over all rows, so that only subsets of rows are ranked again."""

    predictions: Float64
    order: Array
    tied: Array
    normal: Float64

    @classmethod
    def of(cls, predictions: Float64) -> "_Ranked":
        order, tied = _sorted(predictions)
        return cls(predictions, order, tied, _normal(_ranks(predictions, order, tied)))

    def among(self, rows: Array) -> "_Ranked":
        return self if rows.all() else _Ranked.of(np.asfortranarray(self.predictions[rows]))


def _ranked(other: Float64 | None) -> _Ranked | None:
    """Another model's predictions; None where there are none at all."""
    return None if other is None else _Ranked.of(other[:, None])


def _exposure(exposures: Exposures, correlations: Float64) -> dict[str, Float64]:
    if not len(exposures.alive):
        missing = np.full(correlations.shape[1], np.nan)
        return dict.fromkeys(("max_feature_exposure", "max_feature", "feature_exposure"), missing)
    size = np.abs(correlations)
    return {
        "max_feature_exposure": size.max(0),
        "max_feature": exposures.alive[size.argmax(0)].astype(np.float64),
        "feature_exposure": np.sqrt((size**2).mean(0)),
    }


def _against(ranked: _Ranked, other: _Ranked | None, target: Float64) -> Float64:
    missing = np.full(ranked.normal.shape[1], np.nan)
    if other is None:
        return missing
    known = np.isfinite(target)
    rows = known & np.isfinite(other.predictions[:, 0])
    if rows.sum() < 2 or rows.sum() < MIN_COVERAGE * known.sum():
        return missing
    return _contribution(ranked.among(rows).normal, other.among(rows).normal[:, 0], target[rows])


def _with_other(ranked: _Ranked, other: _Ranked | None) -> Float64:
    rows = np.zeros(len(ranked.normal), bool) if other is None else np.isfinite(other.predictions[:, 0])
    if other is None or rows.sum() < max(2, MIN_COVERAGE * len(rows)):
        return np.full(ranked.normal.shape[1], np.nan)
    return pearson(ranked.among(rows).normal, other.among(rows).normal[:, 0])


def _with_reference(normal: Float64, reference: list[int]) -> Float64:
    """Correlation of each column with the one that it is compared with."""
    correlations, compared = np.empty(len(reference)), np.array(reference)
    for column in set(reference):
        correlations[compared == column] = pearson(normal[:, compared == column], normal[:, column])
    return correlations
