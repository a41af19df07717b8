"""The jackknife's intervals cover what they should where eras depend on each other."""

import numpy as np
import pytest

from numerai_lab.metrics.jackknife import mean_measure, means_without, measure
from numerai_lab.metrics.row_sample import RowSample


def test_means_without_a_group_are_the_means_of_the_others() -> None:
    values, groups = np.array([1.0, 3, np.nan, 8]), np.array([0, 0, 1, 2])
    assert means_without(values, groups).tolist() == [8, 4, 2]
    assert means_without(values, np.zeros(4, int)).tolist() == []


def test_the_interval_of_a_mean_of_groups_is_students() -> None:
    from scipy import stats

    values = np.random.default_rng(0).normal(size=10)
    found = mean_measure(values, np.arange(10))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 9, values.mean(), stats.sem(values)))


def test_intervals_cover_the_truth_though_rows_of_an_era_are_alike() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        values = np.repeat(rng.normal(size=40), 25) + rng.normal(size=1000)
        eras = RowSample(values[:, None], values, np.repeat(np.arange(40), 25))
        found = mean_measure(values, eras.groups())
        covered += found.low <= 0 <= found.high
    assert 0.91 <= covered / 300 <= 0.98


def test_distances_do_not_grow_by_the_jackknife_and_stay_where_they_can_be() -> None:
    found = measure(0.01, np.array([0.0, 0.02, 0.01]), within=(0, 1))
    assert found.low == 0 < found.value < found.high
    assert np.isnan(measure(0.5, np.array([0.5])).low)


def test_groups_are_runs_of_consecutive_eras_and_of_a_single_era_runs_of_rows() -> None:
    eras = np.repeat(np.arange(60)[::-1], 2)
    groups = RowSample(eras[:, None], eras, eras).groups()
    assert len(np.unique(groups)) == 20
    assert {*groups[eras < 3]} == {0}
    one = np.zeros(100)
    assert RowSample(one[:, None], one, one).groups().tolist() == np.repeat(np.arange(20), 5).tolist()
