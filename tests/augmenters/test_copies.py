"""Cutout and noise do exactly what their authors wrote."""

import numpy as np
import pytest

from numerai_lab.augmenters.copies import Cutout, Duplicate, FeatureReversal, GaussianNoise, SwapNoise
from numerai_lab.core.panel import Block


def block(n: int = 200, p: int = 30) -> Block:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 5, (n, p)).astype(np.int8)
    return Block(1, features, 4.0, rng.uniform(size=n).astype(np.float32))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_cutout_blanks_the_same_columns_for_every_row_of_an_era_and_nothing_else(fraction: float) -> None:
    own = block()
    made = Cutout(fraction=fraction).augment(own, np.random.default_rng(1))
    constant = (made.features == 2).all(0)
    assert constant.sum() == round(fraction * 30)
    np.testing.assert_array_equal(made.features[:, ~constant], own.features[:, ~constant])
    np.testing.assert_array_equal(made.target, own.target)
    assert made.features.dtype == np.int8


def test_cutout_per_row_blanks_other_columns_in_other_rows() -> None:
    own = Block(1, np.full((100, 20), 4, np.int8), 4.0, np.zeros(100, np.float32))
    cut = Cutout(fraction=0.25, per_row=True).augment(own, np.random.default_rng(1)).features == 2
    assert (cut.sum(1) == 5).all()
    assert len(np.unique(cut, axis=0)) > 90


def test_cutout_of_continuous_features_blanks_to_one_half() -> None:
    own = Block(1, np.full((5, 10), 0.9, np.float32), 1.0, np.zeros(5, np.float32))
    made = Cutout(fraction=0.5).augment(own, np.random.default_rng(1)).features
    assert sorted(set(made[0].tolist())) == [0.5, pytest.approx(0.9)]


def test_noise_has_sigma_point_3_on_0_to_1_and_is_neither_clipped_nor_binned() -> None:
    own = block(5000)
    made = GaussianNoise().augment(own, np.random.default_rng(1))
    noise = (made.features - own.features) / 4
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert abs(noise.mean()) < 0.003
    assert made.features.min() < 0
    assert made.features.max() > 4
    assert len(np.unique(made.features)) > 1000
    np.testing.assert_array_equal(made.target, own.target)


def test_rebinned_noise_gives_bins() -> None:
    made = GaussianNoise(rebin=True).augment(block(5000), np.random.default_rng(1)).features
    assert made.dtype == np.int8
    assert np.unique(made).tolist() == [0, 1, 2, 3, 4]


def test_rebinned_noise_keeps_the_middle_of_a_feature_unbiased() -> None:
    own = Block(1, np.full((20_000, 2), 2, np.int8), 4.0, np.zeros(20_000, np.float32))
    made = GaussianNoise(sigma=0.3, rebin=True).augment(own, np.random.default_rng(1)).features
    assert made.mean() == pytest.approx(2, abs=0.02)  # 4 standard errors of a mean of 40,000 values of sd 1.2 are .024


def test_a_duplicate_is_the_row_itself() -> None:
    own = block()
    made = Duplicate().augment(own, np.random.default_rng(1))
    np.testing.assert_array_equal(made.features, own.features)
    np.testing.assert_array_equal(made.target, own.target)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_swap_noise_takes_that_share_of_the_cells_from_other_rows_of_the_era(share: float) -> None:
    n, p = 500, 40
    features = (np.arange(n)[:, None] + 1000 * np.arange(p)).astype(np.float32)  # every cell tells its row and column
    own = Block(1, features, 1.0, np.arange(n, dtype=np.float32))
    made = SwapNoise(share=share).augment(own, np.random.default_rng(1))
    swapped = made.features != own.features
    assert swapped.mean() == pytest.approx(share, abs=5 * np.sqrt(share / (n * p)))  # five standard errors
    np.testing.assert_array_equal(made.features // 1000, own.features // 1000)
    np.testing.assert_array_equal(made.target, own.target)
    counts = np.bincount(swapped.sum(1), minlength=p)
    assert len(counts[counts > 0]) > 5  # cells are drawn one by one, not so many a row


def test_swapped_cells_follow_their_features_distribution() -> None:
    from scipy.stats import chisquare

    rng = np.random.default_rng(0)
    features = rng.choice(5, p=[0.6, 0.1, 0.1, 0.1, 0.1], size=(20_000, 3)).astype(np.int8)
    own = Block(1, features, 4.0, np.zeros(20_000, np.float32))
    made = SwapNoise(share=0.5).augment(own, np.random.default_rng(1)).features
    for column in range(3):
        changed = made[:, column] != features[:, column]
        assert changed.mean() == pytest.approx(0.5 * (1 - 0.36 - 0.04), abs=0.02)
        expected = np.bincount(features[:, column], minlength=5)
        assert chisquare(np.bincount(made[:, column], minlength=5), expected).pvalue > 0.001


@pytest.mark.parametrize("fraction", [0.25, 1.0])
def test_reversal_turns_a_quarter_of_the_features_upside_down_and_keeps_the_target(fraction: float) -> None:
    own = block()
    made = FeatureReversal(fraction=fraction).augment(own, np.random.default_rng(1))
    flipped = (made.features == 4 - own.features).all(0)
    assert flipped.sum() == round(fraction * 30)
    np.testing.assert_array_equal(made.features[:, ~flipped], own.features[:, ~flipped])
    np.testing.assert_array_equal(made.target, own.target)
    assert made.features.dtype == np.int8
