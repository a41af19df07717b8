"""One binned matrix serves every model that learns from the same rows, and none that learns from others."""

import resource
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab import experiment
from numerai_lab.config.schema import Config
from numerai_lab.core import xgboost_matrix
from numerai_lab.core.progress import FitContext
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.core.xgboost_matrix import paged_bytes
from numerai_lab.data.reader import Loaded
from numerai_lab.experiment import run
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import splits_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.models import Model, XGBoost
from numerai_lab.storage.scratch import scratch
from numerai_lab.studies.sweep import SweepSpec, grid
from tests.conftest import Quiet, component, make_config, make_panel

PANEL = make_panel()
STREAM = TrainingStream(PANEL.only(range(1, 21)), ("raw",), PANEL.raw_names, 0)
TREES: dict[str, Any] = {"kind": "xgboost", "n_estimators": 5, "colsample_bytree": 0.5}
ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "xgboost": ({"subsample": 0.5}, {"max_depth": 3, "learning_rate": 0.05, "booster": "dart"}),
    "xgboost after eras were weighed": ({"era_boost": {"every": 5, "share": 0.3}}, {}),
    "xgboost on disk": ({"external_memory": True}, {"external_memory": True, "max_depth": 3}),
    "lightgbm": ({"subsample": 0.5}, {"max_depth": 3, "num_leaves": 7, "learning_rate": 0.05, "colsample_bytree": 1.0}),
    "lightgbm of quantised gradients": (
        {"colsample_bytree": 1.0, "use_quantized_grad": True},
        {"colsample_bytree": 0.5, "learning_rate": 0.05},
    ),
    "catboost": ({}, {"max_depth": 3, "learning_rate": 0.05}),
}
"""Parameters of two models that share a matrix."""


class Made:
    """Counts matrices, and asserts that the one before is gone when another is made."""

    def __init__(self) -> None:
        self.cuts = Counter[str]()
        self.last: Callable[[], Any] = lambda: None

    def obtain(self, original: Callable[..., Any], matrices: SharedMatrix, key: str, make: Callable[[], Any]) -> Any:
        def counted() -> Any:
            assert self.last() is None
            matrix = make()
            self.cuts[key.split(":")[0]] += 1
            self.last = weakref.ref(matrix)
            return matrix

        return original(matrices, key, counted)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    counter, original = Made(), SharedMatrix.obtain
    monkeypatch.setattr(SharedMatrix, "obtain", lambda *arguments: counter.obtain(original, *arguments))
    return counter


def sharing() -> FitContext:
    return FitContext(matrix=SharedMatrix().obtain)


def fitted(model: Model, seed: int, context: FitContext) -> bytes:
    return model.fresh().fit(STREAM, np.random.default_rng(seed), context).saved()[1]


@pytest.mark.parametrize("name", ALIKE)
def test_a_matrix_that_another_model_used_gives_the_bytes_of_a_new_one(name: str, made: Made) -> None:
    shared = sharing()
    models = [component(name.split()[0], n_jobs=1, **parameters) for parameters in ALIKE[name]]
    for model, seed in [(models[0], 0), (models[0], 1), (models[1], 0), (models[0], 0)]:
        assert fitted(model, seed, shared) == fitted(model, seed, FitContext())
    assert made.cuts.total() == 1


@pytest.mark.parametrize(("kind", "other"), [("xgboost", {"external_memory": True}), ("lightgbm", {"min_data_in_leaf": 500})])
def test_other_cuts_are_another_matrix(kind: str, other: dict[str, Any], made: Made) -> None:
    shared = sharing()
    for parameters in ({}, {"max_bin": 3}, other, {}):
        model = component(kind, n_jobs=1, **parameters)
        assert fitted(model, 0, shared) == fitted(model, 0, FitContext())
    assert made.cuts == {kind: 4}


def test_a_matrix_of_another_library_is_let_go_of(made: Made) -> None:
    shared = sharing()
    for kind in ("xgboost", "lightgbm", "xgboost"):
        fitted(component(kind, n_estimators=2), 0, shared)
    assert made.cuts == {"xgboost": 2, "lightgbm": 1}


def test_pages_on_disk_go_with_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    slot = SharedMatrix()
    context = FitContext(matrix=slot.obtain)
    fitted(component("xgboost", external_memory=True), 0, context)
    assert list(tmp_path.rglob("bins*"))
    slot.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_can_not_hold_the_pages_is_an_error_before_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XGBoost writes pages in threads, and an error there ends the process."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    n_bytes = paged_bytes(sum(STREAM.n_rows), len(STREAM.input_names), 6, len(STREAM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes // 3, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            fitted(component("xgboost", external_memory=True), 0, FitContext())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("max_bin", [16, 256])
def test_pages_take_no_more_than_the_room_that_is_asked_for(
    max_bin: int, floats: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = make_panel(8, 2000, 30)
    if floats:
        noise = np.random.default_rng(0).normal(size=panel.features.shape)
        panel = replace(panel, features=(panel.features + noise).astype(np.float32))
    stream = TrainingStream(panel, ("raw",), panel.raw_names, 0)
    asked = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(xgboost_matrix, "_refuse_full_disk", lambda folder, n_bytes: asked.append(n_bytes))
    context = FitContext(matrix=SharedMatrix().obtain)
    component("xgboost", external_memory=True, max_bin=max_bin, n_estimators=2).fit(stream, np.random.default_rng(0), context)
    there = sum(path.stat().st_size for path in tmp_path.rglob("bins*"))
    assert 0.9 * asked[0] < there <= asked[0]


def predicted(config: Config, loaded: Loaded) -> bytes:
    """The predictions of all variants and seeds."""
    plan = FitPlan.of(config, splits_of(config, loaded.panel))
    with scratch() as space:
        context = RunContext(config, loaded.panel, plan, space, Quiet(), lambda *_: None, content=loaded.content)
        return train_and_predict(context, fit_generators(context)).values.tobytes()


def test_seeds_and_models_of_a_run_share_the_rows_that_are_the_same(
    tiny: Loaded, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(
        seeds=[0, 1],
        model=TREES,
        generators={"pca": {"kind": "pca", "n_components": 2}, "noise": {"kind": "random_columns", "n_columns": 2}},
        augmenters={
            "cut": {"kind": "cutout"},
            "again": {"kind": "duplicate"},
            "half": {"kind": "duplicate", "ratio": 0.5},
            "later": {"kind": "recency", "half_life": 20},
            "dealt": {"kind": "recency", "half_life": 20, "shuffle_eras": True},
        },
        variants={
            "baseline": {},
            "pca": {"features": ["raw", "pca"]},
            "noise": {"features": ["raw", "noise"]},
            "deeper": {"model": {**TREES, "max_depth": 2}},
            "coarse": {"model": {**TREES, "max_bin": 3}},
            **{name: {"augment": [name]} for name in ("cut", "again", "half", "later", "dealt")},
        },
    )
    once = predicted(config, tiny)
    wanted = {"baseline, deeper": 1, "coarse": 1, "pca": 1, "again": 1, "later": 1, "noise": 2, "cut": 2, "half": 2, "dealt": 2}
    assert made.cuts == {"xgboost": sum(wanted.values())}
    monkeypatch.setattr(SharedMatrix, "obtain", lambda slot, key, make: make())
    assert once == predicted(config, tiny)


def test_trials_of_a_sweep_that_differ_in_the_model_share_the_rows(tmp_path: Path, made: Made) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(make_config(model=TREES, seeds=[0, 1]).to_yaml())
    done = grid(SweepSpec(path, [], tmp_path / "runs"), ["model.max_depth=2,3"], "val1.corr.mean", Quiet())
    assert made.cuts == {"xgboost": 1}
    for trial in done.trials:
        alone = run(
            make_config(model={**TREES, **{"max_depth": trial.values["model.max_depth"]}}, seeds=[0, 1]), tmp_path, Quiet()
        )
        assert trial.path is not None
        assert (trial.path / "scores.csv").read_bytes() == (alone.path / "scores.csv").read_bytes()


def test_the_rows_of_a_sweep_are_let_go_of_where_the_next_run_may_need_their_memory(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(make_config(model=TREES).to_yaml())
    monkeypatch.setattr(experiment, "free_memory", lambda: 0)
    spec = SweepSpec(path, [], tmp_path / "runs")
    grid(spec, ["model.max_depth=2,3"], "val1.corr.mean", Quiet())
    assert made.cuts == {"xgboost": 2}
    assert made.last() is None


def test_variants_read_columns_where_the_stage_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def fit(model: Model, stream: TrainingStream, *_: object) -> Model:
        read.append(stream.panel.columns["pca"])
        return original(model, stream, *_)

    original = XGBoost.fit
    monkeypatch.setattr(XGBoost, "fit", fit)
    variants = {"baseline": {"features": ["raw", "pca"]}, "alone": {"features": ["pca"]}}
    run(make_config(model=TREES, generators={"pca": {"kind": "pca", "n_components": 2}}, variants=variants), tmp_path, Quiet())
    assert [type(columns) for columns in read] == [np.memmap] * 2
    (path,) = {columns.filename for columns in read}
    assert Path(path).name == "columns.npy"
