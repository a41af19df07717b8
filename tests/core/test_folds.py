"""Folds of the training eras: every neighbour of what is predicted is left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import CrossValidation, make_folds
from numerai_lab.core.panel import Panel
from numerai_lab.experiment import run
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.report.comparison import compare
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config, make_panel, quick

ERAS = tuple(range(1, 101))


def test_blocked_folds_train_on_both_sides_beyond_the_embargo() -> None:
    folds = make_folds(CrossValidation(folds=4, scheme="blocked", embargo=12), ERAS, 20)
    assert [(fold.val1[0], fold.val1[-1]) for fold in folds] == [(1, 25), (26, 50), (51, 75), (76, 100)]
    assert folds[1].train == (*range(1, 14), *range(63, 101))
    assert folds[0].train == tuple(range(38, 101))
    assert [fold.name_of(era) for fold in folds for era in fold.val1[:1]] == ["cv1", "cv2", "cv3", "cv4"]


def test_expanding_folds_never_train_on_what_comes_later() -> None:
    folds = make_folds(CrossValidation(folds=4, scheme="expanding"), ERAS, 20)
    assert [(fold.val1[0], fold.val1[-1]) for fold in folds] == [(21, 40), (41, 60), (61, 80), (81, 100)]
    assert [fold.train for fold in folds] == [tuple(range(1, last)) for last in (13, 33, 53, 73)]


def test_the_embargo_follows_the_horizon_and_is_lowered_only_knowingly() -> None:
    assert make_folds(CrossValidation(folds=2, scheme="blocked"), ERAS, 60)[0].train == tuple(range(67, 101))
    with pytest.raises(NlabError, match=r"cv\.embargo: 4 eras, but a 20-day target needs 8"):
        make_folds(CrossValidation(embargo=4), ERAS, 20)
    with pytest.raises(NlabError, match=r"set data.horizon_days, or cv\.embargo"):
        make_folds(CrossValidation(), ERAS, None)


def test_folds_of_daily_eras_leave_out_40_on_each_side() -> None:
    days = tuple(range(1, 301))
    middle = make_folds(CrossValidation(folds=3, scheme="blocked"), days, 20, days_per_era=1)[1]
    assert (middle.val1[0], middle.val1[-1]) == (101, 200)
    assert middle.train == (*range(1, 61), *range(241, 301))


def test_folds_that_leave_nothing_to_learn_from_are_refused() -> None:
    with pytest.raises(NlabError, match=r"fold 1 of 20 has 0 eras to learn from"):
        make_folds(CrossValidation(folds=20), ERAS, 20)
    with pytest.raises(NlabError, match="take fewer folds"):
        make_folds(CrossValidation(folds=40, scheme="blocked"), ERAS[:30], 20)


def test_a_fold_is_predicted_by_what_saw_neither_its_targets_nor_its_neighbours(tmp_path: Path) -> None:
    panel = make_panel(n_eras=40)
    fold = make_folds(CrossValidation(folds=4, scheme="blocked", embargo=3), tuple(range(1, 41)), None)[1]
    config = make_config(generators={"pca": quick("pca")}, augmenters={"cutout": {"kind": "cutout"}})
    assert fold.val1 == tuple(range(11, 21))

    def predicted(panel: Panel, name: str) -> Float32:
        (tmp_path / name).mkdir()
        context = RunContext(
            config, panel, FitPlan.of(config, fold), Scratch(tmp_path / name), Quiet(), lambda name, content: None
        )
        return train_and_predict(context, fit_generators(context)).values

    assert panel.target is not None
    eras = np.repeat(panel.eras, 40)
    near, fold_itself = (eras >= 8) & (eras <= 23), (eras >= 11) & (eras <= 20)
    targets = replace(panel, target=np.where(near, 1 - panel.target, panel.target))
    features = np.where((near & ~fold_itself)[:, None], 4 - panel.features, panel.features)
    clean = predicted(panel, "clean")
    np.testing.assert_array_equal(clean, predicted(targets, "targets"))
    np.testing.assert_array_equal(clean, predicted(replace(panel, features=features), "features"))
    seen = replace(panel, target=np.where(eras == 7, 1 - panel.target, panel.target))
    assert not np.array_equal(clean, predicted(seen, "seen"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    splits = {"train": "train", "embargo": "auto"}
    configs = [make_config(splits=splits, **cv) for cv in ({"cv": {"folds": 3, "scheme": "blocked"}}, {"cv": {"folds": 2}}, {})]
    return [run(config, folder, Quiet()).path for config in configs]


def test_a_run_scores_its_folds_apart_from_validation(runs: list[Path]) -> None:
    predictions = pl.read_parquet(runs[0] / "predictions.parquet")
    assert predictions.group_by("split").len().sort("split")["split"].to_list() == [
        "cv1",
        "cv2",
        "cv3",
        "embargo",
        "val1",
        "val2",
    ]
    folds = predictions.filter(pl.col("split").str.starts_with("cv"))
    assert sorted(folds["era"].unique().to_list()) == list(range(1, 61))
    assert folds["id"].n_unique() == len(folds) == 4800
    scores, plain = (pl.read_csv(path / "scores.csv") for path in (runs[0], runs[2]))
    assert scores["split"].to_list() == ["val1", "val2", "val", "cv"]
    assert scores["n_eras"].to_list() == [10, 10, 20, 60]
    assert scores["corr_mean"].to_list()[:3] == plain["corr_mean"].to_list()
    assert "cv: the training eras out of fold (3 folds, blocked), which is no validation" in (runs[0] / "scores.md").read_text()


def test_folds_are_compared_only_between_runs_of_the_same_folds(runs: list[Path]) -> None:
    (group,) = compare(runs[:2]).groups
    changed = dict(group.table.filter(run=runs[1].name).select("split", "delta_corr_mean").rows())
    assert changed == {"val1": 0, "val2": 0, "val": 0, "cv": None}


def test_columns_of_a_fold_are_no_longer_than_the_eras_it_reaches(tmp_path: Path) -> None:
    config = make_config(
        splits={"train": "train", "embargo": "auto"},
        generators={"pca": quick("pca")},
        variants={"x": {"features": ["pca"]}},
        cv={"folds": 2},
    )
    run(config, tmp_path, Quiet())
    lengths = [len(np.load(path, mmap_mode="r")) for path in (cache_dir() / "stages" / "columns").glob("*/columns.npy")]
    assert sorted(lengths) == [80 * 40, 80 * 60, 80 * 100]
