"""Era boosting: later trees see the worst eras and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.core.xgboost_matrix import cuts_between_bins
from numerai_lab.models import XGBoost
from numerai_lab.models.era_boost import EraBoost
from tests.conftest import component, make_panel

WHOLE = {"learning_rate": 0.3, "colsample_bytree": 1.0, "n_jobs": 1}


def two_relations() -> Panel:
    """Eras 1 to 15 follow the first feature, 16 to 20 the second."""
    panel = make_panel(n_eras=20, n_rows=60)
    column = np.where(np.repeat(np.arange(20), 60) < 15, panel.features[:, 0], panel.features[:, 1])
    noise = np.random.default_rng(0).normal(size=len(column))
    return replace(panel, target=(column / 4 + noise / 4).astype(np.float32))


def stream(panel: Panel, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel, ("raw",), panel.raw_names, 0, augmenters)  # type: ignore[arg-type]


def corr_by_era(model: XGBoost, panel: Panel) -> Float32:
    return np.array([np.corrcoef(model.predict(block.matrix(["raw"])), block.target)[0, 1] for block in panel.blocks()])  # type: ignore[arg-type]


def test_the_worst_eras_are_those_of_least_rank_correlation_and_a_constant_one_counts_as_0() -> None:
    eras = np.repeat([7, 3, 5, 9], 4)
    target = np.tile(np.float32([0, 0.25, 0.75, 1]), 4)
    predictions = np.concatenate([[1, 2, 3, 4], [4, 3, 2, 1], [5, 5, 5, 5], [1, 2, 4, 3]]).astype(np.float32)
    shuffle = np.random.default_rng(0).permutation(16)
    worst = EraBoost(share=0.5).worst(eras[shuffle], target[shuffle], predictions[shuffle])
    assert set(eras[shuffle][worst]) == {3, 5}
    assert worst.sum() == 8
    assert set(eras[EraBoost(share=0.01).worst(eras, target, predictions)]) == {3}


def test_eras_that_follow_another_relation_are_learned_better() -> None:
    panel = two_relations()
    plain = XGBoost(n_estimators=60, max_depth=2, **WHOLE)  # type: ignore[arg-type]
    boosted = plain.model_copy(update={"era_boost": EraBoost(every=10, share=0.25)})
    of_plain, of_boosted = (corr_by_era(model.fit(stream(panel), np.random.default_rng(0)), panel) for model in (plain, boosted))
    assert of_boosted[15:].mean() > of_plain[15:].mean() + 0.05


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_later_trees_are_those_grown_on_the_rows_of_the_worst_eras_alone(weight: float) -> None:
    import xgboost

    panel = two_relations()
    blocks = stream(panel, again=component("duplicate", weight=weight))
    boosted = XGBoost(n_estimators=10, era_boost=EraBoost(every=5, share=0.25), **WHOLE)  # type: ignore[arg-type]
    ours = boosted.fit(blocks, np.random.default_rng(0))
    first = XGBoost(n_estimators=5, **WHOLE).fit(blocks, np.random.default_rng(0))  # type: ignore[arg-type]

    batches = list(blocks)
    X, y = np.concatenate([batch.X for batch in batches]), blocks.targets()
    eras = np.concatenate([np.full(len(batch.y), batch.era) for batch in batches])
    weights = np.repeat(np.float32([1, weight]), len(y) // 2)
    rows = EraBoost(share=0.25).worst(eras, y, first.predict(X))
    assert 0 < rows.sum() < len(rows)
    cutting = {"max_bin": 16, "nthread": 1}
    matrix = xgboost.QuantileDMatrix(X[rows], y[rows], weight=weights[rows], ref=cuts_between_bins(blocks, cutting), **cutting)
    parameters = {"tree_method": "hist", "max_depth": 5, "max_bin": 16, "learning_rate": 0.3, "nthread": 1}
    theirs = xgboost.Booster(parameters, [matrix], bytearray(first.booster_.save_raw("ubj")))
    for tree in range(5, 10):
        theirs.update(matrix, iteration=tree)
    np.testing.assert_allclose(ours.predict(X), theirs.inplace_predict(X), atol=1e-5)


def test_a_number_of_trees_that_does_not_divide_a_hundred_is_refused() -> None:
    with pytest.raises(ValueError, match="got 30, wanted a divisor of 100, such as 10, 20 or 25"):
        EraBoost(every=30)
