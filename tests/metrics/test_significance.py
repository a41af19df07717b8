"""The paired block bootstrap: honest on noise, and it sees what is there."""

import numpy as np

from numerai_lab.metrics.significance import block_length, paired_difference


def overlapping_noise(rng: np.random.Generator, n: int = 200, overlap: int = 4) -> np.ndarray:
    return np.convolve(rng.normal(size=n + overlap - 1), np.ones(overlap) / overlap, mode="valid")


def test_equal_variants_are_rarely_called_different_though_eras_overlap() -> None:
    rng = np.random.default_rng(0)
    called = [paired_difference(overlapping_noise(rng), block=12, resamples=400).p < 0.05 for _ in range(200)]
    # 5 % wanted; the block bootstrap of 200 dependent eras is known to be a little liberal. 3 standard errors above 7 %.
    assert np.mean(called) <= 0.07 + 3 * np.sqrt(0.07 * 0.93 / 200)
    naive = [abs(x.mean() / x.std() * np.sqrt(len(x))) > 1.96 for x in (overlapping_noise(rng) for _ in range(200))]
    assert np.mean(naive) > 0.2


def test_a_gain_of_four_standard_errors_is_seen_and_its_interval_holds_the_truth() -> None:
    rng = np.random.default_rng(1)
    found = [paired_difference(1.0 + overlapping_noise(rng), block=12, resamples=400) for _ in range(50)]
    assert np.mean([one.p < 0.05 for one in found]) > 0.95
    assert np.mean([one.low < 1.0 < one.high for one in found]) > 0.8


def test_identical_scores_differ_by_nothing_and_too_few_eras_settle_nothing() -> None:
    same = paired_difference(np.zeros(50), block=4)
    assert (same.mean, same.p) == (0.0, 1.0)
    few = paired_difference(np.array([0.1, 0.2, 0.3]), block=4)
    assert few.mean == np.mean([0.1, 0.2, 0.3])
    assert np.isnan([few.low, few.high, few.p]).all()


def test_the_block_is_the_overlap_of_the_targets_and_at_least_four() -> None:
    assert [block_length(days) for days in (None, 5, 20, 60)] == [4, 4, 4, 12]


def test_p_is_below_5_percent_just_where_the_interval_leaves_out_0() -> None:
    rng = np.random.default_rng(3)
    for shift in np.linspace(0, 0.6, 30):
        found = paired_difference(shift + overlapping_noise(rng), block=12, resamples=400)
        assert (found.p < 0.05) == (not found.low <= 0 <= found.high) or abs(found.p - 0.05) < 0.01


def test_the_same_seed_gives_the_same_interval() -> None:
    noise = overlapping_noise(np.random.default_rng(2))
    assert paired_difference(noise, 4) == paired_difference(noise, 4)
