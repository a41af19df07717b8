"""Slurm jobs as workers, by stand-ins for sbatch and scancel, and a scheduler that is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest

from numerai_lab.cluster.connection import connected
from numerai_lab.cluster.keys import VARIABLE, make_keys
from numerai_lab.cluster.places import place_of
from numerai_lab.cluster.tasks import child_environment
from numerai_lab.config.plugins import load_plugins
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.studies.sweep import SweepSpec, grid
from tests.cluster.faulty import CONFIG, TEXT
from tests.cluster.test_sweep_on_cluster import alive, wait_until
from tests.conftest import Quiet
from tests.own_methods import registries_restored

SBATCH = """#!/bin/sh
cp "$1" "$0.$$.sh"
setsid sh "$0.$$.sh" > "$0.$$.log" 2>&1 < /dev/null &
echo $! >> "$0.jobs"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job"; done
"""


def test_slurm_jobs_are_workers_until_the_command_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    make_keys(tmp_path / "keys")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys"))
    settings = tmp_path / "slurm.yaml"
    settings.write_text(f"jobs: 2\ncores: 3\nmemory: 1GB\nscheduler_options: {{host: 127.0.0.1}}\npython: {sys.executable}\n")
    interrupted = signal.getsignal(signal.SIGINT)
    with connected(place_of(str(settings))) as connection:
        assert signal.getsignal(signal.SIGINT) is interrupted
        assert connection.client.scheduler.address.startswith("tls://127.0.0.1:")
        assert len(connection.workers) == 2
        environ = connection.client.submit(child_environment, pure=False).result()
        assert environ["OMP_NUM_THREADS"] == "3"
        jobs = [int(line) for line in (tmp_path / "sbatch.jobs").read_text().split()]
        assert all(alive(job) for job in jobs)
    wait_until(lambda: not any(alive(job) for job in jobs))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Dask's, of a cluster that was never made
@pytest.mark.parametrize(("line", "message"), [("qeue: short\n", "qeue"), ("queue: [\n", "slurm.yaml")])
def test_settings_that_slurm_jobs_do_not_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    settings = tmp_path / "slurm.yaml"
    settings.write_text(f"jobs: 2\ncores: 3\nmemory: 1GB\nscheduler_options: {{host: 127.0.0.1}}\n{line}")
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(NlabError, match=message), connected(place_of(str(settings)), wait=1):
        pass


@pytest.mark.slow
def test_a_lost_scheduler_is_a_sentence_and_ends_its_trials(tmp_path: Path) -> None:
    plugin, config, file = tmp_path / "faulty.py", tmp_path / "c.yaml", tmp_path / "scheduler.json"
    plugin.write_text(TEXT)
    config.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    start = [sys.executable, "-m", "numerai_lab", "cluster"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen([*start, "scheduler", "--port", "0", "--file", str(file)], **quiet)
    worker = None
    try:
        wait_until(lambda: file.is_file() and file.read_text().rstrip().endswith("}"))  # written whole
        address = place_of(str(file)).address
        worker = subprocess.Popen([*start, "worker", address, "--threads", "1"], **quiet)
        mark = tmp_path / "fault-endless"
        with registries_restored(), dask.config.set({"distributed.comm.timeouts.connect": "2s"}):
            load_plugins([str(plugin)])
            killing = subprocess.Popen([sys.executable, "-c", KILL, str(mark), str(scheduler.pid)], **quiet)
            with pytest.raises(NlabFailure, match="the scheduler of the cluster is gone"):
                swept(address, config)
        killing.wait(timeout=60)
        child = int(mark.read_text())
        wait_until(lambda: not alive(child))
    finally:
        for process in filter(None, (worker, scheduler)):
            process.send_signal(signal.SIGKILL if process is scheduler else signal.SIGTERM)
            process.wait(timeout=60)


def swept(address: str, config: Path) -> None:
    """A sweep of one trial that never ends by itself."""
    with connected(place_of(address)) as connection:
        spec = SweepSpec(config, ["model.fault=endless"], config.with_name("sweep"), cluster=connection)
        grid(spec, ["seed=0"], "val1.corr.mean", Quiet())


KILL = """
import os, pathlib, sys, time
mark = pathlib.Path(sys.argv[1])
while not (mark.exists() and mark.read_text()):
    time.sleep(0.05)
os.kill(int(sys.argv[2]), 9)
"""
"""A program that kills a process as soon as a file says that a trial has begun."""
