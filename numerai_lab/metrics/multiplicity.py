"""Many variants at once: the best of forty tries is no discovery."""

from collections.abc import Callable

import numpy as np

from numerai_lab.basics import Array, Float64
from numerai_lab.metrics.significance import MIN_BLOCKS, Differences, draw, mean_differences, seen_share

MCS_SIZE = 0.05
MCS_RESAMPLES = 1000
MAX_PAIRWISE = 30
"""Above this many series the confidence set compares each with their mean, not all pairs, whose cost is cubic."""


def adjusted(found: Differences) -> Float64:
    """p-values for everything compared at once: k, NaN where `found.p` is.

    Step-down StepM on studentised |t|, from the resamples that gave the raw p. Where StepM is not defined (a difference
    without variance, so no t), Holm's. One comparison keeps its p. Source: Romano & Wolf 2005; Holm 1979.
    """
    out = np.full(len(found.p), np.nan)
    at = np.flatnonzero(np.isfinite(found.p))
    if len(at) <= 1:
        return found.p.copy()
    out[at] = holm(found.p[at]) if np.isinf(found.t[at]).any() else stepdown(found.t[at], found.draws[:, at])
    return out


def stepdown(t: Float64, draws: Float64) -> Float64:
    """Adjusted p of |t| (k) from resamples × k: each against the largest of those not yet rejected, never falling."""
    falling = np.argsort(-t, kind="stable")
    largest = np.maximum.accumulate(draws[:, falling[::-1]], axis=1)[:, ::-1]
    alone = np.where(t[falling] == 0, 1.0, (1 + (largest >= t[falling]).sum(0)) / (1 + len(draws)))
    out = np.empty(len(t))
    out[falling] = np.maximum.accumulate(alone)
    return out


def holm(p: Float64) -> Float64:
    """Holm's adjusted p-values, good under any dependence."""
    rising = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    out[rising] = np.minimum(1, np.maximum.accumulate(p[rising] * np.arange(len(p), 0, -1)))
    return out


def confidence_set(scores: Float64, block: int, seed: int = 0) -> list[bool | None]:
    """Which columns (eras × k, higher is better) are in the 95 % model confidence set; None where it can't be told.

    The set holds the truly best with 95 % probability. Over eras that all have; equal columns stand or fall together.
    Columns without any score are None, and all are where eras are too few or there is nothing to compare.
    Source: Hansen, Lunde & Nason 2011; the same sets as the PyPI package `arch`.
    """
    scored = np.flatnonzero(np.isfinite(scores).any(0))
    shared = scores[np.isfinite(scores[:, scored]).all(1)][:, scored]
    out: list[bool | None] = [None] * scores.shape[1]
    if len(scored) < 2 or len(shared) < MIN_BLOCKS * block:
        return out
    distinct, which = np.unique(np.round(shared, 12), axis=1, return_inverse=True)
    within = _included(-distinct, block, seed) if distinct.shape[1] > 1 else np.array([True])
    for column, place in zip(scored.tolist(), which.ravel().tolist(), strict=True):
        out[column] = bool(within[place])
    return out


def _included(losses: Float64, block: int, seed: int) -> Array:
    losses = losses - (1 - _due(losses, block)) * losses.mean(0)
    return kept(losses, block, seed, worst_pair if losses.shape[1] <= MAX_PAIRWISE else worst_against_mean)


def kept(losses: Float64, block: int, seed: int, test: Callable[[Float64, Float64], tuple[int, float]]) -> Array:
    """Which columns (eras × k) stay: the worst leaves until a set is not rejected.

    arch's own loop goes on to the last column for p-values that nobody asks for here, which takes minutes for thousands of
    columns, and stumbles over columns that are nearly the same.
    """
    drawn, mean = draw(len(losses), block, seed, MCS_RESAMPLES), losses.mean(0)
    moved = drawn.total(drawn.blocks(losses - mean)) / len(losses)
    included = np.ones(losses.shape[1], bool)
    while included.sum() > 1:
        at = np.flatnonzero(included)
        worst, p = test(mean[at], moved[:, at])
        if p > MCS_SIZE:
            break
        included[at[worst]] = False
    return included


def worst_pair(mean: Float64, moved: Float64) -> tuple[int, float]:
    """The loser of the pair that lies furthest apart, and the chance of that: arch's method "R"."""
    moves = moved[:, :, None] - moved[:, None, :]
    apart, drawn = _in_errors(mean[:, None] - mean, moves)
    return int(apart.argmax()) // len(mean), float((apart.max() < drawn.max((1, 2))).mean())


def worst_against_mean(mean: Float64, moved: Float64) -> tuple[int, float]:
    """The one furthest above the mean of all, and the chance of that: arch's method "max", whose cost is not cubic."""
    apart, drawn = _in_errors(mean - mean.mean(), moved - moved.mean(1, keepdims=True))
    return int(apart.argmax()), float((apart.max() < drawn.max(1)).mean())


def _in_errors(value: Float64, moves: Float64) -> tuple[Float64, Float64]:
    """Values and their moves in the resamples, in standard errors; 0 where there is neither value nor error."""
    error = np.sqrt((moves**2).mean(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(value / error, nan=0, posinf=np.inf, neginf=-np.inf), np.nan_to_num(moves / error)


def _due(losses: Float64, block: int) -> float:
    """What is due of the differences of mean losses, so that arch's test, whose bootstrap is not studentised, keeps its level.

    The bootstrap shows too little variance (`seen_share`), and its tails lack what few blocks add to those of a normal law.
    """
    from scipy.special import ndtri

    found = mean_differences(losses - losses.mean(1, keepdims=True), block, resamples=MCS_RESAMPLES)
    tail = np.quantile(found.draws.max(1), 1 - MCS_SIZE, method="higher") / ndtri(1 - MCS_SIZE / 2 / losses.shape[1])
    return float(np.sqrt(seen_share(len(losses), block)) / max(1.0, tail))
