"""The paired block bootstrap: exact where it can be checked by hand, one resample for all that is compared."""

import time

import numpy as np
import pytest

from numerai_lab.metrics.significance import (
    _paths,
    block_length,
    draw,
    mean_differences,
    sharpe_differences,
    studentised,
)
from numerai_lab.metrics.summary import sharpe


def overlapping_noise(rng: np.random.Generator, n: int = 200, k: int = 1, overlap: int = 4) -> np.ndarray:
    """eras × k with long-run variance 1: means of `overlap` eras, as targets that look ahead give."""
    path = np.cumsum(np.vstack([np.zeros((1, k)), rng.normal(size=(n + overlap - 1, k))]), axis=0)
    return (path[overlap:] - path[:-overlap]) / overlap


@pytest.mark.parametrize(("n_eras", "block"), [(7, 4), (60, 4), (61, 12), (300, 5), (40, 1)])
def test_resamples_have_the_very_eras_of_archs(n_eras: int, block: int) -> None:
    from arch.bootstrap import StationaryBootstrap

    source = StationaryBootstrap(block, np.arange(n_eras), seed=np.random.default_rng(3))
    np.testing.assert_array_equal(_paths(n_eras, block, 3, 50), [source.update_indices() for _ in range(50)])


def test_block_sums_rebuild_the_resamples_of_arch() -> None:
    from arch.bootstrap import StationaryBootstrap

    x = np.random.default_rng(0).normal(size=(50, 3))
    drawn = draw(50, 4, seed=7, resamples=30)
    wanted = StationaryBootstrap(4, x, seed=np.random.default_rng(7)).apply(lambda sample: sample.mean(0), 30)
    np.testing.assert_allclose(drawn.total(drawn.blocks(x)) / 50, wanted, atol=1e-12)


def test_the_standard_error_of_independent_blocks_is_the_one_that_theory_gives() -> None:
    # White noise of variance 1: what blocks see is all there is, so the error is 1/√n, widened for the overlap that might be.
    x = np.random.default_rng(1).normal(size=(400, 200))
    seen = (1 + 2 * (0.75 * 0.75 + 0.5 * 0.5625 + 0.25 * 0.421875)) / 4
    assert np.mean(mean_differences(x, 4).error * np.sqrt(400 * seen)) == pytest.approx(1, abs=0.02)


def test_a_sharpe_moves_in_resamples_as_it_does_when_computed_from_them() -> None:
    rng = np.random.default_rng(2)
    own, reference = rng.normal(0.3, 1, (2, 60)), rng.normal(0.2, 1, (3, 60))
    drawn = draw(60, 4, seed=5, resamples=20)
    differences = sharpe_differences([own], reference, drawn)

    def delta(at: np.ndarray) -> float:
        return float(np.mean([sharpe(s[at]) for s in own]) - np.mean([sharpe(s[at]) for s in reference]))

    from arch.bootstrap import StationaryBootstrap

    source = StationaryBootstrap(4, np.arange(60), seed=np.random.default_rng(5))
    wanted = [delta(source.update_indices()) for _ in range(20)]
    assert differences.value[0] == pytest.approx(delta(np.arange(60)), abs=1e-12)
    assert differences.moved is not None
    np.testing.assert_allclose(differences.moved[:, 0] + differences.value[0], wanted, atol=1e-9)


def test_p_is_below_5_percent_just_where_the_interval_leaves_out_0() -> None:
    rng = np.random.default_rng(3)
    differences = mean_differences(np.linspace(0, 0.6, 40) + overlapping_noise(rng, k=40), 4, resamples=400)
    assert ((differences.p < 0.05) == ((differences.low > 0) | (differences.high < 0))).all()
    assert 5 < (differences.p < 0.05).sum() < 35


def test_identical_scores_differ_by_nothing_and_too_few_eras_settle_nothing() -> None:
    same = mean_differences(np.zeros((50, 1)), 4)
    assert (same.value[0], same.low[0], same.high[0], same.p[0]) == (0, 0, 0, 1)
    few = mean_differences(np.array([[0.1], [0.2], [0.3]]), 4)
    assert few.value[0] == pytest.approx(0.2)
    assert np.isnan([few.low, few.high, few.p, few.error]).all()


def test_the_same_scores_are_the_same_in_one_era_and_differences_that_cancel_are_not() -> None:
    one = mean_differences(np.array([[0.0, 0.1]]), 4)
    assert (one.value[0], one.low[0], one.high[0], one.p[0], one.error[0]) == (0, 0, 0, 1, 0)
    assert np.isnan(one.p[1])
    two = mean_differences(np.array([[0.1], [-0.1]]), 4)  # a block of four holds both eras twice: every mean is 0
    assert two.value[0] == 0
    assert np.isnan([two.low[0], two.p[0]]).all()


def test_eras_without_a_score_count_for_nothing() -> None:
    x = overlapping_noise(np.random.default_rng(4), k=2)
    holes = x.copy()
    holes[20:40, 1] = np.nan
    found, whole = mean_differences(holes, 4), mean_differences(x, 4)
    assert found.value[1] == pytest.approx(np.delete(x[:, 1], np.arange(20, 40)).mean(), abs=1e-12)
    assert found.p[0] == whole.p[0]
    assert 1 < found.error[1] / whole.error[1] < 1.25  # 180 of 200 eras: √(200/180) = 1.05, and another sample
    none = mean_differences(np.full((50, 1), np.nan), 4)
    assert np.isnan([none.value, none.p]).all()


def test_the_block_is_the_overlap_of_the_targets_and_at_least_four() -> None:
    assert [block_length(days) for days in (None, 5, 20, 60)] == [4, 4, 4, 12]
    assert [block_length(days, days_per_era=1) for days in (None, 20, 60)] == [4, 20, 60]


def test_the_same_seed_gives_the_same_interval() -> None:
    noise = overlapping_noise(np.random.default_rng(2))
    one, two, other = (mean_differences(noise, 4, seed=seed) for seed in (0, 0, 1))
    assert (one.low, one.high, one.p) == (two.low, two.high, two.p)
    assert one.low != other.low


def test_forty_variants_over_600_eras_take_well_under_a_second() -> None:
    x = overlapping_noise(np.random.default_rng(5), 600, 40)
    drawn = draw(600, 4)
    start = time.process_time()
    mean_differences(x, 4)
    studentised(sharpe_differences([x[:, :1].T], x[:, 1:2].T, drawn), drawn)
    assert time.process_time() - start < 1  # measured .2 s; resample by resample it takes 3
