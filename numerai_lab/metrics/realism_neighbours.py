"""Where invented rows lie among real ones: density and coverage, copies, membership. Distances are Euclidean."""

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.integer_products import exact, inner, largest
from numerai_lab.metrics.jackknife import Measure, means_without, measure
from numerai_lab.metrics.realism_trees import share_above
from numerai_lab.metrics.row_sample import RowSample

NEIGHBOURS = 5
"""Neighbours in whose distance a row's surroundings end, as in the paper."""
MOST_ROWS = 2000
"""Rows whose neighbours are searched."""
ROWS_AT_A_TIME = 500


def density_and_coverage(rows: RowSample, held: RowSample, rng: np.random.Generator) -> tuple[Measure, Measure]:
    """How densely rows lie where held-out rows lie, and the share of held-out rows that have one of them near.

    Near is what is nearer than the fifth neighbour in another held-out era, because rows of one era lie close together. About
    1 and 1 − ½^NEIGHBOURS are expected of rows of the same distribution, in any number of dimensions. Both samples have as
    many rows. Source: Naeem et al., "Reliable fidelity and diversity metrics for generative models", 2020.
    """
    n = min(MOST_ROWS, len(rows), len(held))
    rows, held = rows.some(n, rng), held.some(n, rng)
    n_neighbours = min(NEIGHBOURS, n - 1)
    apart = _squared_distances(held.features, held.features)
    own_era = held.era[:, None] == held.era
    apart[np.eye(n, dtype=bool) if own_era.all() else own_era] = np.inf
    radius = np.partition(apart, n_neighbours - 1, axis=1)[:, n_neighbours - 1]
    inside: Array = _squared_distances(held.features, rows.features) < radius[:, None]
    near_rows: Array = inside.sum(0) / n_neighbours
    near_held: Array = inside.sum(1) / n_neighbours
    covered = np.asarray(inside.any(1))
    sides = means_without(near_rows, rows.groups()), means_without(near_held, held.groups())
    return (
        measure(float(near_rows.mean()), *sides, within=(0, np.inf)),
        measure(float(covered.mean()), means_without(covered, held.groups()), within=(0, 1)),
    )


def distance_to_training(rows: RowSample, held: RowSample, train: RowSample, rng: np.random.Generator) -> Measure:
    """Median distance of rows to the nearest training row, over that of held-out rows."""
    samples = [sample.some(MOST_ROWS, rng) for sample in (rows, held)]
    distances = [nearest(sample.features, train.features) for sample in samples]
    medians = [float(np.median(values)) for values in distances]
    without = [_medians_without(values, sample.groups()) for values, sample in zip(distances, samples, strict=True)]
    below = max(medians[1], 1e-12)
    sides = without[0] / below, medians[0] / np.maximum(without[1], 1e-12)
    return measure(medians[0] / below, *sides, real=1.0, within=(0, np.inf))


def membership(rows: RowSample, train: RowSample, held: RowSample, rng: np.random.Generator) -> Measure:
    """How well distances to the rows tell training rows from held-out rows, as an area under the ROC curve.

    The score of a real row is its distance to the nearest other training row less that to the nearest of the rows: rows drawn
    anew from the training eras give 0.5, however far held-out eras are from these, and rows without the likeness of an era's
    rows less. `real` is the area where half of the
    training rows of each era stand for the rows. Source: the distance to a reference as in van Breugel et al., "Membership
    inference attacks against synthetic data through overfitting detection", 2023.
    """
    outside, half = held.some(MOST_ROWS, rng), np.arange(len(train)) % 2 == 0
    null = _membership(train.take(~half), outside, train.take(half), rng)
    area = _membership(train, outside, rows, rng)
    return Measure(area.value, area.low, area.high, null.value)


def nearest(rows: Array, among: Array, own: Array | None = None) -> Float64:
    """The distance of each row to the nearest of `among`. own: the place of each row in `among`, which does not count."""
    parts = []
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        distances = _squared_distances(rows[start : start + ROWS_AT_A_TIME], among)
        if own is not None:
            distances[np.arange(len(distances)), own[start : start + ROWS_AT_A_TIME]] = np.inf
        parts.append(distances.min(1))
    distances_all: Float64 = np.sqrt(np.concatenate(parts))
    return distances_all


def _membership(train: RowSample, outside: RowSample, rows: RowSample, rng: np.random.Generator) -> Measure:
    chosen = np.sort(rng.permutation(len(train))[:MOST_ROWS])
    members = train.take(chosen)
    near = nearest(members.features, train.features, chosen) - nearest(members.features, rows.features)
    far = nearest(outside.features, train.features) - nearest(outside.features, rows.features)
    above, below = share_above(near, far)
    sides = means_without(above, members.groups()), means_without(below, outside.groups())
    return measure(float(above.mean()), *sides, within=(0, 1))


def _medians_without(values: Float64, groups: Array) -> Float64:
    n_groups = int(groups.max()) + 1
    return np.array([np.median(values[groups != group]) for group in range(n_groups)] if n_groups > 1 else [])


def _squared_distances(rows: Array, among: Array) -> Array:
    """rows × among: float32, and exact, for bins; float64 for others."""
    n_products = 4 * rows.shape[1]  # |a|² + |b|² + 2|ab|
    if exact(largest(rows), n_products) and exact(largest(among), n_products):
        squared: Array = -2 * inner(rows, among).astype(np.float32)
        squared += _lengths(rows)[:, None]
        squared += _lengths(among)
        return squared
    a: Array = rows.astype(np.float64)
    b: Array = among.astype(np.float64)
    distances: Array = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T), 0)
    return distances


def _lengths(bins: Array) -> Array:
    """Squared lengths of rows of bins."""
    lengths: Array = np.square(bins, dtype=np.int16).sum(1, dtype=np.int32).astype(np.float32)
    return lengths
