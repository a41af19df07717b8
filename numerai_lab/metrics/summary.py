"""Summaries of a per-era score over eras: one definition each."""

from collections.abc import Callable

import numpy as np

from numerai_lab.core.arrays import Float64


def sharpe(scores: Float64) -> float:
    """Mean over standard deviation (ddof 0); NaN for a constant series."""
    mean, deviation = float(scores.mean()), float(scores.std())
    # Equal numbers do not always average to themselves: what is left is rounding, not deviation.
    return mean / deviation if deviation > 1e-9 * abs(mean) else float("nan")


def max_drawdown(scores: Float64) -> float:
    """Largest fall of the cumulative sum from its running maximum, positive; the path starts at its first value.

    Source: Numerai's official definition.
    """
    path = np.cumsum(scores)
    return float((np.maximum.accumulate(path) - path).max())


def max_drawdown_compound(scores: Float64) -> float:
    """Minus the largest relative fall of cumprod(1 + score) from its running maximum, as in the forum's tables."""
    path = np.cumprod(1 + scores)
    return float((path / np.maximum.accumulate(path) - 1).min())


STATS: dict[str, Callable[[Float64], float]] = {
    "mean": lambda scores: float(scores.mean()),
    "std": lambda scores: float(scores.std()),
    "sharpe": sharpe,
    "max_drawdown": max_drawdown,
    "max_drawdown_compound": max_drawdown_compound,
    "share_positive": lambda scores: float((scores > 0).mean()),
    "max": lambda scores: float(scores.max()),
}


def summarise(scores: Float64, stat: str) -> float:
    """A statistic over the eras that have a score; NaN when none has."""
    known = scores[np.isfinite(scores)]
    return STATS[stat](known) if len(known) else float("nan")
