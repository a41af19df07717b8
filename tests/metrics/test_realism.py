"""The realism report finds out generators that cheat, and lets other real eras pass."""

import numpy as np

from numerai_lab.core.panel import Panel
from numerai_lab.metrics.realism import Realism, RowSample, realism
from tests.conftest import make_panel


def sample(panel: Panel, eras: range) -> RowSample:
    blocks = [panel.block(era) for era in eras]
    targets = [block.target for block in blocks if block.target is not None]
    features = np.concatenate([block.features for block in blocks])
    return RowSample(features, np.concatenate(targets), np.repeat(list(eras), [len(block) for block in blocks]))


PANEL = make_panel(n_eras=60, n_rows=100)
TRAIN, HELD = sample(PANEL, range(1, 21)), sample(PANEL, range(21, 41))


def judged(made: RowSample) -> Realism:
    return realism(TRAIN, HELD, made, 0)


def test_other_real_eras_pass_for_real() -> None:
    found = judged(sample(PANEL, range(41, 61)))
    assert 0.5 < found.corr_ratio < 2
    assert 0.5 < found.target_corr_ratio < 2
    assert abs(found.auc - 0.5) < 0.05
    assert 0.9 < found.memorised < 1.1
    assert found.tstr > 0.7 * found.trtr > 0.1
    assert found.bins_max < 0.06


def test_a_generator_that_copies_training_rows_is_exposed_by_their_distance() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(len(TRAIN), size=2000)
    found = judged(RowSample(TRAIN.features[rows], TRAIN.target[rows], np.repeat(np.arange(20), 100)))
    assert found.memorised == 0
    assert found.corr_ratio < 2  # all else looks real


def test_independent_marginals_are_exposed_by_correlations_and_by_a_classifier() -> None:
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permutation(column) for column in TRAIN.features.T], axis=1)
    found = judged(RowSample(shuffled, TRAIN.target, TRAIN.era))
    assert found.bins_max == 0  # by proportions alone it would pass
    assert found.corr_ratio > 5
    assert found.auc > 0.8
    assert found.tstr < 0.3 * found.trtr


def test_ratios_do_not_depend_on_how_many_rows_were_made() -> None:
    panel = make_panel(n_eras=90, n_rows=300, n_features=30)
    train, held, other = (sample(panel, eras) for eras in (range(1, 31), range(31, 61), range(61, 91)))
    for n in (300, 900, 9000):
        summary = realism(train, held, other.take(np.arange(n)), 0)
        assert summary.eras == n // 300
        assert 0.7 < summary.corr_ratio < 1.4
        assert 0.5 < summary.target_corr_ratio < 2
        assert 0.4 < summary.auc < 0.65
        assert n > 300 or np.isnan(summary.diversity)


def test_eras_that_are_all_the_same_have_no_diversity() -> None:
    panel = make_panel(n_eras=40, n_rows=400)
    turned = np.repeat(np.arange(40) % 2 == 0, 400)
    assert panel.target is not None
    varied = sample(panel, range(1, 41))
    varied = RowSample(varied.features, np.where(turned, 1 - varied.target, varied.target).astype(np.float32), varied.era)
    same = RowSample(varied.features, panel.target, varied.era)
    assert realism(varied, varied, same, 0).diversity < 0.2
    assert realism(varied, varied, varied, 0).diversity == 1


def test_proportions_are_given_for_every_feature() -> None:
    features = TRAIN.features.copy()
    features[:, 3] = 4
    found = judged(RowSample(features, TRAIN.target, TRAIN.era))
    np.testing.assert_allclose(found.proportions.sum(1), 1)
    assert found.proportions[3].tolist() == [0, 0, 0, 0, 1]
    assert found.bins_max > 0.7
