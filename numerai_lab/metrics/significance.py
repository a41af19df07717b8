"""Is a difference real? Paired by era, resampled in blocks, because overlapping targets make eras dependent."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.basics import Float64

RESAMPLES = 2000
MIN_BLOCK = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Mean difference over eras, its 95 % interval and two-sided p-value; the last three NaN where eras are too few."""

    mean: float
    low: float
    high: float
    p: float


def block_length(horizon_days: int | None) -> int:
    """Mean block in eras: the overlap of the targets, at least four."""
    return max(MIN_BLOCK, (horizon_days or 0) // 5)


def paired_difference(differences: Float64, block: int, seed: int = 0, resamples: int = RESAMPLES) -> Difference:
    """Stationary block bootstrap of the mean of per-era differences (eras in order, NaN left out).

    Source: Politis & Romano 1994, by the PyPI package `arch`; percentile interval, and the
    p-value that goes with it: below .05 just where the interval leaves out 0.
    """
    known = differences[np.isfinite(differences)]
    if not len(known):
        return Difference(*[float("nan")] * 4)
    mean = float(known.mean())
    if not known.any():
        return Difference(0.0, 0.0, 0.0, 1.0)
    if len(known) < 2 * block:
        return Difference(mean, *[float("nan")] * 3)
    from arch.bootstrap import StationaryBootstrap

    bootstrap = StationaryBootstrap(block, known, seed=np.random.default_rng(seed))
    means = bootstrap.apply(lambda sample: np.array([sample.mean()]), resamples)[:, 0]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    beyond = min((means <= 0).sum(), (means >= 0).sum())
    return Difference(mean, float(low), float(high), min(1.0, 2 * (1 + float(beyond)) / (1 + resamples)))
