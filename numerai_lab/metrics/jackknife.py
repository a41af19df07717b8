"""Intervals of statistics of rows in eras, by the delete-a-group jackknife.

Groups are runs of consecutive eras, because rows of one era, and targets of neighbouring eras, depend on each other.
Unlike a bootstrap, the jackknife draws nothing twice, so distances between samples do not grow by it.
Source: Shao and Wu, "A general theory for jackknife variance estimation", Annals of Statistics 17 (1989).
"""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64


@dataclass(frozen=True)
class Measure:
    """A statistic of invented rows, its 95 % interval, and the same statistic of real rows; NaN where there is none."""

    value: float
    low: float
    high: float
    real: float


def measure(
    value: float, *left_out: Float64, real: float = float("nan"), within: tuple[float, float] = (-np.inf, np.inf)
) -> Measure:
    """A statistic with its interval.

    left_out: for each sample that the statistic is computed from, its values with each group of that sample left out. The
    samples are independent, so variances add up, with Satterthwaite's degrees of freedom. within: the values that the
    statistic can take. The interval is NaN where a sample has fewer than two groups.
    """
    from scipy.special import stdtrit

    if not left_out or any(len(values) < 2 for values in left_out):
        return Measure(value, float("nan"), float("nan"), real)
    variances = np.array([(len(values) - 1) * values.var() for values in left_out])
    spread = max(float((variances**2 / [len(values) - 1 for values in left_out]).sum()), np.finfo(float).tiny)
    half = stdtrit(max(variances.sum() ** 2 / spread, 1), 0.975) * np.sqrt(variances.sum())
    low, high = np.clip([value - half, value + half], *within)
    return Measure(float(value), float(low), float(high), real)


def means_without(values: Array, groups: Array) -> Float64:
    """The mean of the values with each group left out; NaN values count nowhere, and nothing comes of a single group."""
    known = np.isfinite(values)
    n_groups = int(groups.max()) + 1
    counts = np.bincount(groups[known], minlength=n_groups)
    sums = np.bincount(groups[known], values[known].astype(np.float64), n_groups)
    rest = counts.sum() - counts
    if n_groups < 2 or not rest.all():
        return np.empty(0)
    means: Float64 = (sums.sum() - sums) / rest
    return means


def mean_measure(values: Array, groups: Array, real: float = float("nan")) -> Measure:
    """The mean of values with its interval, values that are not NaN."""
    return measure(known_mean(values), means_without(values, groups), real=real)


def known_mean(values: Array) -> float:
    """The mean of the values that are not NaN; NaN where there are none."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
