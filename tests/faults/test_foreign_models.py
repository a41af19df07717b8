"""Models of other people: opened in a process with limits until `nlab trust` marks them."""

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from numerai_lab.cli import contained
from numerai_lab.cli.app import app
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.report.page import redrawn
from numerai_lab.runs.layout import MANIFEST, REPORT
from numerai_lab.runs.output_files import trusted
from numerai_lab.runs.reading import CONTAINED, SIGNED, ForeignRun, read_run
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.signing import config_dir, signature, signed_digests
from numerai_lab.storage.stamped_json import read_mapping, with_stamp
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config(
        splits={"train": "1-60", "val1": "69-71", "val2": "80-82"},
        model={"kind": "xgboost", "n_estimators": 3, "max_depth": 2},
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


@pytest.fixture
def foreign(finished: Path, tmp_path: Path) -> Path:
    """The run as another installation would have written it."""
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    write_manifest(folder, {SIGNED: {**read_mapping(folder / MANIFEST)[SIGNED], "hmac": "0" * 64}})
    return folder


def write_manifest(folder: Path, changes: dict[str, object]) -> None:
    facts = read_mapping(folder / MANIFEST)
    facts.pop("stamp")
    (folder / MANIFEST).write_text(with_stamp({**facts, **changes}))


def test_the_secret_is_for_its_owner_alone_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CONFIG", str(tmp_path / "config"))
    (tmp_path / "model").write_text("x")
    first = signature([tmp_path / "model"], tmp_path)
    assert stat.S_IMODE((config_dir() / "secret").stat().st_mode) == 0o600
    assert signature([tmp_path / "model"], tmp_path) == first
    assert signed_digests(first) == first["sha256"]
    assert signed_digests({**first, "sha256": {"model": "0" * 64}}) == {}
    for odd in (None, 3, {}, {"sha256": 3, "hmac": 3}, {"sha256": {}, "hmac": "\ud800"}):
        assert signed_digests(odd) == {}
    (config_dir() / "secret").unlink()
    assert signed_digests(first) == {}
    assert signature([tmp_path / "model"], tmp_path)["hmac"] != first["hmac"]
    monkeypatch.setenv("NLAB_CONFIG", "/proc/no/such/folder")
    assert signature([tmp_path / "model"], tmp_path) == {}


def test_an_own_run_is_own_wherever_it_lies_and_a_changed_model_is_not_opened(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "moved"))
    done = read_run(folder)
    assert done.own
    redrawn(done)
    assert read_run(folder).own
    (model,) = (f"models/{path.name}" for path in (folder / "models").glob("baseline@0*"))
    content = (folder / model).read_bytes()
    facts = read_mapping(folder / MANIFEST)
    (folder / model).write_bytes(content.replace(b"e", b"f", 1))
    write_manifest(folder, {"files": {**facts["files"], model: checksum(folder / model)}})  # forging a CRC takes no secret
    with pytest.raises(NlabError, match=f"{model} is not what this installation wrote"):
        redrawn(read_run(folder))


def test_a_foreign_run_is_read_and_its_models_are_not_until_it_is_trusted(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = read_run(foreign)
    assert not done.own
    with pytest.raises(ForeignRun, match=r"from elsewhere, this installation did not write it; `nlab trust "):
        redrawn(done)
    monkeypatch.setenv(CONTAINED, "1")
    redrawn(done)
    monkeypatch.delenv(CONTAINED)
    assert trusted(read_run(foreign)) == len(list((foreign / "models").iterdir()))
    assert read_run(foreign).own
    redrawn(read_run(foreign))


def test_a_model_that_no_memory_holds_is_not_read_through_to_be_trusted(foreign: Path) -> None:
    (foreign / "models" / "huge.json").touch()
    os.truncate(foreign / "models" / "huge.json", 10**12)
    with pytest.raises(NlabError, match=r"models/huge\.json has 1\.0 TB, more than a file of its kind may have"):
        trusted(read_run(foreign))


def test_the_commands_say_from_elsewhere_and_open_it_in_a_process_of_its_own(foreign: Path) -> None:
    shown = nlab("show", foreign)
    assert shown.returncode == 0
    assert "from elsewhere, this installation did not write it" in shown.stderr
    (listed,) = json.loads(nlab("list", "runs", "--runs-dir", foreign.parent, "--format", "json").stdout)
    assert listed["status"] == "from elsewhere"
    assert f"from elsewhere, this installation did not write them: {foreign.name}\n" in nlab("compare", foreign).stderr
    drawn = nlab("open", foreign, "--redraw", BROWSER="true")
    assert drawn.returncode == 0, drawn.stderr
    assert "its models are opened in a process with limits" in drawn.stderr
    assert drawn.stdout.strip() == str(foreign / "report.html")
    assert nlab("trust", foreign).returncode == 0
    for command in (["show", foreign], ["compare", foreign], ["list", "runs", "--runs-dir", foreign.parent]):
        done = nlab(*command)
        assert "from elsewhere" not in done.stdout + done.stderr


def test_a_forged_model_that_ends_its_reader_ends_the_command_in_a_sentence(foreign: Path) -> None:
    (path,) = (foreign / "models").glob("baseline@0*.json")
    model = json.loads(path.read_text())
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        tree["left_children"][0] = tree["right_children"][0] = 2**30
    path.write_text(json.dumps(model))
    facts = read_mapping(foreign / MANIFEST)
    from numerai_lab.storage.checksums import checksums

    write_manifest(foreign, {"files": checksums([foreign / name for name in facts["files"]], foreign)})
    rows = next(Path(os.environ["NLAB_CACHE"]).glob("synthetic/*tiny*/live.parquet"))
    done = nlab("predict", foreign, rows, "--out", foreign.parent / "out.csv")
    assert done.returncode == 2, done.stderr
    assert "is from elsewhere, and reading its models ended the process (SIG" in done.stderr
    assert not (foreign.parent / "out.csv").exists()


def test_open_draws_a_strangers_page_anew_and_refuses_an_edited_page_of_an_own_run(
    finished: Path, foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_run(run: Path) -> None:
        app(["open", str(run)], prog_name="nlab", standalone_mode=False)

    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: not shown.append(address))
    own = Path(shutil.copytree(finished, tmp_path / "own"))
    open_run(own)
    assert shown == [(own / REPORT).as_uri()]
    for folder in (own, foreign):
        (folder / REPORT).write_text("<script>forged</script>")
    files = read_mapping(foreign / MANIFEST)["files"]
    write_manifest(foreign, {"files": {**files, REPORT: checksum(foreign / REPORT)}})
    with pytest.raises(NlabError, match=r"report\.html .*--redraw"):
        open_run(own)
    with pytest.raises(ForeignRun):  # `main` runs the command again then, in a process with limits
        open_run(foreign)
    assert len(shown) == 1
    monkeypatch.setenv(CONTAINED, "1")
    open_run(foreign)
    assert shown[1:] == [(foreign / REPORT).as_uri()]
    assert "forged" not in (foreign / REPORT).read_text()


DAMAGES = {"num_tree_per_iteration=1": "num_tree_per_iteration=0", "tree_sizes=": "tree_sizes=1"}
"""Changes of a model of LightGBM that end its reader: a division by zero, and an error in a thread that nobody waits for."""


@pytest.fixture(scope="module")
def boosted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config(
        splits={"train": "1-60", "val1": "69-71", "val2": "80-82"},
        generators={"pca": quick("pca")},
        variants={"baseline": {}, "pca": {"features": ["pca"]}},
        model={"kind": "lightgbm", "n_estimators": 3, "num_leaves": 4},
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


@pytest.mark.parametrize(("command", "part"), [*zip((["inspect"], ["open", "--redraw"]), DAMAGES, strict=True)])
def test_a_forged_text_of_lightgbm_that_ends_its_reader_ends_the_command_in_a_sentence(
    command: list[str], part: str, boosted: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(boosted, tmp_path / "run"))
    facts = read_mapping(folder / MANIFEST)
    (path,) = (folder / "models").glob("baseline@0*.txt")
    path.write_text(path.read_text().replace(part, DAMAGES[part], 1))
    files = {**facts["files"], f"models/{path.name}": checksum(path)}
    write_manifest(folder, {"files": files, SIGNED: {**facts[SIGNED], "hmac": "0" * 64}})
    done = nlab(*command, folder, BROWSER="true")
    assert done.returncode == 2, done.stderr
    assert "is from elsewhere, and reading its models ended the process (SIG" in done.stderr
    assert "Traceback" not in done.stderr


LIMITED = """
from numerai_lab.cli import contained
from numerai_lab.storage import machine
machine.free_memory = lambda: 0
contained.limit_this_process()
bytearray(contained.LEAST_MEMORY)
"""


def test_a_contained_command_has_no_more_memory_than_is_free() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], env={**os.environ, CONTAINED: "1x"}, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1:] == ["MemoryError"]


def test_a_contained_command_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    monkeypatch.setattr(contained, "SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(NlabError, match="is from elsewhere, and reading its models took more than"):
        contained.run_contained(tmp_path)
    assert time.monotonic() - start < 10
