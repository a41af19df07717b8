"""Samples of real or invented rows, with their targets and eras."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float32

MOST_COLUMNS = 800
"""Features that trees and distances see; a random choice of more."""
MOST_GROUPS = 20
"""Groups of eras of a sample, which a jackknife leaves out in turn."""


@dataclass(frozen=True)
class RowSample:
    """Rows with targets, of whole eras or of equal parts of them. features: rows × p; target, era: rows."""

    features: Array
    target: Float32
    era: Array

    def __len__(self) -> int:
        return len(self.features)

    def eras(self) -> "list[RowSample]":
        """One sample an era."""
        return [self.take(self.era == era) for era in np.unique(self.era)]

    def take(self, rows: Array) -> "RowSample":
        """The sample of some of the rows."""
        return RowSample(self.features[rows], self.target[rows], self.era[rows])

    def some(self, n: int, rng: np.random.Generator) -> "RowSample":
        """A random sample of n rows, in their order; all rows where there are fewer."""
        return self.take(np.sort(rng.permutation(len(self))[:n]))

    def with_columns(self, chosen: Array) -> "RowSample":
        """The same rows with some of the features."""
        return RowSample(np.ascontiguousarray(self.features[:, chosen]), self.target, self.era)

    def narrowed(self, most: int, seed: int) -> "RowSample":
        """The rows with at most so many features; a seed gives all samples the same ones."""
        p = self.features.shape[1]
        return self if p <= most else self.with_columns(np.sort(np.random.default_rng(seed).permutation(p)[:most]))

    def groups(self) -> Array:
        """The group of each row, from 0: up to MOST_GROUPS runs of consecutive eras; of a single era, runs of its rows."""
        eras, number = np.unique(self.era, return_inverse=True)
        if len(eras) == 1:
            number, eras = np.arange(len(self)), np.arange(len(self))
        n_groups = min(MOST_GROUPS, len(eras))
        groups: Array = np.arange(len(eras)) * n_groups // max(1, len(eras))
        return groups[number]


def joined(first: RowSample, second: RowSample) -> RowSample:
    """The rows of two samples."""
    parts = zip(vars(first).values(), vars(second).values(), strict=True)
    return RowSample(*(np.concatenate(pair) for pair in parts))
