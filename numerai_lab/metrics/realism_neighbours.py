"""Where invented rows lie among real ones: density and coverage, copies, membership. Distances are Euclidean."""

import numpy as np

from numerai_lab.core.arrays import Array, Float64
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

    1 and 1 − ½^NEIGHBOURS are expected of rows of the same distribution, in any number of dimensions. Both samples have as
    many rows. Source: Naeem et al., "Reliable fidelity and diversity metrics for generative models", 2020.
    """
    n = min(MOST_ROWS, len(rows), len(held))
    rows, held = rows.some(n, rng), held.some(n, rng)
    n_neighbours = min(NEIGHBOURS, n - 1)
    radius = np.partition(_squared_distances(held.features, held.features), n_neighbours, axis=1)[:, n_neighbours]
    inside = _squared_distances(held.features, rows.features) < radius[:, None]
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
    """Area under the ROC curve of the distance to the nearest invented row, which tells training rows from held-out rows.

    Training and held-out eras differ by time too, so 0.5 is not what rows give that remember nothing: `real` is the
    same area where real rows of every other training era stand for the invented rows, and those between for training rows.
    Source: distance to the closest record as an attack, as in van Breugel et al., "Membership inference attacks against
    synthetic data through overfitting detection", 2023.
    """
    outside, every = held.some(MOST_ROWS, rng), _every_other(train)
    null = _told_apart(train.take(~every).some(MOST_ROWS, rng), outside, train.take(every))
    return _told_apart(train.some(MOST_ROWS, rng), outside, rows, null.value)


def nearest(rows: Array, among: Array) -> Float64:
    """The distance of each row to the nearest of `among`."""
    parts = [_squared_distances(rows[i : i + ROWS_AT_A_TIME], among).min(1) for i in range(0, len(rows), ROWS_AT_A_TIME)]
    distances: Float64 = np.sqrt(np.concatenate(parts))
    return distances


def _told_apart(members: RowSample, outside: RowSample, rows: RowSample, real: float = float("nan")) -> Measure:
    near, far = (-nearest(sample.features, rows.features) for sample in (members, outside))
    above, below = share_above(near, far)
    sides = means_without(above, members.groups()), means_without(below, outside.groups())
    return measure(float(above.mean()), *sides, real=real, within=(0, 1))


def _every_other(train: RowSample) -> Array:
    """Whether a row is of every other era; of a single era, whether it is every other row."""
    eras, number = np.unique(train.era, return_inverse=True)
    chosen: Array = (number if len(eras) > 1 else np.arange(len(train))) % 2 == 0
    return chosen


def _medians_without(values: Float64, groups: Array) -> Float64:
    n_groups = int(groups.max()) + 1
    return np.array([np.median(values[groups != group]) for group in range(n_groups)] if n_groups > 1 else [])


def _squared_distances(rows: Array, among: Array) -> Array:
    """rows × among. Exact for bins, whose sums float32 holds."""
    dtype = np.float32 if np.issubdtype(np.result_type(rows, among), np.integer) else np.float64
    a: Array = rows.astype(dtype)
    b: Array = among.astype(dtype)
    squared: Array = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T)
    return np.maximum(squared, 0)
