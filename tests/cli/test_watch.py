"""`nlab watch`: all runs at once, and a line a change off a terminal."""

import csv
import io
import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.docs.test_agents import documented
from tests.forks import nlab, start
from tests.many_runs import make_runs, run_in_progress, tell_progress

PROGRESS = {"stage": "fit umap@0", "share": 0.5, "done": 3, "stages": 12, "seconds": 60.0, "seconds_left": 60.0}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    make_runs(tmp_path / "runs", 1)
    return tmp_path / "runs"


def test_once_prints_all_runs_in_every_format(runs: Path) -> None:
    with run_in_progress(runs, "20261130-020000_umap", **PROGRESS):
        table, rows, sheet = (nlab("watch", "--once", "--runs-dir", runs, "--format", form) for form in ("table", "json", "csv"))
    assert (table.returncode, rows.returncode, sheet.returncode) == (0, 0, 0)
    assert table.stdout.startswith("1 running, 1 finished\n\n20261130-020000_umap\n  [##########          ] 50%  3 of 12 stages")
    going, done = json.loads(rows.stdout)
    assert (going["status"], going["stage"], done["status"], done["stage"]) == ("running", "fit umap@0", "finished", None)
    assert {*going} <= documented()["watch"]
    assert [row["run"] for row in csv.DictReader(io.StringIO(sheet.stdout))] == [going["run"], done["run"]]


def test_other_formats_are_for_once_and_a_missing_folder_is_a_sentence(runs: Path, tmp_path: Path) -> None:
    done = nlab("watch", "--runs-dir", runs, "--format", "csv")
    assert (done.returncode, done.stderr) == (2, "nlab: --format csv prints all runs at once: give --once too\n")
    done = nlab("watch", "--runs-dir", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "nowhere: no folder of runs (No such file or directory); name another with --runs-dir" in done.stderr


def test_off_a_terminal_it_prints_a_line_a_change_until_it_is_interrupted(runs: Path, tmp_path: Path) -> None:
    def printed(*words: str) -> str:
        end, text = time.monotonic() + 60, ""
        while not all(word in text for word in words):
            assert time.monotonic() < end, text
            time.sleep(0.05)
            text = (tmp_path / "stdout").read_text() if (tmp_path / "stdout").exists() else ""
        return text

    with run_in_progress(runs, "20261130-020000_umap", **PROGRESS) as folder:
        process = start("watch", "--runs-dir", runs, said=tmp_path)
        printed("fit umap@0")
        tell_progress(folder, **{**PROGRESS, "seconds": 70.0})  # the same stage: no line
        tell_progress(folder, **{**PROGRESS, "stage": "train raw+umap@0", "done": 4})
        printed("train raw+umap@0")
    lines = printed("interrupted").splitlines()
    assert [line.partition("; ")[0].partition(". ")[0] for line in lines] == [
        "20261130-020000_umap: fit umap@0",
        "20261130-020000_umap: train raw+umap@0",
        "20261130-020000_umap: interrupted",
    ]
    assert process.pid
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 0
    assert (tmp_path / "stderr").read_text() == "1 running, 1 finished\n"
