"""Disks without room, file systems without locks, links in the cache, terminals that are closed or know ASCII only."""

import errno
import os
import pwd
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from polars.exceptions import ComputeError
from xgboost.core import XGBoostError

from numerai_lab.core.errors import NlabError, NlabFailure, as_failure
from numerai_lab.experiment import RunOptions, run
from numerai_lab.report.listing import listing, newest
from numerai_lab.runs.layout import ERROR_TEXT, UNFINISHED
from numerai_lab.runs.ledger import _user as who
from numerai_lab.storage import file_lock
from numerai_lab.storage.cleanup import damaged_items, items, prune, remove
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import cache_dir, user_path
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.storage.used_entries import used_entries
from tests import forks
from tests.conftest import Quiet, make_config

FEW_ERAS = {"train": "1-60", "val1": "69-71", "val2": "80-82"}


XGBOOST = "[02:55:25] /xgboost/dmlc-core/src/io/local_filesys.cc:37: Check failed: std::fwrite(ptr, 1, size, fp_) == size: "


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("4096 requested and 0 written"), "the disk is full (4096 requested and 0 written); make room"),
        (OSError(errno.ENOSPC, "No space left on device", "file"), "file: No space left on device; make room"),
        (ComputeError("No space left on device (os error 28)"), "No space left on device (os error 28); make room"),
        (ComputeError("Disk quota exceeded (os error 122)"), "Disk quota exceeded (os error 122); your quota there is used up"),
        (ComputeError("File too large (os error 27)"), "File too large (os error 27); no file may grow so large there"),
        (
            ComputeError("Read-only file system (os error 30)"),
            "Read-only file system (os error 30); nothing can be written there",
        ),
        (
            PermissionError("Permission denied (os error 13): /a/b"),
            "Permission denied (os error 13): /a/b; this user may not read",
        ),
        (OSError("Too many open files (os error 24): /a/b"), "Too many open files (os error 24): /a/b; a run needs some 50"),
        (XGBoostError(f"{XGBOOST}FileStream.Write incomplete"), "the disk is full (FileStream.Write incomplete); make room"),
        (XGBoostError('LocalFileSystem::Open "/a/b": Permission denied'), "Permission denied; this user may not read or write"),
        (XGBoostError("std::bad_alloc"), "memory ran out (std::bad_alloc); --dry-run tells how much"),
        (XGBoostError("bad_malloc: Failed to allocate 800 bytes."), "memory ran out (bad_malloc: Failed to allocate 800 bytes);"),
        (XGBoostError("std::bad_alloc: cudaErrorMemoryAllocation: out of memory"), "the GPU's memory ran out; take"),
        (MemoryError(), "memory ran out (no more); --dry-run"),
    ],
)
def test_an_error_of_the_system_is_a_sentence_whichever_library_meets_it(error: Exception, message: str) -> None:
    failure = as_failure(error)
    assert isinstance(failure, NlabFailure)
    assert message in str(failure)
    assert ("make room" in str(failure)) == ("make room" in message or "quota" in message)


@pytest.mark.parametrize(
    "error", [ComputeError("lengths don't match"), XGBoostError("Check failed"), ValueError("Permission denied"), OSError()]
)
def test_any_other_error_stays_as_it_is(error: Exception) -> None:
    assert as_failure(error) is error


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "your quota there is used up"),
        (errno.EFBIG, "no file may grow so large there"),
        (errno.EROFS, "nothing can be written there now"),
        (errno.EACCES, "this user may not read or write there"),
        (errno.EMFILE, "a run needs some 50 open files: raise the limit"),
    ],
)
def test_an_error_of_the_system_comes_with_advice_for_just_this_error(number: int, advice: str) -> None:
    failure = as_failure(OSError(number, os.strerror(number), "some file"))
    assert isinstance(failure, NlabFailure)
    assert f"some file: {os.strerror(number)}; {advice}" in str(failure)
    assert ("make room" in str(failure)) == (number in (errno.ENOSPC, errno.EDQUOT))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_a_sentence(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(file: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_lock.fcntl, "flock", without)
    with pytest.raises(NlabFailure, match="this file system knows no locks .* NLAB_CACHE"):
        Lock(tmp_path / "lock").take()


def test_a_cache_without_locks_is_read_and_checked_and_not_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(splits=FEW_ERAS, generators={"few": {"kind": "group_stats"}})
    done = run(config, tmp_path, Quiet())
    cache, broken = cache_dir(), next((cache_dir() / STAGES).glob("*/[!.]*/"))
    (cache / "scratch" / "run-x").mkdir(parents=True, exist_ok=True)
    (cache / "scratch" / "run-x" / ".lock").touch()
    (cache / "scratch" / "run-x" / "used.txt").write_text(f"{broken.relative_to(cache)}\n")

    def without(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(file_lock.fcntl, "flock", without)
    assert used_entries(cache) == set()
    assert [item for item in items(cache) if item.in_use] == []
    checks = list(damaged_items(cache))
    assert len(checks) >= 2
    assert [damage for _, damage in checks if damage] == []
    file = next(path for path in broken.iterdir() if path.suffix != ".json")
    file.write_bytes(b"other")
    damaged = [item for item, damage in damaged_items(cache) if damage]
    assert [item.path for item in damaged] == [broken]
    for change in (lambda: remove(damaged[0]), lambda: prune(cache, 0, data=False), lambda: run(config, tmp_path, Quiet())):
        with pytest.raises(NlabFailure, match="this file system knows no locks .* NLAB_CACHE"):
            change()
    assert broken.is_dir()
    assert not list(tmp_path.glob(f"{UNFINISHED}*"))
    assert [row["run"] for row in listing(tmp_path)] == [done.path.name]


def test_a_link_in_the_cache_is_somebodys_own_folder_and_is_not_pruned(tmp_path: Path) -> None:
    own, cache = tmp_path / "own", tmp_path / "cache"
    own.mkdir()
    (own / "train.parquet").write_text("precious")
    (cache / "numerai").mkdir(parents=True)
    (cache / "numerai" / "v5.3").symlink_to(own)
    (cache / "scratch").mkdir()
    (cache / "scratch" / "run-x").symlink_to(own)
    assert items(cache) == []
    assert prune(cache, 0, data=True) == ([], 0)
    assert (cache / "numerai" / "v5.3").is_symlink()
    assert (own / "train.parquet").read_text() == "precious"
    assert [path.name for path in own.iterdir()] == ["train.parquet"]


def test_a_run_that_failed_on_a_full_disk_is_whole_once_it_was_resumed(tmp_path: Path) -> None:
    config = make_config(splits=FEW_ERAS)
    left = tmp_path / f"{UNFINISHED}20260102-030405_test-abc"
    left.mkdir()
    (left / "config.yaml").write_text(config.to_yaml())
    (left / ERROR_TEXT).touch()
    done = run(config, tmp_path, Quiet(), options=RunOptions(unfinished=left))
    assert not (done.path / ERROR_TEXT).exists()


def test_commands_print_where_stdout_knows_ascii_only_or_is_closed() -> None:
    command = f"{sys.executable} -m numerai_lab describe umap"
    ascii_only = subprocess.run(
        command.split(), env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=False
    )
    closed = subprocess.run(f"{command} >&- 2>&-", shell=True, check=False)
    assert (ascii_only.returncode, closed.returncode) == (0, 0)
    assert ascii_only.stdout.isascii()


def test_too_few_open_files_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(make_config(splits=FEW_ERAS).to_yaml())
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (20, 20))
    process = forks.start("run", "config.yaml", said=tmp_path, cwd=tmp_path, before=limited)
    process.join()
    assert process.exitcode == 1
    says = (tmp_path / "stderr").read_text()
    assert "Too many open files; a run needs some 50 open files: raise the limit (`ulimit -n 1024`)" in says
    assert "Traceback" not in says.splitlines()[-1]


def test_commands_print_where_python_keeps_no_docstrings() -> None:
    commands = [["list", "augmenters"], ["describe", "umap"], ["new", "cutout", "ridge"]]
    code = f"from numerai_lab.cli.app import app\nfor words in {commands}: app(words, standalone_mode=False)"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cutout" in done.stdout
    assert "n_components" in done.stdout
    assert "kind: ridge" in done.stdout


def test_a_user_without_a_name_and_a_home_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(user: object) -> NoReturn:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    run(make_config(splits=FEW_ERAS), tmp_path, Quiet())
    assert who() == str(os.getuid())
    with pytest.raises(NlabError, match="this machine knows no home folder '~'; write the whole path"):
        user_path("~/runs")


def test_what_a_user_keeps_from_others_others_may_not_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        done = run(make_config(splits=FEW_ERAS), tmp_path / "runs", Quiet())
    finally:
        os.umask(before)
    made = [*done.path.parent.rglob("*"), *(cache_dir() / STAGES).rglob("*")]
    assert len(made) > 10
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_runs_are_listed_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(make_config(splits=FEW_ERAS), tmp_path, Quiet())
    left = tmp_path / f"{UNFINISHED}20260102-030405_test-abc"
    left.mkdir()
    (left / "config.yaml").write_text(make_config().to_yaml())
    real = os.open

    def read_only(path: str, flags: int, *rest: int) -> int:
        if flags & (os.O_CREAT | os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    assert [row["run"] for row in listing(tmp_path)] == [done.path.name]
    assert newest(tmp_path) == done.path
