"""What comes from somebody else executes nothing: run folders, cache entries, checkpoints, models, configs, reports."""

import ast
import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import numerai_lab
from numerai_lab.config.loading import load_config, parse_config
from numerai_lab.core.arrays import arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.progress import FitContext
from numerai_lab.experiment import run
from numerai_lab.report.comparison import compare
from numerai_lab.report.markup import render
from numerai_lab.runs.layout import CONFIG, UNFINISHED
from numerai_lab.runs.reading import read_run
from numerai_lab.runs.unfinished import unfinished_runs
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK
from numerai_lab.storage.stage_cache import Cache, Stage
from numerai_lab.storage.stamped_json import read_mapping
from tests.conftest import Quiet, component, make_config

FORBIDDEN = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
ELSEWHERE = Path(numerai_lab.__file__).parent / "tournament" / "in_container.py"
"""Run by the Python of a container's environment, to pack a model of nlab's own and to load that; nlab imports it nowhere."""
DONE: list[str] = []


class Attack:
    """Says so when it is unpickled."""

    def __reduce__(self) -> Any:
        return DONE.append, ("executed",)


@pytest.fixture(autouse=True)
def nothing_executed() -> Any:
    DONE.clear()
    yield
    assert DONE == []


def test_no_module_imports_what_executes_when_it_loads_or_allows_pickles() -> None:
    assert ELSEWHERE.is_file()
    for path in {*Path(numerai_lab.__file__).parent.rglob("*.py")} - {ELSEWHERE}:
        for node in ast.walk(ast.parse(path.read_bytes())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & FORBIDDEN, path
            assert not any(ELSEWHERE.stem in name.split(".") for name in names), path
            if isinstance(node, ast.Call):
                called, bare = getattr(node.func, "attr", ""), getattr(node.func, "id", "")
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert bare not in ("eval", "exec"), f"{path}:{node.lineno}"
                assert called not in ("read_pickle", "to_pickle"), f"{path}:{node.lineno}"
                assert given.get("allow_pickle", "False") == "False", f"{path}:{node.lineno}"
                assert given.get("shell", "False") == "False", f"{path}:{node.lineno}"
                if called == "load" and ast.unparse(node.func).startswith("np."):
                    assert "allow_pickle" in given, f"{path}:{node.lineno}"


def test_pickles_in_a_models_arrays_are_refused() -> None:
    hostile = io.BytesIO()
    np.savez(hostile, weights_=np.array([Attack()], dtype=object), intercept_=np.array(0.0))
    for content in (hostile.getvalue(), pickle.dumps(Attack()), pickle.dumps({"weights_": Attack()})):
        with pytest.raises(ValueError, match="no whole arrays"):
            component("ridge").loaded(content)
        with pytest.raises(ValueError, match="no whole arrays"):
            arrays_from_bytes(content)
    with pytest.raises(TypeError, match="Python objects can't be saved: weights_"):
        arrays_to_bytes({"weights_": np.array([Attack()], dtype=object)})
    assert DONE == []


def test_arrays_of_all_kinds_and_shapes_come_back_as_they_were() -> None:
    kinds = [np.array(3), np.array(["ab", "ü"]), np.array("x"), np.zeros((0, 0)), np.array([[True]]), np.ones((2, 3)).T]
    back = arrays_from_bytes(arrays_to_bytes({str(i): array for i, array in enumerate(kinds)}))
    for i, array in enumerate(kinds):
        np.testing.assert_array_equal(back[str(i)], array, strict=True)
        assert back[str(i)].flags.writeable


@pytest.mark.parametrize("name", ["manifest.json", "scores.csv", "per_era.parquet"])
def test_a_run_folder_with_a_pickle_is_a_damaged_run_folder(name: str, tmp_path: Path) -> None:
    done = run(make_config(), tmp_path, Quiet())
    (done.path / name).write_bytes(pickle.dumps(Attack()))
    with pytest.raises(NlabError, match="damaged run folder"):
        read_run(done.path)


def test_a_cache_entry_with_a_pickle_is_refused(tmp_path: Path) -> None:
    from numerai_lab.fitting.stage_facts import read_array
    from numerai_lab.fitting.stages import PREDICTIONS

    def make(work: Path) -> None:
        np.save(work / PREDICTIONS, np.array([Attack()], dtype=object), allow_pickle=True)

    with Cache(tmp_path) as cache:
        entry = cache.obtain(Stage("models", "train x", {}), make)
        with pytest.raises(NlabFailure, match=r"no array of numbers \(.*(allow_pickle=False|Python objects)"):
            read_array(entry, PREDICTIONS, 1)


def test_a_cache_entry_that_points_elsewhere_is_damaged(tmp_path: Path) -> None:
    with Cache(tmp_path / "cache") as cache:
        entry = cache.obtain(Stage("fit", "fit x", {}), lambda work: (work / "state.safetensors").write_bytes(b"x") and None)
    secret = tmp_path / "secret"
    shutil.copy(entry.folder / "state.safetensors", secret)
    (entry.folder / "state.safetensors").unlink()
    (entry.folder / "state.safetensors").symlink_to(secret)
    assert "state.safetensors is not what was written" in entry.damage()


@pytest.mark.parametrize("family", ["variants", "generators", "augmenters"])
@pytest.mark.parametrize("name", ["../../escaped", "/etc/escaped", "..", "a/b", "<script>alert(1)</script>", "a\x1b[2Jb", ""])
def test_names_that_could_leave_the_run_folder_or_become_markup_are_refused(family: str, name: str) -> None:
    slices = {"variants": {}, "generators": {"kind": "pca"}, "augmenters": {"kind": "cutout"}}
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, family: {name: slices[family]}}
    with pytest.raises(NlabError, match="is not a name"):
        parse_config(raw, "hostile.yaml")


@pytest.mark.parametrize("name", ["../up", "/abs", "..", ".hidden", "a/b", "x\n"])
def test_a_runs_name_stays_inside_the_runs_folder(name: str) -> None:
    with pytest.raises(NlabError):
        make_config(name=name)


def test_a_yaml_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    for text in ("!!python/object/apply:os.system ['true']", "name: !!python/name:os.system", "a: &a [*a]"):
        path.write_text(text)
        with pytest.raises(NlabError):
            load_config(path)


def test_a_script_in_the_scores_of_a_foreign_run_is_data_and_the_report_escapes_what_it_is_given(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    done = run(make_config(), tmp_path, Quiet())
    scores = done.path / "scores.csv"
    scores.write_text(scores.read_text().replace("baseline", hostile))
    per_era = pl.read_parquet(done.path / "per_era.parquet")
    per_era.with_columns(pl.col("variant").replace("baseline", hostile)).write_parquet(done.path / "per_era.parquet")
    manifest = done.path / "manifest.json"
    facts = read_mapping(manifest)
    del facts["stamp"], facts["files"]  # somebody who forges tables forges checksums; a manifest without any is an old one
    manifest.write_text(json.dumps(facts).replace('"baseline"', f'"{hostile}"'))
    comparison = compare([done.path], "corr_mean", None)
    assert hostile in comparison.groups[0].table["variant"].to_list()

    page = render("inspection.html", [], title=hostile, head=[hostile], columns=[], rows=[], legend=[hostile], groups={})
    assert hostile not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    pages = Path(numerai_lab.__file__).parent / "report"
    for template in pages.glob("*.html"):
        assert "|safe" not in template.read_text().replace(" ", "")
        assert "autoescape" not in template.read_text()
    assert "Markup" not in "".join(path.read_text() for path in pages.glob("*.py"))


def test_aids_take_arrays_only() -> None:

    with pytest.raises(TypeError, match="Python objects"):
        arrays_to_bytes({"a": np.array([Attack()], dtype=object)})
    assert FitContext().load_checkpoint() is None


def test_a_link_for_a_lock_in_somebody_elses_folder_hangs_nothing_and_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / f"{UNFINISHED}20260101-000000_x-abc"
    folder.mkdir()
    (folder / CONFIG).write_text("name: x")
    (folder / LOCK).symlink_to(tmp_path / "nowhere" / "file")
    assert unfinished_runs(tmp_path) == []
    (folder / LOCK).unlink()
    (tmp_path / "target").touch()
    (folder / LOCK).symlink_to(tmp_path / "target")
    with pytest.raises(NlabFailure, match="no lock can be taken there"):
        Lock(folder / LOCK).take()
    assert not Lock(tmp_path / "gone" / LOCK, make_folder=False).take()
    assert not (tmp_path / "gone").exists()
