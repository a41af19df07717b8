"""Many comparisons at once: adjusted p-values and the model confidence set."""

from typing import Any

import numpy as np
import pytest

from numerai_lab.metrics.multiplicity import (
    MAX_PAIRWISE,
    MCS_RESAMPLES,
    MCS_SIZE,
    adjusted,
    confidence_set,
    holm,
    kept,
    stepdown,
    worst_against_mean,
    worst_pair,
)
from numerai_lab.metrics.significance import mean_differences
from tests.metrics.test_significance import overlapping_noise


def test_step_down_counts_the_largest_of_what_is_left() -> None:
    t = np.array([1.0, 3.0, 2.0])
    draws = np.array([[0.5, 0.1, 2.5], [1.5, 0.2, 0.3], [0.2, 0.3, 0.4]])
    # 3.0 against the largest of all (2.5, 1.5, .4): none. 2.0 against columns 0 and 2 (the same): one. 1.0 against column 0: one.
    np.testing.assert_allclose(stepdown(t, draws), [2 / 4, 1 / 4, 2 / 4])


def test_holm_is_as_in_the_textbook() -> None:
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_adjusted_is_never_below_raw_and_one_comparison_keeps_its_p() -> None:
    x = overlapping_noise(np.random.default_rng(0), 100, 12) + np.linspace(-0.3, 0.3, 12)
    found = mean_differences(x, 4)
    p = adjusted(found)
    assert (p >= found.p).all()
    assert (p > found.p).sum() >= 10
    one = mean_differences(x[:, :1], 4)
    assert adjusted(one)[0] == one.p[0]


def test_the_better_ones_are_those_of_archs_step_m_in_clear_cases() -> None:
    from arch.bootstrap import StepM

    gains = np.array([0.0, 0.9, 0.0, -0.9, 0.6, 0.0])
    for seed in range(5):
        scores = overlapping_noise(np.random.default_rng(seed), 200, 6) / 2 + gains
        reference = np.zeros(200)
        found = mean_differences(scores, 4)
        ours = np.flatnonzero((adjusted(found) < 0.05) & (found.value > 0))
        theirs = StepM(-reference, -scores, size=0.025, block_size=4, reps=1000, seed=np.random.default_rng(seed))
        theirs.compute()
        assert ours.tolist() == list(theirs.superior_models) == [1, 4]


def test_holm_steps_in_where_a_difference_has_no_variance() -> None:
    x = overlapping_noise(np.random.default_rng(1), 100, 3)
    x[:, 1] = 0.01
    found = mean_differences(x, 4)
    np.testing.assert_allclose(adjusted(found), holm(found.p))
    assert found.p[1] < 0.001


def test_a_copy_of_the_reference_is_no_discovery_and_too_few_eras_have_no_p() -> None:
    x = overlapping_noise(np.random.default_rng(2), 100, 3)
    x[:, 0] = 0
    x[8:, 2] = np.nan
    p = adjusted(mean_differences(x, 4))
    assert p[0] == 1
    assert np.isnan(p[2])
    assert np.isfinite(p[1])


@pytest.mark.parametrize("n_equal", [3, MAX_PAIRWISE + 2])
def test_the_confidence_set_keeps_the_best_and_its_equals_and_drops_the_rest(n_equal: int) -> None:
    scores = overlapping_noise(np.random.default_rng(3), 200, n_equal + 2) / 10
    scores[:, :2] -= 1
    assert confidence_set(scores, 4)[:2] == [False, False]
    assert confidence_set(scores, 4)[2:].count(True) >= n_equal - 1


def test_equal_columns_stand_or_fall_together_and_unscored_ones_are_left_out() -> None:
    scores = overlapping_noise(np.random.default_rng(4), 100, 4)
    scores[:, 0] -= 3
    scores[:, 1] = scores[:, 0]
    scores[:, 2] = np.nan
    assert confidence_set(scores, 4) == [False, False, None, True]
    assert confidence_set(np.column_stack([scores[:, 3]] * 2), 4) == [True, True]
    assert confidence_set(scores[:10], 4) == [None] * 4
    assert confidence_set(scores[:, 3:], 4) == [None]


@pytest.mark.parametrize(("method", "test"), [("R", worst_pair), ("max", worst_against_mean)])
def test_those_stay_that_arch_keeps(method: Any, test: Any) -> None:
    from arch.bootstrap import MCS

    losses = overlapping_noise(np.random.default_rng(5), 120, 20) + np.linspace(0, 1.5, 20)
    found = MCS(losses, size=MCS_SIZE, reps=MCS_RESAMPLES, block_size=4, method=method, seed=np.random.default_rng(0))
    found.compute()
    mine = kept(losses, 4, 0, test)
    assert 3 < mine.sum() < 18
    assert len({*np.flatnonzero(mine).tolist()} ^ {*found.included}) <= 1


def test_columns_that_are_nearly_the_same_stay_together() -> None:
    scores = overlapping_noise(np.random.default_rng(6), 100, 1)
    nearly = np.column_stack([scores, scores + np.tile([[1e-9], [-1e-9]], (50, 1)), scores + 1e-10])
    assert confidence_set(nearly[:, :2], 4) == [True, True]
    assert len(confidence_set(nearly, 4)) == 3
