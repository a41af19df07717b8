"""Bins of invented rows beside those of real ones: of a feature, and of pairs of columns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.jackknife import Measure, measure
from numerai_lab.metrics.row_sample import RowSample

MOST_VALUES = 8
"""A column with more values than this is continuous, and cut into tenths of its range."""


@dataclass(frozen=True)
class BinCounts:
    """How often values or pairs of values occur, by group of eras. counts: groups × …; sizes: rows of the groups."""

    counts: Array
    sizes: Array

    @property
    def shares(self) -> Float64:
        """Shares of all rows."""
        shares: Float64 = self.counts.sum(0) / self.sizes.sum()
        return shares

    def shares_without(self) -> list[Float64]:
        """The same with each group left out; empty where there is one."""
        if len(self.sizes) < 2:
            return []
        rest = self.counts.sum(0) - self.counts
        return [counts / size for counts, size in zip(rest, self.sizes.sum() - self.sizes, strict=True)]


Comparison = Callable[[Float64, Float64], float]


def compared(how: Comparison, rows: BinCounts, reference: BinCounts, real: BinCounts) -> Measure:
    """A comparison of the shares of invented rows with those of a reference, with its interval, beside that of real rows."""
    sides = (
        np.array([how(shares, reference.shares) for shares in rows.shares_without()]),
        np.array([how(rows.shares, shares) for shares in reference.shares_without()]),
    )
    value, beside = (how(counts.shares, reference.shares) for counts in (rows, real))
    return measure(value, *sides, real=beside, within=(0, 1))


def feature_counts(sample: RowSample, like: RowSample) -> BinCounts:
    """Counts of each value that features of `like` have, or of each tenth of their range: groups × features × bins."""
    codes, n_bins = _codes(sample.features, like.features)
    groups = sample.groups()
    parts = [codes[groups == group] for group in range(int(groups.max()) + 1)]
    counts = [np.stack([(part == value).sum(0) for value in range(n_bins)], axis=1) for part in parts]
    return BinCounts(np.array(counts), np.bincount(groups))


def pair_counts(sample: RowSample, like: RowSample) -> BinCounts:
    """Counts of each pair of values of two columns, the target among them: groups × (columns · bins) × (columns · bins)."""
    features, n_bins = _codes(sample.features, like.features)
    target, n_target = _codes(sample.target, like.target)
    codes, values = np.column_stack([features, target]), np.arange(max(n_bins, n_target))
    groups = sample.groups()
    counts = []
    for group in range(int(groups.max()) + 1):
        is_value = (codes[groups == group][:, :, None] == values).astype(np.float32)
        is_value = is_value.reshape(len(is_value), -1)
        counts.append(is_value.T @ is_value)
    return BinCounts(np.array(counts, np.float64), np.bincount(groups))


def mean_difference(shares: Float64, reference: Float64) -> float:
    """Mean over features of the total variation distance: half the sum of absolute differences of features × bins."""
    return float(_distances(shares, reference).mean())


def largest_difference(shares: Float64, reference: Float64) -> float:
    """The largest total variation distance of a feature."""
    return float(_distances(shares, reference).max())


def share_of_bins_met(shares: Float64, reference: Float64) -> float:
    """Mean over features of the share of the bins of `reference` that `shares` have too."""
    return float((((shares > 0) & (reference > 0)).sum(1) / np.maximum((reference > 0).sum(1), 1)).mean())


def pair_similarity(n_columns: int) -> Comparison:
    """1 − total variation distance of the contingency tables of two columns, as a mean over all pairs."""

    def similarity(shares: Float64, reference: Float64) -> float:
        own, other = (_tables(each, n_columns) for each in (shares, reference))
        return float(1 - _distances(own, other).mean())

    return similarity


def _tables(shares: Float64, n_columns: int) -> Float64:
    """The contingency table of each pair of columns: pairs × cells."""
    n_bins = len(shares) // n_columns
    by_pair = shares.reshape(n_columns, n_bins, n_columns, n_bins).swapaxes(1, 2)
    return by_pair[np.triu_indices(n_columns, 1)].reshape(-1, n_bins**2)


def _distances(shares: Float64, reference: Float64) -> Float64:
    """Total variation distance of each row's shares; what is in no bin is one bin more."""
    beside = np.abs(shares.sum(1) - reference.sum(1))
    distances: Float64 = (np.abs(shares - reference).sum(1) + beside) / 2
    return distances


def _codes(values: Array, like: Array) -> tuple[Array, int]:
    """The number of each value among those of `like`, or of its tenth of their range, and how many there are.

    A value that `like` does not have gets a number that is none of them.
    """
    known = np.unique(like[:: max(1, len(like) // 1000)])
    if len(known) > MOST_VALUES:
        low, high = float(like.min()), float(like.max())
        return np.floor((values - low) / (high - low) * 9.999), 10
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.where(known[places] == values, places, -1), len(known)
