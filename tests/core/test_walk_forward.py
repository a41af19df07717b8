"""Walk-forward validation: no step sees an era of its block, or of the embargo before it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.core.walk_forward import Retrain, make_steps
from numerai_lab.experiment import RunOptions, out_of_fold, run
from numerai_lab.fitting.fit_plan import FitPlan, steps_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.report.comparison import compare
from numerai_lab.storage.scratch import Scratch
from numerai_lab.studies.rescore import score_predictions
from tests.conftest import Quiet, make_config, make_panel, quick

SPLITS = Splits(tuple(range(1, 61)), (*range(61, 69), *range(81, 89)), tuple(range(69, 81)), tuple(range(89, 101)), 8, 8)
KNOWN = {*range(1, 101)}


def test_each_step_predicts_a_block_and_trains_on_what_ends_the_embargo_before_it() -> None:
    steps = make_steps(Retrain(every=10), SPLITS, KNOWN)
    assert [(step.val1[0], step.val1[-1], len(step.val1)) for step in steps] == [
        (69, 78, 10),
        (79, 80, 2),
        (89, 98, 10),
        (99, 100, 2),
    ]
    assert [step.train for step in steps] == [tuple(range(1, end)) for end in (61, 71, 81, 91)]
    assert [step.name_of(step.val1[0]) for step in steps] == ["walk1", "walk2", "walk3", "walk4"]
    assert {step.distance for step in steps} == {8}


def test_a_window_slides_and_unknown_targets_and_strides_are_left_out() -> None:
    (first, *_, last) = make_steps(Retrain(every=10, window=20), SPLITS, KNOWN - {75, 76})
    assert first.train == tuple(range(41, 61))
    assert last.train == (71, 72, 73, 74, *range(77, 91))
    thinned = replace(SPLITS, train=SPLITS.train[::4])
    assert make_steps(Retrain(every=50), thinned, KNOWN, stride=4)[0].train == SPLITS.train[::4]
    assert make_steps(Retrain(every=20), thinned, KNOWN, stride=4)[1].train == (*SPLITS.train[::4], 61, 65, 69, 73, 77)


def test_a_window_that_leaves_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(
        NlabError, match=r"retrain\.window: step 1 has 1 eras to learn from in the 1 before era 61; take a longer"
    ):
        make_steps(Retrain(window=1), SPLITS, KNOWN)


@given(
    st.integers(1, 60), st.one_of(st.just("expanding"), st.integers(2, 200)), st.integers(0, 12), st.sets(st.integers(61, 100))
)
def test_no_step_ever_sees_its_block_or_the_embargo_before_it(
    every: int, window: int | str, embargo: int, unknown: set[int]
) -> None:
    splits = replace(SPLITS, embargo_eras=embargo)
    try:
        steps = make_steps(Retrain.model_validate({"every": every, "window": window}), splits, KNOWN - unknown)
    except NlabError:
        assert window != "expanding"
        return
    assert [era for step in steps for era in step.val1] == list(splits.scored)
    for step in steps:
        assert max(step.train) < step.val1[0] - embargo
        assert step.val1[-1] - step.val1[0] < every
        assert not unknown & {*step.train}
        assert window == "expanding" or min(step.train) >= step.val1[0] - embargo - int(window)


def test_predictions_of_a_step_depend_on_no_target_from_the_embargo_on_and_on_those_before(tmp_path: Path) -> None:
    panel = make_panel(n_eras=40)
    splits = Splits(tuple(range(1, 16)), tuple(range(16, 19)), tuple(range(19, 29)), tuple(range(32, 41)), 3, 3)
    config = make_config(
        generators={"own": {**quick("pca"), "select": {"by": "variance", "top_k": 5}}},  # chosen by training labels
        augmenters={"recent": {"kind": "recency"}, "worst": quick("block_dro")},
        variants={"baseline": {}, "own": {"features": ["raw", "own"]}, "weights": {"augment": ["recent", "worst"]}},
        retrain={"every": 5},
    )
    step = steps_of(config, panel, splits)[1]
    assert (step.val1[0], max(step.train)) == (24, 20)
    eras = np.repeat(panel.eras, 40)

    def predicted(panel: Panel, name: str) -> Float32:
        (tmp_path / name).mkdir()
        context = RunContext(
            config, panel, FitPlan.of(config, splits), Scratch(tmp_path / name), Quiet(), lambda name, content: None
        )
        return out_of_fold(context, FitPlan.of(config, step)).values

    assert panel.target is not None
    clean = predicted(panel, "clean")
    hidden = replace(panel, target=np.where(eras > 20, 1 - panel.target, panel.target))
    np.testing.assert_array_equal(clean, predicted(hidden, "hidden"))
    seen = predicted(replace(panel, target=np.where(eras == 20, 1 - panel.target, panel.target)), "seen")
    assert not (clean == seen).all(0).any()  # validation eras before the embargo are learned from


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    splits = {"train": "train", "embargo": "auto", "holdout": 5}
    configs = [make_config(splits=splits, **retrain) for retrain in ({"retrain": {"every": 10, "window": 30}}, {})]
    return [run(config, folder, Quiet(), options=RunOptions()).path for config in configs]


def test_a_run_scores_its_steps_apart_from_the_one_fit_on_the_same_eras_and_never_the_holdout(runs: list[Path]) -> None:
    predictions, scores, plain = (
        pl.read_parquet(runs[0] / "predictions.parquet"),
        pl.read_csv(runs[0] / "scores.csv"),
        pl.read_csv(runs[1] / "scores.csv"),
    )
    walked = predictions.filter(pl.col("split").str.starts_with("walk"))
    once = predictions.filter(pl.col("split").is_in(["val1", "val2"]))
    assert walked.select("id", "era").sort("id", "era").equals(once.select("id", "era").sort("id", "era"))
    assert predictions["era"].max() < 96 - 8  # the holdout and its embargo
    assert scores["split"].to_list() == ["val1", "val2", "val", "walk"]
    assert scores["corr_mean"].to_list()[:3] == plain["corr_mean"].to_list()
    assert scores["n_eras"][3] == scores["n_eras"][2]
    text = (runs[0] / "scores.md").read_text()
    assert "walk: val1 and val2 by models fitted again every 10 eras on the 30 eras before it, the embargo between" in text


def test_steps_are_compared_between_runs_of_the_same_retraining_and_own_predictions_are_scored_once(runs: list[Path]) -> None:
    (group,) = compare(runs).groups
    assert dict(group.table.filter(run=runs[0].name).select("split", "delta_corr_mean").rows())["walk"] is None
    config = make_config(splits={"train": "train", "embargo": "auto", "holdout": 5})
    scored = score_predictions(runs[0] / "predictions.parquet", config, Quiet())
    assert scored.scores["corr_mean"].to_list() == pytest.approx(pl.read_csv(runs[1] / "scores.csv")["corr_mean"].to_list())
