"""One model trained by several processes: the same trees for any number of them, whatever dies on the way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from numerai_lab.config.plugins import load_plugins
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.experiment import run
from numerai_lab.fitting import child_process, gang
from numerai_lab.fitting.child_process import ChildLost
from numerai_lab.runs.reading import Run
from tests.conftest import Quiet, make_config
from tests.own_methods import registries_restored

TREES = {"kind": "xgboost", "n_estimators": 12, "learning_rate": 0.3, "max_depth": 3, "colsample_bytree": 0.5}
INPUTS = {"bins": ["raw"], "columns": ["raw", "pca"]}

DYING = '''"""Rows that are copies, once a part of a training has had a fault."""

import os
import pathlib
import signal
import sys


class Dying:
    kind = "dying"

    def __init__(self, fault: str = "", folder: str = ""):
        self.fault = fault
        self.folder = folder

    def augment(self, X, y, rng):
        spec = sys.modules["__main__"].__spec__
        if self.fault and spec and spec.name == "numerai_lab.cluster.child":
            try:
                (pathlib.Path(self.folder) / self.fault).touch(exist_ok=False)
            except FileExistsError:
                return X.copy(), y
            os.kill(os.getpid(), signal.Signals[self.fault])
        return X.copy(), y
'''


def model_of(done: Run, variant: str) -> bytes:
    return (done.path / "models" / f"{variant}@0.json").read_bytes()


def test_trees_are_the_same_for_any_number_of_processes(tmp_path: Path) -> None:
    numbers = {"bins": (None, 3), "columns": (1, 3)}
    variants = {
        f"{inputs}{number}": {"features": INPUTS[inputs], "model": {**TREES, **({"workers": number} if number else {})}}
        for inputs, of_inputs in numbers.items()
        for number in of_inputs
    }
    variants["external2"] = {"model": {**TREES, "workers": 2, "external_memory": True}}
    generators = {"pca": {"kind": "pca", "n_components": 3}}
    config = make_config(generators=generators, variants=variants, scoring={"reference": "binsNone"}, splits={"train": "50%"})
    done = run(config, tmp_path, Quiet())
    assert model_of(done, "bins3") == model_of(done, "binsNone")
    assert model_of(done, "external2") == model_of(done, "binsNone")
    assert model_of(done, "columns3") == model_of(done, "columns1")
    assert model_of(done, "columns1") != model_of(done, "binsNone")


@pytest.fixture
def dying(tmp_path: Path) -> Iterator[None]:
    with registries_restored():
        (tmp_path / "dying.py").write_text(DYING)
        load_plugins([str(tmp_path / "dying.py")])
        yield


@pytest.mark.usefixtures("dying")
def test_after_a_part_died_or_stopped_all_begin_again_and_the_trees_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "SILENCE", 12.0)
    faults = ("", "SIGKILL", "SIGSTOP")
    augmenters = {f"rows{fault}": {"kind": "dying", "fault": fault, "folder": str(tmp_path)} for fault in faults}
    variants = {f"v{fault}": {"augment": [f"rows{fault}"], "model": {**TREES, "workers": 2 if fault else 1}} for fault in faults}
    config = make_config(augmenters=augmenters, variants=variants, scoring={"reference": "v"}, splits={"train": "50%"})
    done = run(config, tmp_path, Quiet())
    log = (done.path / "log.txt").read_text()
    assert log.count("all parts begin again") == 2
    assert "exit code -9" in log
    assert "no sign of life for 12 s" in log
    assert model_of(done, "vSIGKILL") == model_of(done, "vSIGSTOP") == model_of(done, "v")


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
        monkeypatch.setattr(gang, "_together", together)
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
