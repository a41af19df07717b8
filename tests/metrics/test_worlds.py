"""Changes over several worlds, with the world as a random effect."""

import numpy as np
import pytest
from scipy import stats

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.worlds import WorldEffects, world_effects


def test_one_method_whose_worlds_lie_apart_has_the_interval_of_a_t_test_over_worlds() -> None:
    values = np.array([[0.010], [0.030], [0.050]])
    effects = world_effects(values, np.full((3, 1), 0.001), np.eye(1))
    by_scipy = stats.ttest_1samp(values[:, 0], 0)
    interval = by_scipy.confidence_interval(0.95)
    assert effects.low[0] == pytest.approx(interval.low, rel=0.04)
    assert effects.high[0] == pytest.approx(interval.high, rel=0.04)
    assert effects.p[0] == pytest.approx(by_scipy.pvalue, rel=0.1)
    assert effects.overdispersion == pytest.approx(400)


def test_worlds_that_agree_better_than_their_errors_allow_do_not_narrow_the_interval() -> None:
    errors = np.full((3, 1), 0.002)
    alike = world_effects(np.array([[0.004], [0.004], [0.004]]), errors, np.eye(1))
    assert alike.overdispersion == 1
    assert alike.high[0] - alike.low[0] == pytest.approx(2 * stats.t.ppf(0.975, 2) * 0.002 / np.sqrt(3), rel=0.04)


def test_the_methods_together_tell_how_far_worlds_lie_apart() -> None:
    rng = np.random.default_rng(0)
    errors = np.full((3, 20), 0.001)
    effects = world_effects(rng.normal(0, 0.002, (3, 20)), errors, np.eye(20))
    assert effects.overdispersion == pytest.approx(4, rel=0.3)
    alone = world_effects(rng.normal(0, 0.002, (3, 1)), errors[:, :1], np.eye(1))
    assert (effects.high - effects.low).max() < 2 * stats.t.ppf(1 - 0.025 / 20, 2) * alone.overdispersion**0.5 * 0.001


@pytest.mark.parametrize(
    ("n_methods", "correlation", "apart"),
    [
        (1, 0.0, 3.0),
        (5, 0.5, 1.0),
        pytest.param(20, 0.0, 2.0, marks=pytest.mark.slow),
        pytest.param(20, 0.5, 1.0, marks=pytest.mark.slow),
    ],
)
def test_at_most_one_family_in_twenty_calls_an_equal_method_different(n_methods: int, correlation: float, apart: float) -> None:
    rng = np.random.default_rng(n_methods)
    errors = np.exp(rng.normal(0, 0.5, n_methods))
    matrix = np.full((n_methods, n_methods), correlation) + (1 - correlation) * np.eye(n_methods)
    families = [_family(rng, errors, matrix, apart) for _ in range(200)]
    wrong = sum(bool(((family.low > 0) | (family.high < 0)).any()) for family in families)
    assert wrong <= stats.binom.ppf(0.995, 200, 0.05)


def test_a_gain_of_many_errors_is_told_in_every_family() -> None:
    rng = np.random.default_rng(1)
    errors, matrix = np.ones(10), 0.5 + 0.5 * np.eye(10)
    gains = np.eye(10)[0] * 12
    assert all(_family(rng, errors, matrix, 1.0, gains).low[0] > 0 for _ in range(50))


def _family(
    rng: np.random.Generator, errors: Float64, correlation: Float64, apart: float, gains: Float64 | float = 0.0
) -> WorldEffects:
    """Three worlds: noise of eras with `errors`, worlds `apart` times as far, both with the same correlation of methods."""
    root = np.linalg.cholesky(correlation)
    noise, worlds = (errors * (rng.standard_normal((3, len(errors))) @ root.T) for _ in range(2))
    return world_effects(gains + noise + apart * worlds, np.tile(errors, (3, 1)), correlation)
