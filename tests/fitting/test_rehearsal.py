"""Plug-ins are tried on a few rows before any training, and what is wrong with one is a sentence with its line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.cli import app
from numerai_lab.config.loading import parse_config
from numerai_lab.config.plugins import load_plugins
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.runs.layout import ERROR_TEXT, LOG, MANIFEST, REALISM
from numerai_lab.storage.stamped_json import read_stamped
from tests.conftest import Quiet
from tests.own_methods import MINE, registries_restored

METHODS: dict[str, Any] = {
    "name": "mine",
    "data": {"source": "synthetic", "size": "tiny"},
    "generators": {"m": {"kind": "row_moments"}},
    "augmenters": {"s": {"kind": "half_swap"}},
    "model": {"kind": "least_squares"},
}
LOADED = "\n    def loaded(self, content):\n        raise KeyError('weights')\n"
MODEL = '''
from typing import Literal

from numerai_lab.models.linear import Ridge


class Unloadable(Ridge):
    """A ridge that can't be loaded."""

    kind: Literal["unloadable"] = "unloadable"
'''


PANIC = '''

class PanicException(BaseException):
    """As libraries written in Rust raise."""


def panic():
    raise PanicException("at the disco")
'''


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with registries_restored():
        yield


def ran(folder: Path, text: str, **changes: Any) -> Path:
    path = folder / "mine.py"
    path.write_text(text)
    load_plugins([str(path)])
    return run(parse_config({**METHODS, **changes}, "mine"), folder / "runs", Quiet()).path


def test_a_run_with_methods_of_a_plugin_records_it_and_finds_its_stages_again(tmp_path: Path) -> None:
    first = ran(tmp_path, MINE)
    again = ran(tmp_path, MINE)
    (plugin,) = read_stamped(first / MANIFEST)["plugins"]
    assert plugin["kinds"] == {"generators": ["row_moments"], "augmenters": ["half_swap"], "models": ["least_squares"]}
    assert (plugin["name"], plugin["give"]) == ("mine.py", f"--plugin {tmp_path}/mine.py")
    manifest = read_stamped(again / MANIFEST)
    assert {hit["family"] for hit in manifest["cache_hits"]} == {"fit", "columns", "models", "predictions"}
    assert (first / "scores.csv").read_bytes() == (again / "scores.csv").read_bytes()


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (
            MINE.replace("deviation.mean(1)", "deviation.mean(7)"),
            {},
            r"generators.m: tried on 640 rows before any training: .*mine.py, line 20: AxisError",
        ),
        (
            MINE.replace("deviation.mean(1)", "exit(0)"),
            {},
            r"generators.m: tried on 640 rows before any training: .*mine.py, line 20: SystemExit: 0",
        ),
        (
            MINE.replace("X.mean(0)", "X.mean(0) + rng.normal()", 1),
            {},
            r"generators.m: tried on 640 rows .*mine.py, line 6: another seed gives other columns, and the class says `st",
        ),
        (
            MINE.replace("deviation.mean(1)", "panic()") + PANIC,
            {},
            r"generators.m: tried on 640 rows before any training: .*mine.py, line \d+: PanicException: at the disco",
        ),
        (
            MINE.replace("deviation.mean(1)", "1j * deviation.mean(1)"),
            {},
            r"generators.m: tried on 640 rows before any training: .*mine.py, line 6: transform gave an array of complex",
        ),
        (
            MINE.replace("self.weights_ =", "self.pinned ="),
            {},
            r"model: tried on 640 rows before any training: .*mine.py, line \d+: AttributeError",
        ),
        (
            MINE + "\n    def importance(self):\n        return [1]\n",
            {},
            r"model: tried on 640 rows before any training: .*importance gives an array of shape \(1,\), wanted 60 finite",
        ),
        (
            MODEL + LOADED,
            {"model": {"kind": "unloadable"}, "generators": {}, "augmenters": {}},
            r"model: tried on 640 rows before any training: .*mine.py, line \d+: KeyError: 'weights'",
        ),
        (
            MINE.replace("return X, y", "return X * np.nan, y").replace('"half_swap"', '"half_swap"\n    binned = True'),
            {},
            r"augmenters.s: tried on 640 rows before any training: .*gave \d+ rows with \d+ cells or targets not finite",
        ),
        (
            MINE.replace("return X, y", "return X[1:], y[1:]"),
            {},
            r"augmenters.s: tried on 640 rows before any training: .*mine.py, line 26: augment gave features of shape",
        ),
    ],
)
def test_a_plugin_that_fails_is_seen_before_any_training(
    tmp_path: Path, text: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(NlabError, match=message):
        ran(tmp_path, text, **changes)
    assert not list((tmp_path / "runs").iterdir())


def test_a_plugin_that_fails_later_is_told_by_its_line_and_the_folder_keeps_the_traceback(
    tmp_path: Path,
) -> None:
    with pytest.raises(np.exceptions.AxisError):
        ran(tmp_path, MINE.replace("self.mean_ = X.mean(0)", "self.mean_ = X.mean(0 if len(X) < 2000 else 7)", 1))
    (failed,) = (tmp_path / "runs").iterdir()
    told = (failed / LOG).read_text()
    assert f"failed: {tmp_path}/mine.py, line 16: AxisError: axis 7 is out of bounds" in told
    assert "Traceback" not in told
    assert "Traceback" in (failed / ERROR_TEXT).read_text()


def test_a_panic_that_comes_later_is_one_sentence_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MINE.replace("self.mean_ = X.mean(0)", "self.mean_ = X.mean(0) if len(X) < 2000 else panic()", 1) + PANIC
    monkeypatch.setattr(app, "app", lambda prog_name: ran(tmp_path, text))
    with pytest.raises(SystemExit) as left:
        app.main()
    assert left.value.code == 2
    line = (tmp_path / "mine.py").read_text().splitlines().index('    raise PanicException("at the disco")') + 1
    assert f"nlab: {tmp_path}/mine.py, line {line}: PanicException: at the disco\n" in capsys.readouterr().err
    (failed,) = (tmp_path / "runs").iterdir()
    assert failed.name.endswith("-failed")


def test_rows_of_a_plugin_that_are_no_changed_copies_are_judged_where_it_asks_for_it(tmp_path: Path) -> None:
    invents = MINE.replace('kind = "half_swap"', 'kind = "half_swap"\n    invents_rows = True')
    changes: dict[str, Any] = {"generators": {}, "model": {"kind": "ridge"}, "variants": {"swapped": {"augment": ["s"]}}}
    done = ran(tmp_path, invents, **changes)
    table = pl.read_csv(done / REALISM)
    assert table.select("augmenter", "copies").rows() == [("s", 1.0)]
