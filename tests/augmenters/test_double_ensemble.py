"""DoubleEnsemble's weights of rows: less for easy rows, less for noise, by the formula of its authors."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters.double_ensemble import DoubleEnsemble, _binned_weights, _ranks
from numerai_lab.core.arrays import Array
from numerai_lab.core.panel import Panel
from tests.conftest import make_panel

QUICK = {"n_models": 1, "n_estimators": 30, "colsample_bytree": 1.0}


def mislabelled() -> tuple[Panel, Array]:
    """Rows whose target is a step of the first feature, but for a marked fifth, whose target is the other one."""
    panel, rng = make_panel(n_eras=10, n_rows=100), np.random.default_rng(0)
    wrong = rng.random(len(panel.features)) < 0.2
    target = (panel.features[:, 0] > 2) != wrong
    return replace(panel, target=target.astype(np.float32)), wrong


def weights_of(panel: Panel, **parameters: object) -> Array:
    weigher = DoubleEnsemble.model_validate({**QUICK, **parameters}).fit(panel, np.random.default_rng(0))
    return np.concatenate([weigher.weigh(era, 100) for era in panel.eras.tolist()])


def test_rows_whose_loss_does_not_fall_weigh_less_and_rows_of_large_loss_more() -> None:
    panel, wrong = mislabelled()
    against_noise = weights_of(panel, easy=0.0)
    assert against_noise[wrong].mean() < 0.8 * against_noise[~wrong].mean()
    against_easy = weights_of(panel, noisy=0.0)
    assert against_easy[wrong].mean() > 1.5 * against_easy[~wrong].mean()


def test_further_models_are_trained_with_the_weights_and_move_them_towards_equal_ones() -> None:
    panel, _ = mislabelled()
    once, twice = weights_of(panel), weights_of(panel, n_models=2)
    assert twice.max() / twice.min() < once.max() / once.min()
    assert np.corrcoef(once, twice)[0, 1] < 0.999


def test_weights_of_bins_are_those_of_pandas_cut() -> None:
    pd = pytest.importorskip("pandas")
    h = np.random.default_rng(0).normal(1, 0.3, 500)
    frame = pd.DataFrame({"h": h, "bin": pd.cut(h, 10, labels=False)})
    wanted = 1 / (0.25 * frame.groupby("bin")["h"].transform("mean") + 0.1)
    np.testing.assert_allclose(_binned_weights(h, 10, 0.25), wanted, rtol=1e-6)


def test_ranks_run_from_one_nth_to_one_with_ties_at_their_mean() -> None:
    np.testing.assert_allclose(_ranks(np.array([3.0, 1, 1, 7])), [0.75, 0.375, 0.375, 1])
