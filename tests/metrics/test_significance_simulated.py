"""What the statistics claim, on simulated tournaments whose truth is known. 500 resamples instead of 2,000, for speed.

Differences of two variants are means over the overlap of the targets (4 eras for 20 days, 12 for 60), of long-run variance 1.
Bands hold 99 % of what the binomial law gives at the stated rate.
"""

import numpy as np
import pytest
from scipy.stats import binom

from numerai_lab.metrics import multiplicity
from numerai_lab.metrics.multiplicity import confidence_set, family_test
from numerai_lab.metrics.significance import draw, mean_differences
from tests.metrics.test_significance import overlapping_noise
from tests.simulate.tournaments import family_error, found_at_resolution, found_beside_twin

RESAMPLES = 500
TOURNAMENTS = 200
AT_MOST = int(binom.ppf(0.99, TOURNAMENTS, 0.05))
"""18 of 200: more than that would happen once in a hundred if the rate were 5 %."""


@pytest.mark.parametrize(("n_eras", "overlap"), [(30, 4), (60, 4), (200, 4), (300, 12)])
def test_equal_variants_are_called_different_at_most_at_the_nominal_rate(n_eras: int, overlap: int) -> None:
    noise = overlapping_noise(np.random.default_rng(n_eras), n_eras, TOURNAMENTS, overlap)
    assert (mean_differences(noise, overlap, resamples=RESAMPLES).p < 0.05).sum() <= AT_MOST
    # The same with 3,000 tournaments, whose band is narrower: 5 % + 2.33 standard errors of .4 % = 5.9 %.
    noise = overlapping_noise(np.random.default_rng(n_eras + 1), n_eras, 3000, overlap)
    assert (mean_differences(noise, overlap, resamples=RESAMPLES).p < 0.05).mean() <= 0.059


def test_a_plain_percentile_interval_fails_that_band() -> None:
    noise = overlapping_noise(np.random.default_rng(200), 200, 3000)
    drawn = draw(200, 4, resamples=RESAMPLES)
    moved = np.abs(drawn.total(drawn.blocks(noise)) / 200 - noise.mean(0))
    assert (np.abs(noise.mean(0)) > np.quantile(moved, 0.95, axis=0)).mean() > 0.09  # measured .11


def test_the_interval_holds_the_planted_gain_as_often_as_it_says() -> None:
    differences = mean_differences(0.5 + overlapping_noise(np.random.default_rng(5), 200, 2000), 4, resamples=RESAMPLES)
    assert 0.94 <= ((differences.low < 0.5) & (differences.high > 0.5)).mean() <= 0.97


def test_of_forty_null_variants_one_is_called_better_at_the_family_rate_though_raw_p_values_fail() -> None:
    rng = np.random.default_rng(8)
    raw, family = 0, 0
    for seed in range(TOURNAMENTS):
        scores = overlapping_noise(rng, 100, 41)
        differences = mean_differences(scores[:, 1:] - scores[:, :1], 4, seed=seed, resamples=RESAMPLES)
        raw += (differences.p < 0.05).any()
        family += (family_test(differences).p < 0.05).any()
    assert family <= AT_MOST
    assert raw > 0.4 * TOURNAMENTS  # far outside: the reference is shared, or it would be 1 − .95⁴⁰ = 87 %


def test_a_real_gain_among_forty_null_variants_is_still_found() -> None:
    rng = np.random.default_rng(9)
    hits, false = 0, 0
    for seed in range(40):
        scores = overlapping_noise(rng, 200, 41)
        scores[:, 1] += 7 / np.sqrt(200)  # 5 standard errors of a difference of two variants
        p = family_test(mean_differences(scores[:, 1:] - scores[:, :1], 4, seed=seed, resamples=RESAMPLES)).p
        hits += p[0] < 0.05
        false += (p[1:] < 0.05).any()
    assert hits >= 34
    assert false <= binom.ppf(0.99, 40, 0.05)


def test_twins_of_the_reference_neither_raise_the_family_error_nor_hide_a_gain() -> None:
    assert family_error(100, RESAMPLES) <= binom.ppf(0.99, 100, 0.05) / 100
    assert found_beside_twin(60, RESAMPLES, 1) >= 0.95
    assert found_beside_twin(60, RESAMPLES, 4) >= 0.95


def test_a_gain_of_the_stated_resolution_is_found_four_times_in_five() -> None:
    low, high = binom.ppf([0.005, 0.995], 150, 0.8) / 150
    assert low <= found_at_resolution(150, RESAMPLES, 60, 6) <= high


@pytest.mark.parametrize("n_eras", [60, 200])
def test_one_of_two_equal_models_is_left_out_at_most_at_the_nominal_rate(n_eras: int) -> None:
    rng, out = np.random.default_rng(n_eras), 0
    for _ in range(150):
        one, two = overlapping_noise(rng, n_eras, 2).T
        out += not all(confidence_set(np.column_stack([one, 0.97 * one + 0.03 * two]), 4))
    assert out <= binom.ppf(0.99, 150, 0.05)


@pytest.mark.parametrize("n_eras", [30, 60, 200])
def test_the_confidence_set_keeps_all_that_are_best_as_often_as_it_says(n_eras: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplicity, "MCS_RESAMPLES", 300)
    rng = np.random.default_rng(n_eras)
    sets = [confidence_set(overlapping_noise(rng, n_eras, 5), 4, seed=seed) for seed in range(100)]
    # Five equal variants are all best ones: some of them are missing from at most 5 % of the sets, band 11 of 100.
    assert sum(not all(one) for one in sets) <= binom.ppf(0.99, 100, 0.05)


@pytest.mark.parametrize(("persistence", "overlap", "at_most"), [(0.0, 1, 0.03), (0.5, 4, 0.08)])
def test_the_rate_where_dependence_is_less_or_more_than_the_overlap(persistence: float, overlap: int, at_most: float) -> None:
    rng = np.random.default_rng(10)
    shocks = rng.normal(size=(260, 3000))
    for era in range(1, len(shocks)):
        shocks[era] += persistence * shocks[era - 1]
    path = np.cumsum(shocks, axis=0)
    noise = (path[overlap:] - path[:-overlap])[-200:]
    # Measured 2 and 6 of 100: cautious without any overlap, a little liberal where eras depend on each other beyond it.
    assert (mean_differences(noise, 4, resamples=RESAMPLES).p < 0.05).mean() <= at_most
