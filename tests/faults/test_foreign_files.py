"""What other people's files may not do: write elsewhere, be waited for, fill the memory, or pass for what was written."""

import ast
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import numerai_lab
from numerai_lab.cli.open import open_
from numerai_lab.config.loading import load_config
from numerai_lab.config.stand_ins import RECORD, ways_out
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.experiment import RunOptions, run
from numerai_lab.report.comparison import compare
from numerai_lab.report.listing import listing
from numerai_lab.report.page import redrawn
from numerai_lab.runs.layout import UNFINISHED
from numerai_lab.runs.output_files import growing_table
from numerai_lab.runs.reading import read_run
from numerai_lab.runs.unfinished import unfinished_run, unfinished_runs
from numerai_lab.storage.array_files import reopened
from numerai_lab.storage.event_log import EventLog
from numerai_lab.storage.folders import build_resumably
from numerai_lab.storage.stage_cache import Cache, Stage, work_folder
from tests.conftest import Quiet, make_config, reseal
from tests.faults.test_fuzz import soon

PACKAGE = Path(numerai_lab.__file__).parent
WRITES = re.compile(
    r"\.(write_text|write_bytes|write_parquet|write_csv|to_parquet|to_csv|savefig|save_model|touch)$|"
    r"^(np\.savez?|open_memmap|pq\.ParquetWriter|os\.open|shutil\.copy\w*|logging\.FileHandler)$"
)
OWN = "a folder that this process has just made under a random name"
MAY_WRITE = {
    "storage/whole_files.py": "here files are written",
    "storage/array_files.py": "arrays of a stage or a store, in a folder without links",
    "storage/file_lock.py": "locks, without following links",
    "storage/event_log.py": "ledgers, without following links",
    "storage/plain_files.py": "opens for reading",
    "storage/used_entries.py": "a list in a scratch folder of its own",
    "storage/signing.py": "the secret, under a random name",
    "storage/resumable.py": "opens for reading",
    "cli/app.py": "opens /dev/null",
    "cluster/packing.py": "new files alone, in a folder that the caller made",
    "docs/generate.py": "the manual in the repository",
    "tournament/in_container.py": "paths that the caller made",
    **dict.fromkeys(
        (
            *("storage/scratch.py", "storage/era_store.py", "data/synthetic_files.py", "data/older.py", "models/catboost.py"),
            *("data/synthetic.py", "data/frames.py"),
            "runs/new_workspace.py",
            *("fitting/stages.py", "fitting/generator_stages.py", "fitting/realism.py", "runs/output_files.py"),
            *("tournament/tree_arrays.py", "tournament/verification.py", "tournament/packing.py"),
            *("tournament/deploy.py", "tournament/numerai_predict.py"),
        ),
        OWN,
    ),
}
"""Modules that open files for writing by other means than `whole_file`, and why they may."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with few eras; tests work on copies of it."""
    config = make_config(
        splits={"train": "1-60", "val1": "69-71", "val2": "80-82"},
        augmenters={"cut": {"kind": "cutout"}},
        variants={"baseline": {}, "cut": {"augment": ["cut"]}},
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(finished, tmp_path / "runs" / "run"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").write_text("precious")
    return tmp_path / "home" / "file"


def untouched(victim: Path) -> bool:
    return victim.read_text() == "precious" and [path.name for path in victim.parent.iterdir()] == ["file"]


def test_files_are_opened_for_writing_in_modules_with_a_reason_only() -> None:
    writers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            modes = [ast.unparse(value) for value in [*node.args, *(keyword.value for keyword in node.keywords)]]
            writing = (
                called.endswith("open")
                and called != "os.fdopen"
                and any(re.fullmatch(r"'[rwax]?b?[wax+]b?\+?'", mode) for mode in modes)
            )
            to_buffer = called.endswith(("write_csv", "savefig")) and not (modes and "work /" in modes[0])
            of_folder = called.startswith("folder.write_")  # RunFolder writes by whole_file
            if writing or (WRITES.search(called) and not to_buffer and not (of_folder and path.parent.name == "report")):
                writers.add(path.relative_to(PACKAGE).as_posix())
    assert writers - {"experiment.py"} - MAY_WRITE.keys() == {"runs/writing.py"}  # RunFolder.write_… and its log
    text = (PACKAGE / "runs/writing.py").read_text()
    assert not re.search(r"\.(write_text|write_bytes)\(path|open\(\"[wa]|write_parquet\(path", text)


@pytest.mark.parametrize("name", ["report.html.part", "manifest.json.part", "scores.md.part", "inspection.html.part"])
def test_a_link_under_a_temporary_name_is_not_followed(name: str, folder: Path, victim: Path) -> None:
    (folder / name).symlink_to(victim)
    with pytest.raises(NlabError, match=rf"{name} is a link; a run is read where all its files lie in its folder"):
        redrawn(read_run(folder))
    assert untouched(victim)


def test_a_page_is_written_over_a_link_that_came_after_the_check(folder: Path, victim: Path) -> None:
    done = read_run(folder)
    for name in ("report.html", "report.html.part", ".report.html.part", "scores.md", "manifest.json.part"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(victim)
    redrawn(done)
    assert untouched(victim)
    assert not (folder / "report.html").is_symlink()


LEFT = ("log.txt", "config.yaml.part", "scores.csv", "predictions.parquet", "manifest.json", "report.html", "scores.md")


@pytest.mark.parametrize("name", [*LEFT, "per_era.parquet", "models/baseline@0.safetensors"])
def test_a_strangers_unfinished_run_with_a_link_is_refused(name: str, tmp_path: Path, victim: Path) -> None:
    left = tmp_path / "runs" / f"{UNFINISHED}20260102-030405_test-abc"
    (left / "models").mkdir(parents=True)
    (left / "config.yaml").write_text(make_config().to_yaml())
    (left / ".lock").touch()
    (left / name).symlink_to(victim)
    with pytest.raises(NlabError, match=rf"{re.escape(name)} is a link"):
        unfinished_run(left)
    assert unfinished_runs(left.parent) == []
    assert untouched(victim)


@pytest.mark.parametrize("name", ["models", "plots"])
def test_a_linked_folder_in_an_unfinished_run_is_refused(name: str, tmp_path: Path, victim: Path) -> None:
    left = tmp_path / "runs" / f"{UNFINISHED}20260102-030405_test-abc"
    left.mkdir(parents=True)
    (left / "config.yaml").write_text(make_config().to_yaml())
    (left / name).symlink_to(victim.parent)
    with pytest.raises(NlabError, match=f"{name} is a link"):
        unfinished_run(left)


def test_a_run_writes_no_file_of_its_folder_through_a_link(tmp_path: Path, victim: Path) -> None:
    left = tmp_path / "runs" / f"{UNFINISHED}20260102-030405_test-abc"
    left.mkdir(parents=True)
    config = make_config(splits={"train": "1-60", "val1": "69-71", "val2": "80-82"})
    (left / "config.yaml").write_text(config.to_yaml())
    for name in LEFT[1:]:
        (left / name).unlink(missing_ok=True)
        (left / name).symlink_to(victim)
    (left / ".report.html-0123456789abcdef.part").write_text("of a killed run")
    done = run(config, left.parent, Quiet(), options=RunOptions(unfinished=left))
    assert untouched(victim)
    assert not list(done.path.rglob("*.part"))  # the links to .part files are files of nobody; they go too
    left.mkdir()
    (left / "config.yaml").write_text(config.to_yaml())
    (left / "log.txt").symlink_to(victim)
    with pytest.raises(OSError, match="log.txt"):
        run(config, left.parent, Quiet(), options=RunOptions(unfinished=left))
    assert untouched(victim)


def test_folders_of_the_cache_under_foreseeable_names_are_not_entered_through_links(tmp_path: Path, victim: Path) -> None:
    stage = Stage("fit", "fit x", {})
    with Cache(tmp_path / "cache") as cache:
        work = work_folder(tmp_path / "cache" / stage.family / stage.key)
        work.parent.mkdir(parents=True)
        work.symlink_to(victim.parent)
        entry = cache.obtain(stage, lambda folder: (folder / "state").write_text("x") and None)
    assert untouched(victim)
    assert (entry.folder / "state").read_text() == "x"
    (tmp_path / ".data.part").symlink_to(victim.parent)
    with pytest.raises(NlabFailure, match="is or holds a link"):
        build_resumably(tmp_path / "data", lambda folder: (folder / "x").touch())
    assert untouched(victim)


def test_a_table_that_grows_is_not_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    import pyarrow as pa

    (tmp_path / ".out.parquet.part").symlink_to(victim)
    table = pa.table({"a": [1]})
    with growing_table(tmp_path / "out.parquet", table.schema) as add:
        add(table)
    assert untouched(victim)
    assert pl.read_parquet(tmp_path / "out.parquet")["a"].to_list() == [1]


PIPES = ("config.yaml", "manifest.json", "scores.csv", "per_era.parquet", "predictions.parquet", "plugins.json", "failed.txt")
READERS: tuple[Callable[[Path], object], ...] = (read_run, lambda path: compare([path]), lambda path: redrawn(read_run(path)))


@pytest.mark.parametrize("name", [*PIPES, "models/portable.json", "inspection.html"])
def test_a_pipe_in_a_run_folder_is_refused_and_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    for reader in READERS:
        with soon(name), pytest.raises(NlabError, match="is a pipe|no manifest.json"):
            reader(folder)
    with soon(name):
        listing(folder.parent)


def test_a_pipe_that_the_user_made_for_the_command_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write("nmae: x\n")
        pipe.close()
        with soon("config"), pytest.raises(NlabError, match="nmae: unknown key, did you mean 'name'"):
            load_config(Path(f"/dev/fd/{reading}"))


def test_a_pipe_with_more_than_a_config_may_have_is_refused() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), subprocess.Popen(["yes"], stdout=writing) as endless:
        os.close(writing)
        with soon("config"), pytest.raises(NlabError, match="has more than 10.0 MB; a config is a text file"):
            load_config(Path(f"/dev/fd/{reading}"))
        endless.kill()


def test_pipes_elsewhere_are_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with soon("config"), pytest.raises(NlabError, match="pipe.yaml is a pipe, no file; a config is a text file"):
        load_config(pipe)
    with soon("device"), pytest.raises(NlabError, match="zero is a device"):
        load_config(Path("/dev/zero"))
    with soon("ledger"), pytest.raises(NlabError, match="is a pipe"):
        EventLog(pipe).lines()
    with soon("array"):
        assert reopened(pipe, (3,), "float32") is None


@pytest.mark.parametrize("name", ["config.yaml", "manifest.json", "failed.txt"])
def test_an_absurdly_large_file_is_refused_unread(name: str, folder: Path) -> None:
    with (folder / name).open("ab") as file:
        file.truncate(1 << 40)
    with soon(name), pytest.raises(NlabError, match=r"has 1\.1 TB, more than a file of its kind may have"):
        (load_config if name == "config.yaml" else read_run)(folder / name if name == "config.yaml" else folder)


@pytest.mark.parametrize("name", ["config.yaml", "predictions.parquet"])
def test_the_checksum_of_an_absurdly_large_file_is_not_computed(name: str, folder: Path) -> None:
    with (folder / name).open("ab") as file:
        file.truncate(1 << 40)
    done = read_run(folder)
    with soon(name), pytest.raises(NlabError, match=r"has 1\.1 TB, more than a file of its kind may have"):
        _ = done.config if name == "config.yaml" else done.table(name)


def test_a_table_of_equal_values_that_would_fill_the_memory_is_refused_unread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    zeros = pa.array(pa.repeat(0, 10_000_000))
    table = pa.table(dict.fromkeys(("era", "seed"), zeros))
    with pq.ParquetWriter(folder / "per_era.parquet", table.schema) as writer:
        for _ in range(4):
            writer.write_table(table)
    reseal(folder)
    monkeypatch.setattr("numerai_lab.runs.reading.free_memory", lambda: 300_000_000)
    with pytest.raises(NlabError, match="40,000,000 rows of 2 columns are more than memory has room for"):
        read_run(folder)


def test_an_edited_config_of_a_run_is_noticed_by_everything_that_reads_it(folder: Path) -> None:
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(text.replace("- 0", "- 1", 1))
    done = read_run(folder)
    for read in (lambda: done.config, lambda: redrawn(done), lambda: open_(folder, redraw=True)):
        with pytest.raises(NlabError, match=r"config.yaml is not what was written; to use what was edited, run it as a config"):
            read()
    compare([folder])  # which reads no config


def test_damaged_predictions_are_noticed_when_a_report_is_drawn_from_them(folder: Path) -> None:
    path = folder / "predictions.parquet"
    whole = path.read_bytes()
    before = (folder / "report.html").read_bytes()
    for content in (whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:], whole[: len(whole) // 2], b""):
        path.write_bytes(content)
        with pytest.raises(NlabError, match=r"predictions.parquet is not what was written; run its config again"):
            redrawn(read_run(folder))
    path.write_bytes(whole[: len(whole) // 2])
    reseal(folder)
    with pytest.raises(NlabError, match=r"damaged run folder \(predictions.parquet"):
        redrawn(read_run(folder))
    assert (folder / "report.html").read_bytes() == before


@pytest.mark.parametrize("kinds", [3, [], {"generators": 3}, {"generators": [{}]}, {"generators": "x"}])
def test_an_odd_record_of_plugins_is_passed_over(kinds: object, folder: Path) -> None:
    record = [{"name": "x", "give": "--plugin x", "sha256": "0", "kinds": kinds}]
    (folder / RECORD).write_text(json.dumps(record))
    assert not any(ways_out(folder).values())
    assert read_run(folder).config.name == "test"
