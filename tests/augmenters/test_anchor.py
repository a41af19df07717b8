"""Rows move along lines through the means of their clusters, and the means stay."""

import numpy as np
import pytest

from numerai_lab.augmenters.anchor import Anchor
from numerai_lab.core.panel import Block
from tests.conftest import make_panel


def joint(block: Block) -> np.ndarray:
    return np.column_stack([block.features, block.target]).astype(np.float64)


@pytest.mark.parametrize("binned", [True, False])
def test_every_row_moves_by_one_factor_from_the_mean_of_its_cluster_which_stays(binned: bool) -> None:
    panel = make_panel(n_rows=300, binned=binned)
    fitted = Anchor(clusters=4, gamma=2.0).fit(panel, np.random.default_rng(0))
    factors = []
    for era in range(1, 31):
        own = panel.block(era)
        made = fitted.augment(own, np.random.default_rng(era))
        cluster = fitted.cluster_of(own)
        assert len(np.unique(cluster)) == 4
        before, after = joint(own), joint(made)
        moved = []
        for i in np.unique(cluster):
            mean = before[cluster == i].mean(0)
            np.testing.assert_allclose(after[cluster == i].mean(0), mean, atol=1e-5)
            away = before[cluster == i] - mean
            moved.append(((after[cluster == i] - mean) * away).sum() / (away**2).sum())
            np.testing.assert_allclose(after[cluster == i] - mean, moved[-1] * away, atol=1e-5)
        assert np.ptp(moved) < 1e-5  # one γ an era
        factors.append(moved[0])
    assert 2**-0.5 <= min(factors) < 0.9 < 1.1 < max(factors) <= 2**0.5
    assert 8 < sum(factor > 1 for factor in factors) < 22  # even odds, three standard deviations


def test_a_linear_relation_of_features_and_target_stays() -> None:
    panel = make_panel(n_rows=200)
    fitted = Anchor().fit(panel, np.random.default_rng(0))
    own = panel.block(3)
    relation = np.random.default_rng(1).standard_normal(12)
    exact = Block(3, own.features, own.top, (own.features @ relation).astype(np.float32))
    made = fitted.augment(exact, np.random.default_rng(2))
    np.testing.assert_allclose(made.target, made.features @ relation, atol=1e-4)  # type: ignore[arg-type]


def test_clusters_that_are_far_apart_are_found_and_stay_apart() -> None:
    panel = make_panel(n_rows=100)
    planted = np.arange(panel.n_rows) % 5
    features = np.repeat(planted[:, None], 12, axis=1).astype(np.int8)
    features[:, 0] = np.random.default_rng(0).integers(0, 5, panel.n_rows)
    panel.__dict__["features"] = features
    fitted = Anchor(clusters=5).fit(panel, np.random.default_rng(0))
    own = panel.block(7)
    cluster, rows = fitted.cluster_of(own), panel.rows(7)
    assert len({(a, b) for a, b in zip(cluster.tolist(), planted[rows].tolist(), strict=True)}) == 5
    made = fitted.augment(own, np.random.default_rng(1))
    np.testing.assert_allclose(made.features[:, 1:], own.features[:, 1:], atol=1e-5)  # no deviation within a cluster
    assert (made.features[:, 0] != own.features[:, 0]).mean() > 0.8


def test_rebinned_rows_keep_the_means_of_clusters_nearly_and_stay_in_range() -> None:
    panel = make_panel(n_rows=2000, n_eras=4)
    fitted = Anchor(clusters=3, rebin=True).fit(panel, np.random.default_rng(0))
    for era in range(1, 5):
        own = panel.block(era)
        made = fitted.augment(own, np.random.default_rng(era))
        assert set(np.unique(made.features)) <= set(range(5))
        for i in range(3):
            rows = fitted.cluster_of(own) == i
            np.testing.assert_allclose(made.features[rows].mean(0), own.features[rows].mean(0), atol=0.25)  # clipping moves them
