"""Averages lie between their two parents, and the parents are who they are said to be: any row, near ones, or of like target."""

import numpy as np
import pytest

from numerai_lab.augmenters.average import Average, CMixup
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


def five_targets(n: int = 20_000) -> Block:
    """Rows with the tournament's target values; the only feature is the row's number."""
    target = np.random.default_rng(0).choice([0, 0.25, 0.5, 0.75, 1], size=n, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    return Block(1, np.arange(n, dtype=np.float32)[:, None], 1.0, target.astype(np.float32))


def partner_targets(block: Block, bandwidth: float) -> np.ndarray:
    """The targets of the partners, from means of equal shares."""
    made = CMixup(bandwidth=bandwidth, alpha=1e12).augment(block, np.random.default_rng(RNG))
    return np.rint(4 * (2 * made.target - block.target)) / 4  # type: ignore[operator, no-any-return]


def test_partners_are_drawn_in_proportion_to_a_gaussian_kernel_of_the_distance_of_targets() -> None:
    own = five_targets()
    assert own.target is not None
    values, counts = np.unique(own.target, return_counts=True)
    partners = partner_targets(own, 0.2)
    for value in values:
        expected = counts * np.exp(-((values - value) ** 2) / (2 * 0.2**2))
        drawn = np.array([np.mean(partners[own.target == value] == other) for other in values])
        np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.05)  # five standard errors of 1000 rows
    chance = np.abs(own.target - np.random.default_rng(5).permutation(own.target)).mean()
    assert np.abs(own.target - partners).mean() < 0.6 * chance


def test_with_a_wide_kernel_it_is_ordinary_mixing_and_with_a_narrow_one_targets_stay() -> None:
    own = five_targets()
    assert own.target is not None
    partners = partner_targets(own, 1e6)
    for value in np.unique(own.target):
        shares = [np.mean(partners[own.target == value] == other) for other in np.unique(own.target)]
        np.testing.assert_allclose(shares, [0.05, 0.2, 0.5, 0.2, 0.05], atol=0.06)
    made = CMixup(bandwidth=1e6, alpha=1.0).augment(own, np.random.default_rng(RNG))
    mixed = Average(alpha=1.0).augment(own, np.random.default_rng(RNG))
    levels = np.linspace(0.05, 0.95, 19)
    for ours, theirs in ((made.target, mixed.target), (made.features, mixed.features)):
        np.testing.assert_allclose(np.quantile(ours, levels), np.quantile(theirs, levels), rtol=0.03, atol=0.01)  # type: ignore[arg-type]
    kept = CMixup(bandwidth=0.01).augment(own, np.random.default_rng(RNG))
    np.testing.assert_allclose(kept.target, own.target, atol=1e-6)  # type: ignore[arg-type]
    assert (kept.features != own.features).mean() > 0.99


def test_partners_of_continuous_targets_are_near_in_target_too() -> None:
    own = block()  # targets 0 … 399, features at random
    made = CMixup(bandwidth=5.0, alpha=1e12).augment(own, np.random.default_rng(RNG))
    away = np.rint(2 * made.target - 2 * own.target)[50:-50]  # type: ignore[operator]
    assert away.std() == pytest.approx(5, rel=0.15)
    assert abs(away.mean()) < 1
    one_row = CMixup().augment(block(n=1), np.random.default_rng(RNG))
    np.testing.assert_array_equal(one_row.features, block(n=1).features)
