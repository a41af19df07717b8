"""Finds copies of training rows among validation rows: equal features, with equal targets more often than by chance."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.metrics.single_features import known_target

FEATURES_A_HASH = 32
MOST_HASHES = 4
"""Most feature groups that rows are compared by, so that a copy with some changed cells is found too."""
LEAST_TWINS = 10
LEAST_AGREEMENT = 0.1
"""Least agreement of targets, beyond chance, at which twins count as copies; few informative features agree a little."""
SIGMAS = 5.0


@dataclass(frozen=True)
class Twins:
    """Counts of twins. n_rows: validation rows with a target; n_twins: those whose features occur in training too.

    agreement: share of equal targets beyond chance, 1 where all are equal. error: its standard error under chance.
    """

    n_rows: int
    n_twins: int
    agreement: float
    error: float

    @property
    def copied(self) -> bool:
        """Whether twins are copies: chance and persistent features give twins too, but with targets that differ."""
        return self.n_twins >= LEAST_TWINS and self.agreement > max(LEAST_AGREEMENT, SIGMAS * self.error)

    @property
    def numbers(self) -> str:
        """The counts as text."""
        if not self.n_twins:
            return f"none of {self.n_rows:,} validation rows has the features of a training row"
        share = self.n_twins / self.n_rows
        return (
            f"{share:.1%} of validation rows have the features of a training row; "
            f"their targets agree {max(0.0, self.agreement):.0%} beyond chance"
        )


def twins(panel: Panel, train: Iterable[Block], validation: Iterable[int]) -> Twins:
    """Twins between training blocks and validation eras of the panel, by the feature group with the most copies."""
    groups, multipliers = _groups(panel.n_raw)
    seen = [(_hashes(features, groups, multipliers), target) for features, target in _labelled(train)]
    later = []
    for era in validation:
        known, target = known_target(panel, era)
        features = panel.features[panel.rows(era), : panel.n_raw]
        later.append((_hashes(features, groups, multipliers)[known], target.astype(np.float32)))
        panel.release()
    if not seen or not later:
        return Twins(0, 0, 0.0, 0.0)
    (seen_hashes, seen_targets), (hashes, targets) = (
        (np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])) for parts in (seen, later)
    )
    agreements = [_agreement(seen_hashes[:, i], seen_targets, hashes[:, i], targets) for i in range(len(groups))]
    return max(agreements, key=lambda copies: (copies.copied, copies.n_twins * max(0.0, copies.agreement)))


def _labelled(blocks: Iterable[Block]) -> Iterator[tuple[Array, Float32]]:
    """Yields features and targets of rows with a target, block by block."""
    for block in blocks:
        assert block.target is not None
        known = np.isfinite(block.target)
        yield block.features[known], block.target[known]


def _groups(n_features: int) -> tuple[list[Int64], list[Int64]]:
    """Feature positions of each hash, spread over all features, and the odd multiplier of each feature."""
    n_hashes = min(MOST_HASHES, max(1, n_features // FEATURES_A_HASH))
    width = n_features if n_hashes == 1 else FEATURES_A_HASH
    spread = np.linspace(0, n_features, n_hashes * width, endpoint=False).astype(np.int64)
    groups = [np.unique(spread[i::n_hashes]) for i in range(n_hashes)]
    rng = rng_for(0, "twins")
    return groups, [rng.integers(-(2**62), 2**62, len(group)) | 1 for group in groups]


def _hashes(features: Array, groups: list[Int64], multipliers: list[Int64]) -> Int64:
    """Hashes, rows × groups. Features become float32, so that synthetic rows compare with the panel's."""
    columns = []
    for group, factors in zip(groups, multipliers, strict=True):
        bits = np.ascontiguousarray(features[:, group], np.float32).view(np.int32).astype(np.int64)
        columns.append((bits * factors).sum(1))  # overflow wraps around, as hashes do
    return np.column_stack(columns)


def _agreement(seen: Int64, seen_targets: Array, hashes: Int64, targets: Array) -> Twins:
    values, codes = np.unique(np.concatenate([seen_targets, targets]), return_inverse=True)
    own = codes[len(seen) :]
    share = np.bincount(codes[: len(seen)], minlength=len(values)) / max(1, len(seen))
    known, counts = np.unique(seen, return_counts=True)
    place = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    there = np.flatnonzero(known[place] == hashes) if len(known) else np.empty(0, np.int64)
    if not len(there):
        return Twins(len(hashes), 0, 0.0, 0.0)
    which = place[there]
    pairs, same = np.unique(np.searchsorted(known, seen) * len(values) + codes[: len(seen)], return_counts=True)
    keys = which * len(values) + own[there]
    at = np.minimum(np.searchsorted(pairs, keys), len(pairs) - 1)
    equal = np.where(pairs[at] == keys, same[at], 0) / counts[which]
    chance = np.minimum(share[own[there]], 0.95)
    agreement, error = _mean_by_group((equal - chance) / (1 - chance), chance / (1 - chance), which)
    return Twins(len(hashes), len(there), agreement, error)


def _mean_by_group(values: Float64, variances: Float64, groups: Int64) -> tuple[float, float]:
    """The mean of values, and its standard error by chance; rows of a group count as one observation."""
    _, at, n = np.unique(groups, return_inverse=True, return_counts=True)
    weights = n / n.sum()
    by_chance = np.bincount(at, variances) / n
    return float(values.mean()), float(np.sqrt((weights**2 * np.maximum(by_chance, 0.05)).sum()))
