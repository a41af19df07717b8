"""What the statistics claim, on simulated tournaments whose truth is known. 500 resamples instead of 2,000, for speed.

Differences of two variants are means over the overlap of the targets (4 eras for 20 days, 12 for 60), of long-run variance 1.
Bands hold 99 % of what the binomial law gives at the stated rate.
"""

import numpy as np
import pytest
from scipy.stats import binom

from numerai_lab.metrics.multiplicity import adjusted, confidence_set
from numerai_lab.metrics.significance import POWERED, draw, eras_needed, mean_differences
from tests.metrics.test_significance import overlapping_noise

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
    found = mean_differences(0.5 + overlapping_noise(np.random.default_rng(5), 200, 2000), 4, resamples=RESAMPLES)
    assert 0.94 <= ((found.low < 0.5) & (found.high > 0.5)).mean() <= 0.97


def test_a_planted_gain_is_found_four_times_in_five_at_the_eras_it_needs() -> None:
    n_eras = 300
    gain = POWERED / np.sqrt(n_eras)  # the long-run variance is 1, so this is the gain that needs 300 eras
    found = mean_differences(gain + overlapping_noise(np.random.default_rng(6), n_eras, TOURNAMENTS), 4, resamples=RESAMPLES)
    low, high = binom.ppf([0.005, 0.995], TOURNAMENTS, 0.8)  # 145 … 174
    assert low <= ((found.p < 0.05) & (found.value > 0)).sum() <= high


def test_eras_needed_foretells_from_100_eras_what_the_truth_asks_for() -> None:
    gain = POWERED / np.sqrt(400)
    pilot = overlapping_noise(np.random.default_rng(7), 100, TOURNAMENTS)
    found = mean_differences(pilot - pilot.mean(0) + gain, 4, resamples=RESAMPLES)  # what is seen is what is true
    needed = [eras_needed(gain, float(error), 100) for error in found.error]
    # 400; the error of 100 eras is a few percent low, and enters squared.
    assert 300 <= np.median([n for n in needed if n is not None]) <= 440


def test_of_forty_null_variants_one_is_called_better_at_the_family_rate_though_raw_p_values_fail() -> None:
    rng = np.random.default_rng(8)
    raw, family = 0, 0
    for seed in range(TOURNAMENTS):
        scores = overlapping_noise(rng, 100, 41)
        found = mean_differences(scores[:, 1:] - scores[:, :1], 4, seed=seed, resamples=RESAMPLES)
        raw += (found.p < 0.05).any()
        family += (adjusted(found) < 0.05).any()
    assert family <= AT_MOST
    assert raw > 0.4 * TOURNAMENTS  # far outside: the reference is shared, or it would be 1 − .95⁴⁰ = 87 %


def test_a_real_gain_among_forty_null_variants_is_still_found() -> None:
    rng = np.random.default_rng(9)
    hits, false = 0, 0
    for seed in range(40):
        scores = overlapping_noise(rng, 200, 41)
        scores[:, 1] += 7 / np.sqrt(200)  # 5 standard errors of a difference of two variants
        p = adjusted(mean_differences(scores[:, 1:] - scores[:, :1], 4, seed=seed, resamples=RESAMPLES))
        hits += p[0] < 0.05
        false += (p[1:] < 0.05).any()
    assert hits >= 34
    assert false <= binom.ppf(0.99, 40, 0.05)


@pytest.mark.parametrize("n_eras", [60, 200])
def test_the_confidence_set_keeps_the_best_as_often_as_it_says(n_eras: int) -> None:
    rng = np.random.default_rng(n_eras)
    kept = [confidence_set(overlapping_noise(rng, n_eras, 5), 4, seed=seed)[0] for seed in range(60)]
    # Of five equal variants any one is a best one: to be dropped in at most 5 % of 60 tournaments, band 8.
    assert kept.count(False) <= binom.ppf(0.99, 60, 0.05)
