"""Threads: as many as may be used and are idle, told to libraries before they load, and asleep while they wait."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from numerai_lab.cluster.tasks import VARIABLE, child_environment
from numerai_lab.core.processors import PASSIVE, THREADS, idle_cores, set_threads, threads_now, usable_cores


@pytest.mark.parametrize(
    ("controlled", "files", "wanted"),
    [
        ("0::/a", {"a/cpu.max": "300000 100000"}, 3),
        ("0::/a", {"a/cpu.max": "50000 100000"}, 1),
        ("0::/a", {"a/cpu.max": "max 100000"}, 8),
        ("0::/a", {"a/cpu.max": "max 100000", "cpu.max": "200000 100000"}, 2),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "400000", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("0::/a", {"a/cpu.max": "9900000 100000"}, 8),
    ],
)
def test_quotas_of_control_groups_of_both_versions_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controlled: str, files: dict[str, str], wanted: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "controlled").write_text(f"{controlled}\n")
    assert usable_cores(tmp_path / "fs", tmp_path / "controlled") == wanted


def test_cores_that_others_keep_busy_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 3}, raising=False)
    monkeypatch.setattr("numerai_lab.core.processors.usable_cores", lambda: 3)
    for busy, wanted in (([0, 0, 100, 0], 3), ([100, 0, 0, 0], 2), ([40, 30, 0, 10], 2), ([100] * 4, 1), ([10] * 4, 3)):
        monkeypatch.setattr(psutil, "cpu_percent", lambda seconds, percpu, busy=busy: busy)
        assert idle_cores() == wanted, busy


def test_libraries_are_told_once_and_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.core.processors.idle_cores", lambda: 5)
    environ: dict[str, str] = {}
    set_threads(environ)
    assert environ == PASSIVE | dict.fromkeys(THREADS, "5")
    theirs = {"OMP_NUM_THREADS": "3", "POLARS_MAX_THREADS": "7", "OMP_WAIT_POLICY": "ACTIVE"}
    set_threads(environ := dict(theirs))
    assert theirs.items() <= environ.items()
    assert environ["NUMBA_NUM_THREADS"] == "3"
    for odd in ("", "4,2", "many", "0"):  # what libraries understand otherwise, or not at all, is left as it is
        set_threads(environ := {"OMP_NUM_THREADS": odd})
        assert environ["OMP_NUM_THREADS"] == odd
        assert environ["OPENBLAS_NUM_THREADS"] == "5"


def test_the_environment_says_how_many_threads_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert threads_now() == 6
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_now() == usable_cores()


def test_children_of_a_worker_wait_as_its_user_set_it() -> None:
    theirs = {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "1", VARIABLE: "3"}
    assert child_environment(theirs) == {**PASSIVE, **theirs, **dict.fromkeys(THREADS, "3")}


BEGUN = """
import json, os, sys
from numerai_lab.cli import app

def begun():
    computing = {"numpy", "polars", "pyarrow", "torch", "xgboost", "lightgbm", "numba"}.intersection(sys.modules)
    print(json.dumps([{name: os.environ.pop(name, None) for name in json.loads(sys.argv[-1])}, sorted(computing)]))

app._run_app = begun
for words in json.loads(sys.argv[1]):
    sys.argv[1:-1] = words
    app.main()
"""


def test_commands_that_compute_set_the_variables_before_a_library_loads() -> None:
    names = [*THREADS, *PASSIVE]
    computing, others = (
        (["run", "a.yaml"], ["data", "synth"], ["check-plugin", "mine.py"]),
        (["data", "path"], ["list", "models"]),
    )
    environ = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", BEGUN, json.dumps([*computing, *others]), json.dumps(names)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    commands = [json.loads(line) for line in done.stdout.splitlines()]
    assert [loaded for _, loaded in commands] == [[]] * 5
    assert [sorted(name for name, value in set_.items() if value) for set_, _ in commands] == [sorted(names)] * 3 + [[]] * 2
    assert {name: commands[0][0][name] for name in PASSIVE} == PASSIVE
