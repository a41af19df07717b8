"""One model trained by several processes: the same trees for any number of them, whatever dies on the way."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from numerai_lab import experiment
from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.cluster.gang import STOPPED, _chosen, _models, _sent, check_number, parts_on
from numerai_lab.config.plugins import load_plugins
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.experiment import RunOptions, run
from numerai_lab.fitting import child_process
from numerai_lab.fitting.child_process import ChildLost
from numerai_lab.runs.reading import Run
from numerai_lab.storage.folders import cache_dir
from tests.conftest import Quiet, make_config
from tests.own_methods import registries_restored

TREES = {"kind": "xgboost", "n_estimators": 12, "learning_rate": 0.3, "max_depth": 3, "colsample_bytree": 0.5}

DYING = '''"""Rows that are copies, once a part of a training has had all faults, one a try."""

import os
import pathlib
import signal
import sys
import time


class Dying:
    kind = "dying"

    def __init__(self, faults: str = "", folder: str = ""):
        self.faults = faults
        self.folder = folder

    def augment(self, X, y, rng):
        spec = sys.modules["__main__"].__spec__
        if spec and spec.name == "numerai_lab.cluster.child":
            for fault in self.faults.split():
                mark = pathlib.Path(self.folder) / fault
                if mark.exists():
                    time.sleep(max(0, mark.stat().st_mtime + 3 - time.time()))  # meanwhile the other part of this try is ended
                    continue
                mark.touch()
                name = fault.removeprefix("worker-")
                os.kill(os.getpid() if name == fault else os.getppid(), signal.Signals[name])
                signal.pause()
        return X.copy(), y
'''


def model_of(done: Run, variant: str) -> bytes:
    return (done.path / "models" / f"{variant}@0.json").read_bytes()


def test_trees_are_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    models = {"alone": TREES, "three": {**TREES, "workers": 3}, "paged": {**TREES, "workers": 3, "external_memory": True}}
    variants = {name: {"model": model} for name, model in models.items()}
    done = run(make_config(variants=variants, scoring={"reference": "alone"}, splits={"train": "50%"}), tmp_path, Quiet())
    assert model_of(done, "three") == model_of(done, "alone")
    assert model_of(done, "paged") == model_of(done, "alone")


@pytest.mark.slow
def test_three_processes_cut_generated_columns_as_one_does(tmp_path: Path) -> None:
    models = {"one": {**TREES, "workers": 1}, "three": {**TREES, "workers": 3}}
    done = run(
        make_config(
            generators={"pca": {"kind": "pca", "n_components": 3}},
            variants={name: {"features": ["raw", "pca"], "model": model} for name, model in models.items()},
            scoring={"reference": "one"},
            splits={"train": "50%"},
        ),
        tmp_path,
        Quiet(),
    )
    assert model_of(done, "three") == model_of(done, "one")


def test_parts_on_several_workers_grow_the_trees_of_one_process_from_the_fits_of_the_run(
    connection: ClusterConnection, workers_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nlab")
    both = ["raw", "pca"]
    variants = {f"on{number}": {"features": both, "model": {**TREES, "workers": number}} for number in (1, 2)}
    generators = {"pca": {"kind": "pca", "n_components": 3}}
    config = make_config(
        generators=generators,
        variants={"bins": {"model": TREES}, **variants},
        scoring={"reference": "bins"},
        splits={"train": "50%"},
    )
    done = run(config, tmp_path, Quiet(), options=RunOptions(together=partial(parts_on, connection)))
    assert model_of(done, "on1") == model_of(done, "on2") != model_of(done, "bins")
    assert (done.path / "log.txt").read_text().count("training on 2 workers") == 1
    mine, theirs = (
        [path.read_bytes() for path in cache.glob("stages/fit/*/meta.json")] for cache in (cache_dir(), workers_cache)
    )
    assert len(mine) == 1  # with the time of its making in it
    assert theirs == mine
    assert not list((workers_cache / "cluster").glob("part-*"))


@pytest.mark.soak
@pytest.mark.usefixtures("dying")
def test_after_a_part_or_its_worker_died_all_begin_again_on_workers_that_are_there(
    connection: ClusterConnection, tmp_path: Path
) -> None:
    config = dying_config(tmp_path, {"child": "SIGKILL SIGSTOP", "worker": "worker-SIGKILL"})
    done = run(config, tmp_path, Quiet(), options=RunOptions(together=partial(parts_on, connection)))
    log = (done.path / "log.txt").read_text()
    assert log.count("all parts begin again") == 3
    assert model_of(done, "child") == model_of(done, "worker") == model_of(done, "alone")


def test_a_lost_part_leaves_its_checkpoint_to_all_of_the_next_try(tmp_path: Path) -> None:
    job: dict[str, Any] = {"work": str(tmp_path), "folder": str(tmp_path), "stages": str(tmp_path), "fits": []}
    assert _sent(job)["checkpoint"] == b""
    lost = [{"lost": STOPPED, "checkpoint": b"many trees"}, {"lost": "its process died", "checkpoint": b"few"}]
    with pytest.raises(ChildLost, match="its process died"):
        _models(job, [*lost, {"suffix": ".json", "model": b"{}"}])
    assert _sent(job)["checkpoint"] == b"many trees"
    with pytest.raises(NlabError, match="no such column"):
        _models(job, [*lost, {"error": "no such column"}])


class Cluster:
    """The workers of a cluster, as its scheduler lists them."""

    def __init__(self, *workers: str) -> None:
        self.workers = workers

    def wait_for_workers(self, n_workers: int, timeout: float) -> None:
        if n_workers > len(self.workers):
            raise TimeoutError

    def ncores(self) -> dict[str, int]:
        return dict.fromkeys(self.workers, 1)


def test_parts_are_spread_over_machines_and_too_few_workers_are_refused() -> None:
    cluster: Any = Cluster("tls://a:1", "tls://a:2", "tls://b:1")
    assert _chosen(cluster, 2) == ("tls://a:1", "tls://b:1")
    assert _chosen(cluster, 3) == ("tls://a:1", "tls://b:1", "tls://a:2")
    with pytest.raises(NlabFailure, match="4 parts, but 3 workers are left"):
        _chosen(cluster, 4)
    with pytest.raises(NlabError, match=r"the cluster has 1 worker; take local:2, .* --set model\.workers=1"):
        check_number(ClusterConnection(cluster, "stop", ("tcp://a:1",)), 2)


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[None]:
    with registries_restored():
        (tmp_path / "dying.py").write_text(DYING)
        load_plugins([str(tmp_path / "dying.py")])
        yield


def dying_config(folder: Path, variants: dict[str, str]) -> Config:
    """Variants in two parts, which have these faults one after another, and `alone`, in one process without any."""
    faults = {"alone": "", **variants}
    return make_config(
        augmenters={f"rows_{name}": {"kind": "dying", "faults": f, "folder": str(folder)} for name, f in faults.items()},
        variants={
            name: {"augment": [f"rows_{name}"], "model": {**TREES, "workers": 1 if name == "alone" else 2}} for name in faults
        },
        scoring={"reference": "alone"},
        splits={"train": "50%"},
    )


@pytest.mark.usefixtures("dying")
@pytest.mark.slow
def test_after_a_part_died_or_stopped_all_begin_again_and_the_trees_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "SILENCE", 12.0)
    done = run(dying_config(tmp_path, {"parts": "SIGKILL SIGSTOP"}), tmp_path, Quiet())
    log = (done.path / "log.txt").read_text()
    assert log.count("all parts begin again") == 2
    assert "exit code -9" in log
    assert "no sign of life for 12 s" in log
    assert model_of(done, "parts") == model_of(done, "alone")


def test_three_lost_parts_and_parts_that_disagree_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(model={**TREES, "workers": 2}, variants={"baseline": {}}, splits={"train": "50%"})

    def lost(job: object, n_parts: int) -> list[str]:
        raise ChildLost("its process ended with exit code -9")

    def different(job: object, n_parts: int) -> list[str]:
        paths = [tmp_path / "a.json", tmp_path / "b.json"]
        for path in paths:
            path.write_text(path.name)
        return [str(path) for path in paths]

    for together, message in ((lost, "lost 3 times .its process ended with exit code -9"), (different, "different models")):
        monkeypatch.setattr(experiment, "local_parts", together)
        with pytest.raises(NlabFailure, match=message):
            run(config, tmp_path, Quiet())


def test_trees_that_depend_on_the_number_of_processes_are_remarked() -> None:
    assert "trees repeat" in make_config(model={**TREES, "workers": 2, "subsample": 0.5}).model.parts_note
    for same in ({"workers": 2}, {"subsample": 0.5}, {"workers": 1, "subsample": 0.5}):
        assert not make_config(model={**TREES, **same}).model.parts_note


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "lightgbm", "workers": 2}, "lightgbm trains in one process; take kind: xgboost"),
        ({"kind": "xgboost", "workers": 2, "booster": "dart"}, "workers needs booster: gbtree"),
        ({"kind": "xgboost", "workers": 2, "era_boost": {"every": 10}}, "without era_boost"),
        ({"kind": "xgboost", "workers": 0}, "workers"),
    ],
)
def test_models_that_train_in_one_process_say_so(model: dict[str, object], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        make_config(model=model)
