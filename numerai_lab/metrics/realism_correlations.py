"""Correlations of invented rows beside those of held-out eras."""

from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.jackknife import Measure, known_mean, measure
from numerai_lab.metrics.row_sample import RowSample


@dataclass(frozen=True)
class Moments:
    """Sums and sums of products of columns less their mean, the target last, by group: groups × c, groups × c × c."""

    sizes: Array
    sums: Float64
    products: Float64

    def correlations(self, without: int | None = None) -> tuple[Float64, Float64]:
        """Correlations between features, each pair once, and with the target; 0 for what does not vary. without: a group."""
        kept = np.arange(len(self.sizes)) != (-1 if without is None else without)
        n = self.sizes[kept].sum()
        mean = self.sums[kept].sum(0) / n
        covariance = (self.products.sum(0) if without is None else self.products.sum(0) - self.products[without]) / n
        covariance -= np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-7)
        matrix = covariance * np.outer(scale, scale)
        return matrix[:-1, :-1][np.triu_indices(len(matrix) - 1, 1)], matrix[-1, :-1]

    def correlations_without(self) -> list[tuple[Float64, Float64]]:
        """The same with each group left out; empty where there is one."""
        return [self.correlations(group) for group in range(len(self.sizes))] if len(self.sizes) > 1 else []


def moments(sample: RowSample) -> Moments:
    """Moments of the features and the target."""
    groups, centre = sample.groups(), np.append(sample.features.mean(0, dtype=np.float64), sample.target.mean(dtype=np.float64))
    sums, products = [], []
    for group in range(int(groups.max()) + 1):
        rows = groups == group
        x = np.column_stack([sample.features[rows], sample.target[rows]]).astype(np.float64) - centre
        sums.append(x.sum(0))
        products.append(x.T @ x)
    return Moments(np.bincount(groups), np.array(sums), np.array(products))


def correlation_errors(rows: RowSample, real: RowSample, held: RowSample) -> dict[str, Measure]:
    """Rms differences of correlations to held-out rows, `corr` between features and `target_corr` with the target.

    The same difference of real training rows stands beside each; `corr_ratio` and `target_corr_ratio` are the quotients.
    """
    invented, training, held_out = (moments(sample) for sample in (rows, real, held))
    measures = {}
    for name, part in (("corr", 0), ("target_corr", 1)):
        own, floor, other = (each.correlations()[part] for each in (invented, training, held_out))
        own_without, floor_without, other_without = (
            [correlations[part] for correlations in each.correlations_without()] for each in (invented, training, held_out)
        )
        error, of_real = _rms(own, other), _rms(floor, other)
        by_own = np.array([_rms(values, other) for values in own_without])
        by_held = np.array([_rms(own, values) for values in other_without])
        by_floor = np.array([_rms(values, other) for values in floor_without])
        floor_by_held = np.array([_rms(floor, values) for values in other_without])
        measures[name] = measure(error, by_own, by_held, real=of_real, within=(0, np.inf))
        sides = by_own / _positive(of_real), error / _positive(by_floor), by_held / _positive(floor_by_held)
        measures[f"{name}_ratio"] = measure(error / float(_positive(of_real)), *sides, real=1.0, within=(0, np.inf))
    return measures


def _rms(values: Float64, other: Float64) -> float:
    return float(np.sqrt(known_mean((values - other) ** 2)))


def _positive(values: Array | float) -> Float64:
    positive: Float64 = np.maximum(values, 1e-12)
    return positive
