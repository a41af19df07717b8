"""The synthetic `small` tournament: XGBoost finds what is there and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.core.panel import Panel
from numerai_lab.core.split_config import SplitsConfig
from numerai_lab.core.splits import Splits, make_splits
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import era_table
from numerai_lab.fitting.truth import Truth
from numerai_lab.fitting.variants import RunContext, train_and_predict
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config

SMALL = Synthetic(size="small", world="unpaid", feature_set="all")
CONFIG = make_config(
    data={"source": "synthetic", "size": "small", "world": "unpaid", "feature_set": "all"},
    model={"kind": "xgboost", "n_estimators": 60, "learning_rate": 0.1},
    variants={"baseline": {}},
)


@pytest.fixture(scope="module")
def small() -> Loaded:
    return load(SMALL)


@pytest.fixture(scope="module")
def splits(small: Loaded) -> Splits:
    return make_splits(SplitsConfig(), era_table(small.panel), small.horizon_days)


def corr_by_era(panel: Panel, splits: Splits, eras: tuple[int, ...], truth: Panel, space: Scratch) -> np.ndarray:
    """Train on `panel`, score on the targets of `truth`."""
    predictions = train_and_predict(
        RunContext(CONFIG, panel, FitPlan.of(CONFIG, splits), space, Quiet(), lambda name, content: None), {}
    )
    assert truth.target is not None
    return np.array(
        [numerai_corr(predictions.at(panel, era).astype(float), truth.target[truth.rows(era)].astype(float))[0] for era in eras]
    )


def attainable(source: Synthetic, panel: Panel, eras: tuple[int, ...]) -> np.ndarray:
    """corr of the expected returns, from truth.parquet, which no model reads."""
    assert source.truth is not None
    truth = Truth.of(source.truth, panel, 20)
    return np.array([truth.corr(era) for era in eras])


def standard_error(scores: np.ndarray) -> float:
    """Of the mean, for eras whose 20-day targets overlap four at a time."""
    return float(scores.std() / np.sqrt(len(scores) / 4))


@pytest.mark.slow
def test_xgboost_is_clearly_above_0_and_below_what_the_truth_allows(small: Loaded, splits: Splits, space: Scratch) -> None:
    scores = corr_by_era(small.panel, splits, splits.scored, small.panel, space)
    best = attainable(SMALL, small.panel, splits.scored)
    assert scores.mean() > 3 * standard_error(scores)
    assert scores.mean() < best.mean()


@pytest.mark.slow
def test_later_eras_of_the_default_world_are_harder_by_the_truth() -> None:
    default = Synthetic(size="small")
    corr = attainable(default, load(default).panel, tuple(range(1, 197)))
    assert corr[98:].mean() < 0.9 * corr[:98].mean()


@pytest.mark.slow
def test_with_targets_shuffled_within_training_eras_nothing_is_found(small: Loaded, splits: Splits, space: Scratch) -> None:
    panel = small.panel
    assert panel.target is not None
    rng = np.random.default_rng(0)
    target = np.array(panel.target)
    for era in splits.train:
        target[panel.rows(era)] = rng.permutation(target[panel.rows(era)])
    shuffled = replace(panel, target=target)
    scores = corr_by_era(shuffled, splits, splits.scored, panel, space)
    assert abs(scores.mean()) < 3 * standard_error(scores)
