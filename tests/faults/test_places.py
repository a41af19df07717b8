"""Disks without room, file systems without locks, links in the cache, terminals that are closed or know ASCII only."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from numerai_lab.core.errors import NlabFailure, as_failure
from numerai_lab.experiment import RunOptions, run
from numerai_lab.runs.layout import ERROR_TEXT, UNFINISHED
from numerai_lab.storage import file_lock
from numerai_lab.storage.cleanup import items, prune
from numerai_lab.storage.file_lock import Lock
from tests.conftest import Quiet, make_config


@pytest.mark.parametrize(
    "error",
    [
        OSError("4096 requested and 0 written"),
        OSError(errno.ENOSPC, "No space left on device", "file"),
        pl.exceptions.ComputeError("No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_a_sentence_whichever_library_meets_it(error: Exception) -> None:
    assert isinstance(as_failure(error), NlabFailure)
    assert "make room" in str(as_failure(error))
    other = pl.exceptions.ComputeError("lengths don't match")
    assert as_failure(other) is other


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_a_sentence(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(file: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(file_lock.fcntl, "flock", without)
    with pytest.raises(NlabFailure, match="this file system knows no locks .* NLAB_CACHE"):
        Lock(tmp_path / "lock").take()


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
    config = make_config(splits={"train": "1-60", "val1": "69-71", "val2": "80-82"})
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
