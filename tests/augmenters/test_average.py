"""Averages lie between their two parents, and the parents are who they are said to be."""

import numpy as np
import pytest

from numerai_lab.augmenters.average import Average
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block
from tests.conftest import make_config

RNG = 1


def block(n: int = 400, p: int = 20) -> Block:
    rng = np.random.default_rng(0)
    return Block(1, rng.integers(0, 5, (n, p)).astype(np.int8), 4.0, np.arange(n, dtype=np.float32))


def test_the_default_is_the_mean_of_two_rows_of_the_era_each_a_partner_once() -> None:
    own = block()
    made = Average().augment(own, np.random.default_rng(RNG))
    partners = (2 * made.target - own.target).astype(int)  # type: ignore[operator]
    assert sorted(partners) == list(range(400))
    np.testing.assert_array_equal(made.features, (own.features.astype(np.float32) + own.features[partners]) / 2)
    assert (partners != np.arange(400)).mean() > 0.98


def test_mixup_draws_one_share_a_row_for_features_and_target_alike() -> None:
    zeros, ones = (Block(1, np.full((20_000, 3), v, np.int8), 4.0, np.full(20_000, v / 4, np.float32)) for v in (0, 4))
    for alpha in (0.2, 1.0, 5.0):
        made = Average(alpha=alpha).blend(ones, zeros, np.random.default_rng(RNG))
        share = made.features[:, 0] / 4
        np.testing.assert_allclose(made.features, 4 * np.tile(share[:, None], 3), atol=1e-6)
        np.testing.assert_allclose(made.target, share, atol=1e-6)
        variance = 1 / (4 * (2 * alpha + 1))  # of Beta(α, α)
        assert share.mean() == pytest.approx(0.5, abs=0.015)
        assert share.var() == pytest.approx(variance, rel=0.05)


def test_the_nearest_partner_is_one_of_the_nearest_rows_and_never_the_row_itself() -> None:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2, (40, 30)) * 4  # ten rows round each of 40 far corners
    features = np.repeat(centres, 10, axis=0).astype(np.float32) + rng.normal(0, 0.05, (400, 30)).astype(np.float32)
    own = Block(1, features, 4.0, np.arange(400, dtype=np.float32))
    made = Average(partner="nearest", neighbours=5).augment(own, np.random.default_rng(RNG))
    partners = np.rint(2 * made.target - own.target).astype(int)  # type: ignore[operator]
    assert (partners // 10 == np.arange(400) // 10).all()
    assert (partners != np.arange(400)).all()
    assert len(set((partners - np.arange(400)).tolist())) > 5


def test_rebinned_halves_go_up_or_down_at_random_so_that_means_stay() -> None:
    ones, twos = (Block(1, np.full((20_000, 2), v, np.int8), 4.0, np.zeros(20_000, np.float32)) for v in (1, 2))
    made = Average(rebin=True).blend(ones, twos, np.random.default_rng(RNG)).features
    assert made.dtype == np.int8
    assert sorted(set(made.ravel().tolist())) == [1, 2]
    assert made.mean() == pytest.approx(1.5, abs=0.0125)  # five standard errors


def test_nearest_partners_across_eras_are_refused_with_a_sentence() -> None:
    with pytest.raises(NlabError, match="augmenters.a.*partner nearest looks within the era"):
        make_config(augmenters={"a": {"kind": "average", "within_era": False, "partner": "nearest"}})
