"""The band of luck around a cumulative difference."""

import numpy as np

from numerai_lab.metrics.significance import luck


def overlapping(rng: np.random.Generator, n_eras: int, n: int, overlap: int = 4) -> np.ndarray:
    """Differences without a mean whose eras share returns, as targets that overlap do."""
    noise = rng.normal(size=(n_eras + overlap - 1, n))
    return np.stack([noise[i : i + overlap].mean(0) for i in range(n_eras)])


def test_a_sum_of_nothing_but_luck_ends_inside_the_band_about_95_times_in_100() -> None:
    differences = overlapping(np.random.default_rng(0), 200, 300)
    reach = luck(differences, 4, resamples=400)
    inside = np.abs(np.cumsum(differences, axis=0)) <= reach
    for era in (50, 120, 199):
        assert 0.9 < inside[era].mean() < 0.99


def test_a_real_gain_leaves_it() -> None:
    rng = np.random.default_rng(1)
    differences = overlapping(rng, 200, 50) + 0.3
    assert (np.cumsum(differences, axis=0)[-1] > luck(differences, 4, resamples=400)[-1]).mean() > 0.9


def test_eras_without_a_score_add_nothing_and_too_few_eras_say_nothing() -> None:
    rng = np.random.default_rng(2)
    differences = rng.normal(size=(60, 1))
    differences[10:20] = np.nan
    assert np.isfinite(luck(differences, 4)).all()
    assert np.isnan(luck(differences[:15], 4)).all()
