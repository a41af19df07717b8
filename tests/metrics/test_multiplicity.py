"""Many comparisons at once: adjusted p-values and the model confidence set."""

from typing import Any

import numpy as np
import pytest

from numerai_lab.metrics.multiplicity import (
    MAX_PAIRWISE,
    MCS_RESAMPLES,
    MCS_SIZE,
    Rarity,
    confidence_set,
    family_test,
    surviving_columns,
    worst_against_mean,
    worst_pair,
)
from numerai_lab.metrics.retraining import PairSide, seed_noise
from numerai_lab.metrics.significance import RESAMPLES, Differences, mean_differences
from tests.metrics.test_significance import overlapping_noise


def test_the_family_counts_resamples_in_which_any_member_is_as_rare() -> None:
    # Draws of the second member are a thousand times those of the first: rarity, not size, is what counts.
    ranks = np.arange(1, 101) / 100
    draws = np.column_stack([ranks, 1000 * ranks[::-1]])
    rarity = Rarity.of(draws)
    np.testing.assert_allclose(rarity(draws)[:, 0], rarity(draws)[::-1, 1], rtol=1e-6)
    assert rarity(np.array([[0.5, 500.0]]))[0] == pytest.approx(-np.log(0.5), abs=0.02)
    differences = Differences(
        np.ones(2), np.ones(2), np.zeros(2), np.zeros(2), np.zeros(2), np.array([0.9, 100.0]), draws, np.zeros(2)
    )
    # At least .9 is reached by 11 draws of the first; 11 of the second (in other resamples) are as rare.
    assert family_test(differences).p[0] == pytest.approx(23 / 101)


def test_rarity_rises_with_t_beyond_every_draw_and_its_inverse_gives_t_back() -> None:
    draws = np.abs(np.random.default_rng(0).normal(size=(2000, 3))) * [1, 5, 1]
    draws[:800, 2] = 10.0  # as a twin's
    rarity = Rarity.of(draws)
    t = np.linspace(0.01, 60, 500)[:, None] * np.ones(3)
    assert (np.diff(rarity(t), axis=0) > 0)[:, :2].all()
    for rare in (0.5, 2.0, 4.0, 8.0):
        np.testing.assert_allclose(rarity(rarity.inverse(rare)[None])[0, :2], rare, rtol=1e-9)
    assert rarity(np.array([[3.3, 3.3, 10.0]]))[0, 2] < -np.log(0.29)


def test_adjusted_is_never_below_raw_and_one_comparison_keeps_its_p_and_interval() -> None:
    x = overlapping_noise(np.random.default_rng(0), 100, 12) + np.linspace(-0.3, 0.3, 12)
    differences = mean_differences(x, 4)
    p = family_test(differences).p
    assert (p >= differences.p).all()
    assert (p > differences.p).sum() >= 10
    one = mean_differences(x[:, :1], 4)
    alone = family_test(one)
    assert alone.p[0] == one.p[0]
    assert (alone.low[0], alone.high[0]) == (pytest.approx(one.low[0], rel=1e-9), pytest.approx(one.high[0], rel=1e-9))


def test_the_better_ones_are_those_of_archs_step_m_in_clear_cases() -> None:
    from arch.bootstrap import StepM

    gains = np.array([0.0, 0.9, 0.0, -0.9, 0.6, 0.0])
    for seed in range(5):
        scores = overlapping_noise(np.random.default_rng(seed), 200, 6) / 2 + gains
        reference = np.zeros(200)
        differences = mean_differences(scores, 4)
        ours = np.flatnonzero((family_test(differences).p < 0.05) & (differences.value > 0))
        theirs = StepM(-reference, -scores, size=0.025, block_size=4, reps=1000, seed=np.random.default_rng(seed))
        theirs.compute()
        assert ours.tolist() == list(theirs.superior_models) == [1, 4]


def test_a_difference_without_variance_is_sure_and_takes_nothing_from_the_others() -> None:
    x = overlapping_noise(np.random.default_rng(1), 100, 3)
    x[:, 1] = 0.01
    found, others = family_test(mean_differences(x, 4)), family_test(mean_differences(x[:, [0, 2]], 4))
    assert found.p[1] < 0.001
    assert (found.low[1], found.high[1]) == (pytest.approx(0.01), pytest.approx(0.01))
    np.testing.assert_allclose(found.p[[0, 2]], others.p)


def test_a_copy_of_the_reference_is_no_discovery_and_too_few_eras_have_no_p() -> None:
    x = overlapping_noise(np.random.default_rng(2), 100, 3)
    x[:, 0] = 1e-16 * x[:, 1]  # rounding
    x[8:, 2] = np.nan
    tested = family_test(mean_differences(x, 4))
    assert (tested.p[0], tested.low[0], tested.high[0]) == (1, 0, 0)
    assert np.isnan([tested.p[2], tested.low[2], tested.high[2]]).all()
    alone = family_test(mean_differences(x[:, 1:2], 4))
    np.testing.assert_allclose((tested.p[1], tested.low[1], tested.resolution), (alone.p[0], alone.low[0], alone.resolution))


@pytest.mark.parametrize("n_eras_of_twin", [1, 2, 4])
def test_a_large_gain_is_found_beside_a_variant_that_differs_in_few_eras(n_eras_of_twin: int) -> None:
    x = overlapping_noise(np.random.default_rng(3), 60, 2)
    x[:, 0] += 8 / np.sqrt(60)
    x[:, 1] = 0
    x[10 : 10 + 7 * n_eras_of_twin : 7, 1] = 0.01
    tested = family_test(mean_differences(x, 4))
    assert tested.p[0] < 0.05 < tested.p[1]
    assert np.isfinite([tested.low, tested.high]).all()
    assert tested.high[1] < 0.02


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
    mine = surviving_columns(losses, 4, 0, test)
    assert 3 < mine.sum() < 18
    assert len({*np.flatnonzero(mine).tolist()} ^ {*found.included}) <= 1


def test_columns_that_are_nearly_the_same_stay_together() -> None:
    scores = overlapping_noise(np.random.default_rng(6), 100, 1)
    nearly = np.column_stack([scores, scores + np.tile([[1e-9], [-1e-9]], (50, 1)), scores + 1e-10])
    assert confidence_set(nearly[:, :2], 4) == [True, True]
    assert len(confidence_set(nearly, 4)) == 3


def test_an_interval_wider_than_any_difference_of_an_era_is_none_and_costs_the_others_nothing() -> None:
    rng = np.random.default_rng(3)
    x = overlapping_noise(rng, 60, 3)
    few = np.array([[0.0, 9.0], [0.0, 0.0], [0.0, 0.0]])  # scores of two seeds each: those of the first lie far apart
    noise = seed_noise(PairSide([*few], [1, 2, 3]), PairSide([np.zeros(2)] * 3, [0, 0, 0]), RESAMPLES)
    differences = mean_differences(x, 4, noise=noise)
    tested = family_test(differences)
    assert np.isnan([tested.p[0], tested.low[0], tested.high[0]]).all()
    assert differences.high[0] - differences.value[0] > np.abs(x).max()
    alone = family_test(mean_differences(x[:, 1:], 4))
    assert np.isfinite(tested.low[1:]).all()
    assert alone.resolution < tested.resolution < 5 * np.abs(x).max()
