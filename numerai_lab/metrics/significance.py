"""Significance of differences, paired by era and resampled in blocks: overlapping targets make eras dependent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from numerai_lab.core.arrays import Float64, Int64
from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.metrics.retraining import SeedNoise

RESAMPLES = 2000
MIN_BLOCK = 4
MIN_BLOCKS = 4
"""With fewer blocks of eras than this, effects can't be separated from luck."""
LEVEL = 0.95
ROUNDING = 1e-12
"""Scores that differ by less are equal: what is left is rounding."""
NARROWEST = 0.1
"""Share of a whole path's variance that is added to the luck band at each era, so that the first do not set its width."""
SMALLEST_ERROR = 0.1
"""The least error of a resample, as a share of that over all eras: one without an era of difference would show none."""
AT_ONCE = 32
"""Differences that are resampled together, so that they stay in the processor's cache."""


def block_length(horizon_days: int | None, days_per_era: int = DAYS_PER_ERA) -> int:
    """Mean block in eras: the overlap of the targets, at least four."""
    return max(MIN_BLOCK, (horizon_days or 0) // days_per_era)


@dataclass(frozen=True)
class Resamples:
    """The eras of every resample as blocks of consecutive eras, the same for all that is compared.

    starts, lengths: of each distinct block; counts: resamples × blocks, how often a resample holds
    a block (sparse).
    """

    n_eras: int
    block: int
    starts: Int64
    lengths: Int64
    counts: Any

    def blocks(self, values: Float64) -> Float64:
        """Sums over the eras of each block: eras × k → blocks × k."""
        path = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.concatenate([values, values]), axis=0)])
        sums: Float64 = path[self.starts + self.lengths] - path[self.starts]
        return sums

    def total(self, of_blocks: Float64) -> Float64:
        """Sums over the blocks of each resample: blocks × k → resamples × k."""
        totals: Float64 = self.counts @ of_blocks
        return totals


@lru_cache(maxsize=8)
def draw(n_eras: int, block: int, seed: int = 0, resamples: int = RESAMPLES) -> Resamples:
    """Resamples of the stationary bootstrap: blocks of geometric length with mean `block`, on a circle of eras.

    Source: Politis & Romano 1994; the same resamples as those of the PyPI package `arch`.
    """
    from scipy.sparse import csr_array

    eras = _paths(n_eras, block, seed, resamples)
    begins = np.ones_like(eras, dtype=bool)
    begins[:, 1:] = eras[:, 1:] != (eras[:, :-1] + 1) % n_eras
    resample, _ = np.nonzero(begins)
    lengths = np.diff(np.append(np.flatnonzero(begins), begins.size))
    distinct, which = np.unique(eras[begins] * (n_eras + 1) + lengths, return_inverse=True)
    counts = csr_array((np.ones(len(which)), (resample, which)), shape=(resamples, len(distinct)))
    return Resamples(n_eras, block, distinct // (n_eras + 1), distinct % (n_eras + 1), counts)


@lru_cache(maxsize=2)
def _paths(n_eras: int, block: int, seed: int, resamples: int) -> Int64:
    """The eras of each resample, in order: resamples × eras. Importing `arch` for this would take a second."""
    rng = np.random.default_rng(seed)
    drawn, chance = np.empty((resamples, n_eras), np.int64), np.empty((resamples, n_eras))
    for era, u in zip(drawn, chance, strict=True):
        era[:], u[:] = rng.integers(n_eras, size=n_eras), rng.random(n_eras)
    begins = chance <= 1 / block
    begins[:, 0] = True
    place = np.arange(n_eras)
    begun = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    return np.asarray((np.take_along_axis(drawn, begun, 1) + place - begun) % n_eras)


class Statistic(NamedTuple):
    """A statistic of k pairs. value: k; influence: eras × k, the part that each era adds, NaN where it has no score.

    moved: resamples × k, the statistic of the resample less `value`; None where that is the mean
    influence.
    """

    value: Float64
    influence: Float64
    moved: Float64 | None = None


@dataclass(frozen=True)
class Differences:
    """k differences: value, standard error, 95 % interval, two-sided p; the last four NaN where eras are too few.

    Each is tested alone. t: |value| / error. draws: resamples × k, |t| where the truth is 0.
    error_spread: k, the standard deviation of the error as a share of it. reach: k, the largest
    |difference| of one era, for means only.
    """

    value: Float64
    error: Float64
    low: Float64
    high: Float64
    p: Float64
    t: Float64
    draws: Float64
    error_spread: Float64
    reach: Float64 | None = None


def mean_differences(
    differences: Float64, block: int, seed: int = 0, resamples: int = RESAMPLES, noise: SeedNoise | None = None
) -> Differences:
    """`studentised` for means of per-era differences: eras (in order) × k, NaN where either member has no score."""
    differences = np.where(np.abs(differences) < ROUNDING, 0.0, differences)
    known = np.isfinite(differences)
    value = np.where(known, differences, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    tested = studentised(Statistic(value, differences - value), draw(len(differences), block, seed, resamples), noise)
    return replace(tested, reach=np.where(known, np.abs(differences), 0).max(0, initial=0))


def sharpe_differences(owns: Sequence[Float64], reference: Float64, drawn: Resamples) -> Statistic:
    """Differences of Sharpe ratios from the reference's. Scores are seeds × eras.

    A member's ratio is the mean over its seeds, over the eras that all members have.
    """
    members = [*owns, reference]
    sizes = np.array([len(member) for member in members])

    def against_reference(values: Float64) -> Float64:
        means: Float64 = np.add.reduceat(values, np.cumsum(sizes) - sizes, axis=-1) / sizes
        change: Float64 = means[..., :-1] - means[..., -1:]
        return change

    every = np.concatenate(members)
    known = np.asarray(np.isfinite(every).all(0))
    series = np.where(known, every, 0).T
    with np.errstate(invalid="ignore", divide="ignore"):
        n = drawn.total(drawn.blocks(known.astype(float)[:, None]))
        first, second = (drawn.total(drawn.blocks(series**power)) / n for power in (1, 2))
        mean, square = series.sum(0) / known.sum(), (series**2).sum(0) / known.sum()
        spread = np.sqrt(square - mean**2)
        sharpe = np.where(spread > 1e-9 * np.abs(mean), mean / spread, np.nan)
        away = (series - mean) / spread
        influence = against_reference(away - sharpe * (away**2 - 1) / 2)
        moved = against_reference(first / np.sqrt(np.maximum(second - first**2, 0)) - sharpe)
    return Statistic(against_reference(sharpe), np.where(known[:, None], influence, np.nan), moved)


def studentised(statistic: Statistic, drawn: Resamples, noise: SeedNoise | None = None) -> Differences:
    """Interval and p-value of each difference by a studentised stationary block bootstrap over eras.

    The statistic's move in a resample is divided by the standard error of the resample itself (from
    sums over its independent blocks). |t| is compared with the distribution of these,
    symmetrically, so p < .05 just where the interval leaves out 0. Blocks cut the dependence at
    their ends, so the error is widened by the variance that they miss where targets overlap by a
    block (`_share_within_blocks`). A percentile interval does not do that: at 200 eras it calls 11 of 100 equal
    variants different, this one 5. noise: of retraining; its variance is added to that of eras, and
    its draws to the moves. Source: Politis & Romano 1994; Götze & Künsch 1996.
    """
    value, known = statistic.value, np.isfinite(statistic.influence)
    of_eras, error_spread, moves = _moves(statistic, drawn)
    flat = of_eras <= 1e-12 * np.abs(value)  # the same difference in every era: eras add no error
    of_eras, moves[:, flat] = np.where(flat, 0.0, of_eras), 0.0
    error = of_eras if noise is None else np.hypot(of_eras, noise.error)
    if noise is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            moves = np.where(error > 0, (moves * of_eras + noise.draws) / error, 0.0)
            error_spread = np.nan_to_num(np.hypot(of_eras**2 * error_spread, noise.error**2 * noise.error_spread) / error**2)
    draws = np.abs(moves, out=moves)
    sure = error <= 1e-12 * np.abs(value)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(sure, np.where(value == 0, 0.0, np.inf), np.abs(value) / error)
    half = np.where(sure, 0.0, np.partition(draws, critical_rank(len(draws)), axis=0)[critical_rank(len(draws))] * error)
    p = np.where(t == 0, 1.0, (1 + (draws >= t).sum(0)) / (1 + len(draws)))
    same = sure & (value == 0) & (np.where(known, statistic.influence, 0) == 0).all(0)  # in any number of eras
    few = (known.sum(0) < MIN_BLOCKS * drawn.block) & ~same | ~np.isfinite(value)
    error, low, high, p, t = (np.where(few, np.nan, x) for x in (error, value - half, value + half, p, t))
    return Differences(value, error, low, high, p, t, draws, error_spread)


def critical_rank(n_draws: int) -> int:
    """The rank of the sorted draw under the null that bounds the interval: p < .05 just where |t| is beyond it."""
    return min(int(np.ceil(LEVEL * (n_draws + 1))), n_draws) - 1


def luck(differences: Float64, block: int, seed: int = 0, resamples: int = RESAMPLES) -> Float64:
    """The half-width of the band in which luck alone keeps a cumulative difference: eras (in order) × k, as given.

    The whole path of the sum stays within the band in 95 of 100 histories without any effect. Paths
    follow resampled eras, with differences less their mean, in the standard error of the resample,
    widened by the variance that blocks miss (`seen_share`). The band is as wide as paths spread at
    each era, and never narrower than about a third of its end. An era without a score adds 0. NaN
    where eras are too few. Source: Politis & Romano 1994.
    """
    known = np.isfinite(differences)
    if len(known) < MIN_BLOCKS * block:
        return np.full(known.shape, np.nan)
    plain = np.where(known, differences, 0)
    centred = np.where(known, plain - plain.sum(0) / np.maximum(1, known.sum(0)), 0)
    _, own = _moves_of(Statistic(np.zeros(centred.shape[1]), centred), draw(len(centred), block, seed, resamples))
    eras = _paths(len(centred), block, seed, resamples)
    bands = []
    for column, errors in zip(centred.T, own.T, strict=True):
        paths = np.cumsum(column[eras], axis=1)
        width = np.sqrt(paths.var(0) + NARROWEST * paths[:, -1].var())
        with np.errstate(invalid="ignore", divide="ignore"):
            furthest = np.nan_to_num((np.abs(paths) / width).max(1) * np.sqrt((errors**2).mean()) / errors)
        bands.append(np.sort(furthest)[critical_rank(resamples)] * width)
    band: Float64 = np.column_stack(bands) / np.sqrt(seen_share(len(centred), block))
    return band


def seen_share(n_eras: int, block: int) -> float:
    """The share of the long-run variance that bootstrap means show, where targets overlap by a block."""
    return _share_within_blocks(block) * _share_after_centring(n_eras, block)


class _Moves(NamedTuple):
    """Errors and moves of k differences. error: k; error_spread: k, its standard deviation as a share of it.

    t: resamples × k, the moves in resamples in their own standard errors.
    """

    error: Float64
    error_spread: Float64
    t: Float64


def _moves(statistic: Statistic, drawn: Resamples) -> _Moves:
    parts = []
    for start in range(0, len(statistic.value), AT_ONCE):
        columns = slice(start, start + AT_ONCE)
        moved = None if statistic.moved is None else statistic.moved[:, columns]
        parts.append(_moves_of(Statistic(statistic.value[columns], statistic.influence[:, columns], moved), drawn)[0])
    return _Moves(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)))


def _moves_of(statistic: Statistic, drawn: Resamples) -> tuple[_Moves, Float64]:
    """The moves, and the standard errors of the resamples: resamples × k."""
    known = np.isfinite(statistic.influence)
    alike = (known == known[:, :1]).all()  # then one column of counts will do
    n = drawn.blocks((known[:, :1] if alike else known).astype(float))
    sums = drawn.blocks(np.where(known, statistic.influence, 0))
    variance_left = _share_after_centring(drawn.n_eras, drawn.block)
    with np.errstate(invalid="ignore", divide="ignore"):
        n_drawn = drawn.total(n)
        mean = np.where(n_drawn > 0, drawn.total(sums) / n_drawn, 0)
        squares = drawn.total(sums**2) - 2 * mean * drawn.total(sums * n) + mean**2 * drawn.total(n**2)
        own = np.sqrt(np.maximum(squares, 0) / variance_left) / n_drawn
        spread = mean.std(0)
        own = np.maximum(np.nan_to_num(own), SMALLEST_ERROR * spread)
        moved = (mean if statistic.moved is None else statistic.moved) / own
    # A resample without a score, or of one block, is uninformative: it counts as beyond nearly any difference.
    blocks = drawn.total(np.ones((len(drawn.starts), 1)))
    moved = np.where(np.isfinite(moved) & (blocks > 1), moved, 1 / SMALLEST_ERROR)
    error_spread = np.nan_to_num(own.std(0) / np.maximum(own.mean(0), np.finfo(float).tiny))
    return _Moves(spread / np.sqrt(_share_within_blocks(drawn.block) * variance_left), error_spread, moved), own


def _share_after_centring(n_eras: int, block: int) -> float:
    """The share of the variance of block sums that is left after they are centred on the mean of few blocks."""
    return max(0.1, 1 - (2 * block - 1) / n_eras)


def _share_within_blocks(block: int) -> float:
    """The share of the autocovariances 1 − i / block, of a mean over `block` eras, that blocks of this mean length keep."""
    lag = np.arange(1, block)
    return float(1 + 2 * ((1 - 1 / block) ** lag * (1 - lag / block)).sum()) / block
