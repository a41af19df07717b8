"""Rows that stand on both sides of the border: the same features and, more often than chance has it, the same target."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.metrics.single_features import known_target

FEATURES_A_HASH = 32
MOST_HASHES = 4
"""Groups of features that rows are compared by, so that a copy with some changed cells is still found."""
LEAST_TWINS = 10
LEAST_AGREEMENT = 0.1
"""Targets of twins agree by chance, and a little more where features are few and say something; from here on they are copies."""
SIGMAS = 5.0


@dataclass(frozen=True)
class Twins:
    """n_rows: validation rows with a target. n_twins: of these, rows whose features stand in training too.

    agreement: how much more often their targets are equal than by chance, as a share of what chance leaves. error: its
    standard error where chance alone decides.
    """

    n_rows: int
    n_twins: int
    agreement: float
    error: float

    @property
    def copied(self) -> bool:
        """Whether rows were copied: chance and persistent features give twins too, but those have targets of their own."""
        return self.n_twins >= LEAST_TWINS and self.agreement > max(LEAST_AGREEMENT, SIGMAS * self.error)

    @property
    def numbers(self) -> str:
        """What was found, in words."""
        if not self.n_twins:
            return f"none of {self.n_rows:,} validation rows has the features of a training row"
        share = self.n_twins / self.n_rows
        return (
            f"{share:.1%} of validation rows have the features of a training row; "
            f"their targets agree {max(0.0, self.agreement):.0%} beyond chance"
        )


def twins(panel: Panel, train: Iterable[Block], validation: Iterable[int]) -> Twins:
    """Validation rows of the panel among training blocks, by the group of features in which most are copies."""
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
    """Features and targets of the rows that have one, block by block."""
    for block in blocks:
        assert block.target is not None
        known = np.isfinite(block.target)
        yield block.features[known], block.target[known]


def _groups(n_features: int) -> tuple[list[Int64], list[Int64]]:
    """Which features each hash is of, spread over all of them, and the odd numbers that they are multiplied by."""
    n_hashes = min(MOST_HASHES, max(1, n_features // FEATURES_A_HASH))
    width = n_features if n_hashes == 1 else FEATURES_A_HASH
    spread = np.linspace(0, n_features, n_hashes * width, endpoint=False).astype(np.int64)
    groups = [np.unique(spread[i::n_hashes]) for i in range(n_hashes)]
    rng = rng_for(0, "twins")
    return groups, [rng.integers(-(2**62), 2**62, len(group)) | 1 for group in groups]


def _hashes(features: Array, groups: list[Int64], multipliers: list[Int64]) -> Int64:
    """rows × groups. Features in float32, so that those of made rows compare with the panel's."""
    columns = []
    for group, factors in zip(groups, multipliers, strict=True):
        bits = np.ascontiguousarray(features[:, group], np.float32).view(np.int32).astype(np.int64)
        columns.append((bits * factors).sum(1))  # wraps around, as hashes do
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
    """The mean of values and its standard error by chance; rows of a group are one observation."""
    _, at, n = np.unique(groups, return_inverse=True, return_counts=True)
    weights = n / n.sum()
    by_chance = np.bincount(at, variances) / n
    return float(values.mean()), float(np.sqrt((weights**2 * np.maximum(by_chance, 0.05)).sum()))
