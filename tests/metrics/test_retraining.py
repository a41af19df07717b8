"""Noise of retraining: exact where it can be checked by hand, and how often equal methods are called different."""

import numpy as np
import pytest
from scipy.stats import binom, t

from numerai_lab.metrics.changes import Judging, changes, pairs_against
from numerai_lab.metrics.retraining import PairSide, retraining, scores_key, seed_noise
from tests.metrics.test_significance import overlapping_noise

CORR_ALONE = Judging(4, statistics=(("corr", "mean"),))


def test_the_variance_is_that_between_seeds_of_both_sides_over_their_number() -> None:
    one, two = np.array([0.01, 0.02, 0.03]), np.array([0.02, 0.02, 0.08])
    noise = seed_noise(PairSide([one], [1]), PairSide([two], [2]), 20_000)
    assert noise is not None
    assert noise.error[0] ** 2 == pytest.approx((one.var(ddof=1) + two.var(ddof=1)) / 3)
    for level in (0.8, 0.95, 0.99):
        wanted = t.ppf((1 + level) / 2, 4) * noise.error[0]
        assert np.quantile(np.abs(noise.draws[:, 0]), level) == pytest.approx(wanted, rel=0.06)


def test_the_last_bits_of_scores_which_differ_between_machines_decide_no_draw() -> None:
    scores = np.random.default_rng(0).normal(0, 0.03, (3, 500))
    scores[0, 0], scores[1, 1] = 0.0, np.nan
    for other in (scores * (1 + 4e-16), scores + 1e-17, scores - 1e-17):
        assert scores_key(other) == scores_key(scores)
    assert scores_key(scores + 1e-6) != scores_key(scores)


def test_a_side_with_one_seed_varies_as_the_other_does_and_a_deterministic_side_does_not() -> None:
    several, single, fixed = np.array([0.01, 0.02, 0.04]), np.array([0.02]), np.array([0.03, 0.03, 0.03])
    lone = seed_noise(PairSide([single], [1]), PairSide([several], [2]), 100)
    ridge = seed_noise(PairSide([fixed], [1]), PairSide([several], [2]), 100)
    assert lone is not None
    assert ridge is not None
    assert lone.error[0] ** 2 == pytest.approx(several.var(ddof=1) * (1 + 1 / 3))
    assert ridge.error[0] ** 2 == pytest.approx(several.var(ddof=1) / 3)
    assert seed_noise(PairSide([single], [1]), PairSide([single], [2]), 100) is None


def test_a_lucky_reference_is_lucky_in_every_pair_and_a_copy_of_it_differs_by_nothing() -> None:
    rng = np.random.default_rng(0)
    values = [rng.normal(size=3) for _ in range(3)]
    noise = seed_noise(PairSide(values, [1, 2, 0]), PairSide([values[0]] * 3, [0, 0, 0]), 20_000)
    assert noise is not None
    signs = np.sign(noise.draws[:, :2])
    assert 0.2 < np.corrcoef(signs.T)[0, 1] < 0.5  # 1/3 for two t that share one of two parts
    assert noise.error[2] == 0
    assert not noise.draws[:, 2].any()


def test_the_noise_of_the_set_is_pooled_over_members_that_vary() -> None:
    one, two, ridge = np.array([[0.0], [0.2]]), np.array([[0.1], [0.1 + 0.4]]), np.array([[0.3], [0.3]])
    noise = retraining([one, two, ridge, np.array([[0.7]])])
    assert noise is not None
    variance = (0.02 + 0.08) / 2
    np.testing.assert_allclose(noise.error**2, [variance / 2, variance / 2, 0, variance])
    assert noise.degrees == 2
    assert retraining([one[:1], two[:1]]) is None


def runs(rng: np.random.Generator, n: int, seeds: int, n_eras: int, between: float) -> dict[int, dict[str, np.ndarray]]:
    """One method run n times: eras in common, and models whose means differ by `between`, in errors of a mean over eras."""
    common = overlapping_noise(rng, n_eras, 1).T
    own = overlapping_noise(rng, n_eras, n * seeds).T.reshape(n, seeds, n_eras)
    means = rng.normal(0, between / np.sqrt(n_eras), (n, seeds, 1))
    return {i: {"corr": common + 0.5 * own[i] + means[i]} for i in range(n)}


@pytest.mark.parametrize(("seeds", "between"), [(2, 2.0), (3, 0.0), (3, 2.0), (5, 2.0)])
def test_the_same_method_under_other_seeds_is_called_different_at_most_at_the_nominal_rate(seeds: int, between: float) -> None:
    rng = np.random.default_rng(seeds)
    n_different, n_without, n_out = 0, 0, 0
    for _ in range(120):
        members = runs(rng, 2, seeds, 100, between)
        row = changes(members, 0, CORR_ALONE)[1]
        n_different += row["verdict"] in ("better", "worse")
        n_out += row["in_mcs"] is False
        averaged = {i: {"corr": own["corr"].mean(0, keepdims=True)} for i, own in members.items()}
        n_without += (
            float(str(pairs_against(averaged, {1: 0}, 4, statistics=CORR_ALONE.statistics)[1]["delta_corr_mean_p"])) < 0.05
        )
    assert n_different <= binom.ppf(0.99, 120, 0.05)
    assert n_out <= binom.ppf(0.99, 120, 0.05)
    assert between == 0 or n_without > 35  # era noise alone: measured 40 to 60 of 100
