"""The band of luck around a cumulative difference."""

import numpy as np
import pytest
from scipy.stats import binom

from numerai_lab.metrics.significance import luck


def overlapping(rng: np.random.Generator, n_eras: int, n: int, overlap: int = 4) -> np.ndarray:
    """Differences without a mean whose eras share returns, as targets that overlap do."""
    noise = rng.normal(size=(n_eras + overlap - 1, n))
    return np.stack([noise[i : i + overlap].mean(0) for i in range(n_eras)])


@pytest.mark.parametrize("n_eras", [60, 200])
def test_the_path_of_a_sum_of_nothing_but_luck_stays_inside_the_band_95_times_in_100(n_eras: int) -> None:
    differences = overlapping(np.random.default_rng(n_eras), n_eras, 300)
    left = (np.abs(np.cumsum(differences, axis=0)) > luck(differences, 4, resamples=400)).any(0)
    # 5 % at most, and not so wide that nothing ever leaves it: 99 % of what the binomial law gives at 5 % and at 3 %.
    assert binom.ppf(0.005, 300, 0.03) <= left.sum() <= binom.ppf(0.99, 300, 0.05)


def test_a_real_gain_leaves_it() -> None:
    rng = np.random.default_rng(1)
    differences = overlapping(rng, 200, 50) + 0.35  # 4.9 standard errors of the whole sum
    assert (np.cumsum(differences, axis=0)[-1] > luck(differences, 4, resamples=400)[-1]).mean() > 0.9


def test_eras_without_a_score_add_nothing_and_too_few_eras_say_nothing() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal(size=(60, 1))
    differences[10:20] = np.nan
    assert np.isfinite(luck(differences, 4)).all()
    assert np.isnan(luck(differences[:15], 4)).all()
