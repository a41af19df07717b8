"""Tests of many variants at once: family-wise p-values, simultaneous intervals, the model confidence set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.retraining import Retraining
from numerai_lab.metrics.significance import MIN_BLOCKS, Differences, critical_rank, draw, mean_differences, seen_share

POWER = 0.84
"""Standard errors beyond the critical value at which a difference is found four times in five."""
SHARES = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05)
"""Shares of the draws above the knots of `Rarity`."""
STEEPEST, HILL_NOISE = 30.0, 0.3
"""The largest power of a tail, and how far (in logs) the powers of columns differ by chance."""
MCS_SIZE = 0.05
MCS_RESAMPLES = 1000
MAX_PAIRWISE = 30
"""Above this many series the confidence set compares each with their mean, not all pairs, whose cost is cubic."""


@dataclass(frozen=True)
class FamilyTest:
    """k differences tested as one family; NaN where one alone has no p, or its interval is uninformative.

    p: adjusted; low, high: simultaneous 95 % intervals, which leave out 0 just where p < .05.
    resolution: the true difference of one member that would be found four times in five; NaN
    without members.
    """

    p: Float64
    low: Float64
    high: Float64
    resolution: float


def family_test(differences: Differences) -> FamilyTest:
    """Westfall and Young's min-P test of all differences at once, and the simultaneous intervals that belong to it.

    It uses the resamples of each p alone. |t| of a member is converted into its rarity among the
    member's own draws (`Rarity`); in each resample the rarest of all members counts. So a member
    with huge draws, which differs from its opponent in few eras, costs the others nothing. One
    comparison keeps its p. An exact duplicate is no member of the family: p 1, interval 0. The test
    is single-step, because a step-down p has no two-sided interval of its own. An interval that
    reaches further to either side than any member differs in any era is uninformative: it is NaN,
    and so is its p. The resolution is the median over members of the simultaneous half-width plus
    .84 standard errors, widened (`_power_margin`). Source: Westfall & Young 1993.
    """
    p, low, high = (np.full(len(differences.p), np.nan) for _ in range(3))
    same = np.isfinite(differences.p) & (differences.value == 0) & (differences.error == 0)
    p[same], low[same], high[same] = 1.0, 0.0, 0.0
    at = np.flatnonzero(np.isfinite(differences.p) & ~same)
    if not len(at):
        return FamilyTest(p, low, high, float("nan"))
    rarity = Rarity.of(differences.draws[:, at])
    rarest = np.sort(rarity(differences.draws[:, at]).max(1))
    own = rarity(differences.t[None, at])[0]
    p[at] = (1 + len(rarest) - np.searchsorted(rarest, own, side="left")) / (1 + len(rarest))
    half = rarity.inverse(rarest[critical_rank(len(rarest))]) * differences.error[at]
    low[at], high[at] = differences.value[at] - half, differences.value[at] + half
    resolved = half + _power_margin(half, differences.error[at], differences.error_spread[at])
    if differences.reach is not None:
        informative = half <= differences.reach[at].max() + np.abs(differences.value[at])
        p[at[~informative]], low[at[~informative]], high[at[~informative]] = np.nan, np.nan, np.nan
        resolved = resolved[informative]
    return FamilyTest(p, low, high, float(np.median(resolved)) if len(resolved) else float("nan"))


def _power_margin(half: Float64, error: Float64, error_spread: Float64) -> Float64:
    """The distance beyond the half-width from which a true difference is found four times in five.

    It would be .84 errors if the error were known. But a member's half-width is off by
    `error_spread`, which moves the resolution of a single member, and hardly that of many. The
    weights are those at which simulated tournaments hold 75 to 85 % (60 and 300 eras, 1 to 5 seeds,
    1 and 6 members).
    """
    weight = 1.5 - 1.35 / len(half)
    return np.asarray(POWER * np.sqrt(error**2 + weight * (half * error_spread) ** 2))


@dataclass(frozen=True)
class Rarity:
    """The rarity of a |t| among the draws of its column: −log of the share of draws at least as large, smoothed.

    It is linear between quantiles of the draws. Beyond the last one it is a power law with the
    index of the largest draws (Hill's estimator, shrunk to the median of the columns), so there are
    no ties at p = 1 / draws. places: knots × k, rising; index: k.
    """

    places: Float64
    index: Float64

    @classmethod
    def of(cls, draws: Float64) -> "Rarity":
        """The rarity among draws, resamples × k."""
        ranks = [int(np.ceil((1 - share) * len(draws))) - 1 for share in SHARES[1:]]
        parted = np.partition(np.ascontiguousarray(draws.T), ranks).T
        places = np.vstack([np.zeros(draws.shape[1]), parted[ranks]])
        places = np.maximum.accumulate(np.maximum(places, np.finfo(float).tiny) * (1 + 1e-9 * np.arange(len(SHARES)))[:, None])
        beyond = np.log(np.maximum(parted[ranks[-1] + 1 :], places[-1]) / places[-1]).mean(0)
        steep = np.log(1 / np.clip(beyond, 1 / STEEPEST, 1.0))
        middle = np.median(steep)
        away = steep - middle
        return cls(places, np.exp(middle + np.sign(away) * np.maximum(np.abs(away) - HILL_NOISE, 0)))

    def __call__(self, t: Float64) -> Float64:
        """The rarity of values, rows × k."""
        depth = -np.log(SHARES)
        rare = np.empty(t.shape[::-1])
        for out, values, places, index in zip(rare, np.ascontiguousarray(t.T), self.places.T, self.index, strict=True):
            out[:] = np.interp(values, places, depth)
            beyond = np.flatnonzero(values > places[-1])
            out[beyond] += index * np.log(values[beyond] / places[-1])
        return rare.T

    def inverse(self, rare: float) -> Float64:
        """The |t| of this rarity in every column: k."""
        depth = -np.log(SHARES)
        inside = np.array([np.interp(rare, depth, places) for places in self.places.T])
        values: Float64 = inside * np.exp(max(0.0, rare - depth[-1]) / self.index)
        return values


def confidence_set(scores: Float64, block: int, seed: int = 0, noise: Retraining | None = None) -> list[bool | None]:
    """Whether each column (eras × k, higher is better) is in the 95 % model confidence set; None where unknown.

    The set holds the truly best column with 95 % probability. It is computed over eras that all
    columns have; equal columns share their result. Columns without any score are None, and all are
    where eras are too few or there is nothing to compare. noise: of retraining; with it, the best
    method is meant, not the best trained model. Source: Hansen, Lunde & Nason 2011; the same sets
    as the PyPI package `arch`.
    """
    scored = np.flatnonzero(np.isfinite(scores).any(0))
    shared = scores[np.isfinite(scores[:, scored]).all(1)][:, scored]
    within: list[bool | None] = [None] * scores.shape[1]
    if len(scored) < 2 or len(shared) < MIN_BLOCKS * block:
        return within
    distinct, first, which = np.unique(np.round(shared, 12), axis=1, return_index=True, return_inverse=True)
    noise_of_distinct = None if noise is None else Retraining(noise.error[scored][first], noise.degrees)
    included = _included(-distinct, block, seed, noise_of_distinct) if distinct.shape[1] > 1 else np.array([True])
    for column, place in zip(scored.tolist(), which.ravel().tolist(), strict=True):
        within[column] = bool(included[place])
    return within


def _included(losses: Float64, block: int, seed: int, noise: Retraining | None) -> Array:
    losses = losses - (1 - _level_factor(losses, block)) * losses.mean(0)
    return surviving_columns(losses, block, seed, worst_pair if losses.shape[1] <= MAX_PAIRWISE else worst_against_mean, noise)


def surviving_columns(
    losses: Float64,
    block: int,
    seed: int,
    test: Callable[[Float64, Float64], tuple[int, float]],
    noise: Retraining | None = None,
) -> Array:
    """Whether each column (eras × k) stays: the worst one leaves until the set is not rejected.

    arch's own loop goes on to the last column for p-values that are not needed here. That takes
    minutes for thousands of columns, and fails on columns that are nearly the same.
    """
    drawn, mean = draw(len(losses), block, seed, MCS_RESAMPLES), losses.mean(0)
    moved = drawn.total(drawn.blocks(losses - mean)) / len(losses)
    if noise is not None:
        moved = moved + noise.draws(MCS_RESAMPLES)
    included = np.ones(losses.shape[1], bool)
    while included.sum() > 1:
        at = np.flatnonzero(included)
        worst, p = test(mean[at], moved[:, at])
        if p > MCS_SIZE:
            break
        included[at[worst]] = False
    return included


def worst_pair(mean: Float64, moved: Float64) -> tuple[int, float]:
    """The worse column of the pair with the largest distance, and the p-value of that: arch's method "R"."""
    moves = moved[:, :, None] - moved[:, None, :]
    apart, drawn = _in_errors(mean[:, None] - mean, moves)
    return int(apart.argmax()) // len(mean), float((apart.max() < drawn.max((1, 2))).mean())


def worst_against_mean(mean: Float64, moved: Float64) -> tuple[int, float]:
    """The column furthest above the mean of all, and the p-value of that: arch's method "max", whose cost is not cubic."""
    apart, drawn = _in_errors(mean - mean.mean(), moved - moved.mean(1, keepdims=True))
    return int(apart.argmax()), float((apart.max() < drawn.max(1)).mean())


def _in_errors(value: Float64, moves: Float64) -> tuple[Float64, Float64]:
    """Values and their moves in the resamples, in standard errors; 0 where there is neither value nor error."""
    error = np.sqrt((moves**2).mean(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(value / error, nan=0, posinf=np.inf, neginf=-np.inf), np.nan_to_num(moves / error)


def _level_factor(losses: Float64, block: int) -> float:
    """The factor on differences of mean losses at which arch's test, which is not studentised, keeps its level.

    The bootstrap shows too little variance (`seen_share`), and its tails are too short where blocks
    are few: by how much further the largest of all moves goes in the errors of the resamples than
    in the one error of all. Both are over the same columns, so columns that are nearly one, or
    follow from the others, count once.
    """
    centred = losses - losses.mean(1, keepdims=True)
    differences = mean_differences(centred, block, resamples=MCS_RESAMPLES)
    drawn = draw(len(losses), block, 0, MCS_RESAMPLES)
    moved = drawn.total(drawn.blocks(centred - centred.mean(0)))
    _, plain = _in_errors(np.zeros(losses.shape[1]), moved)
    far, near = (np.quantile(of, 1 - MCS_SIZE, method="higher") for of in (differences.draws.max(1), np.abs(plain).max(1)))
    return float(np.sqrt(seen_share(len(losses), block)) / max(1.0, far / near))
