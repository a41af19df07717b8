"""Sweeps on workers of this machine: the same bytes as alone, whatever dies on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from numerai_lab.cluster import environment as environments
from numerai_lab.cluster.connection import ClusterConnection, connected
from numerai_lab.cluster.places import place_of
from numerai_lab.config.plugins import load_plugins
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.reading import read_run
from numerai_lab.studies.sweep import SweepSpec, grid
from tests.cluster.faulty import CONFIG, TEXT
from tests.conftest import Quiet
from tests.own_methods import registries_restored

PATIENCE = 120.0
"""Seconds that a busy machine may take for what takes a few."""
FAULTS = ("worker child stopped halted", "poison")


@pytest.fixture
def spec(tmp_path: Path) -> Iterator[SweepSpec]:
    plugin, config = tmp_path / "faulty.py", tmp_path / "c.yaml"
    plugin.write_text(TEXT)
    config.write_text(CONFIG.replace("FOLDER", str(tmp_path)))
    with registries_restored():
        load_plugins([str(plugin)])
        yield SweepSpec(config, [], tmp_path / "sweep")


def test_trials_survive_children_and_workers_that_die_and_only_a_poisoned_one_fails(
    spec: SweepSpec, connection: ClusterConnection
) -> None:
    alone = grid(replace(spec, folder=spec.folder.with_name("alone")), ["model.fault=none"], "val1.corr.mean", Quiet())
    done = grid(replace(spec, cluster=connection), [f"model.fault={','.join(FAULTS)}"], "val1.corr.mean", Quiet())
    assert [trial.values["model.fault"] for trial in done.trials] == list(FAULTS)
    assert not done.trials[0].error
    assert {path.name for path in spec.path.parent.glob("fault-*")} >= {f"fault-{name}" for name in FAULTS[0].split()}
    assert "exit code -9" in done.trials[1].error
    assert "3 times" in done.trials[1].error
    mine, theirs = alone.trials[0].path, done.trials[0].path
    assert mine is not None
    assert theirs is not None
    assert theirs.parent == spec.folder
    assert (theirs / "predictions.parquet").read_bytes() == (mine / "predictions.parquet").read_bytes()
    assert read_run(theirs).manifest["packages"] == read_run(mine).manifest["packages"]
    again = grid(replace(spec, cluster=connection), [f"model.fault={FAULTS[0]}"], "val1.corr.mean", Quiet())
    assert all(trial.reused for trial in again.trials)
    assert not [path for path in spec.folder.iterdir() if path.name.startswith(".")]


def test_other_sources_and_too_few_workers_are_refused(connection: ClusterConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    address = connection.client.scheduler.address
    with pytest.raises(NlabError, match="2 of 3 workers after 1 s"), connected(place_of(address, 3), wait=1):
        pass
    mine = environments._version
    monkeypatch.setattr(environments, "_digest", lambda paths: "0000")
    monkeypatch.setattr(environments, "_version", lambda name: "0.1" if name == "xgboost" else mine(name))
    with pytest.raises(NlabError) as refused, connected(place_of(address)):
        pass
    lines = str(refused.value).splitlines()[1:]
    assert len(lines) == 2
    assert all("nlab's sources" in line and "here 0000" in line and "here 0.1" in line for line in lines)


def test_after_ctrl_c_no_child_is_left(spec: SweepSpec) -> None:
    words = ["sweep", spec.path, "--plugin", spec.path.with_name("faulty.py"), "--grid", "model.fault=endless"]
    command = [sys.executable, "-m", "numerai_lab", *map(str, words), "--folder", str(spec.folder), "--cluster", "local:1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        mark = spec.path.with_name("fault-endless")
        wait_until(lambda: mark.exists() and bool(mark.read_text()))
        child = int(mark.read_text())
        assert alive(child)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the command and all workers
        process.communicate(timeout=PATIENCE)
        wait_until(lambda: not alive(child))
    finally:
        process.kill()
    assert process.returncode not in (0, 2)
    assert not list(spec.folder.glob("*"))


@pytest.mark.slow
def test_after_ctrl_c_workers_stay_and_the_same_sweep_goes_on_where_it_stopped(
    spec: SweepSpec, connection: ClusterConnection
) -> None:
    words = ["sweep", spec.path, "--plugin", spec.path.with_name("faulty.py"), "--grid", "model.fault=none,late"]
    place = ["--folder", spec.folder, "--cluster", connection.client.scheduler.address]
    command = [sys.executable, "-m", "numerai_lab", *map(str, [*words, *place])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        mark = spec.path.with_name("fault-late")
        wait_until(lambda: mark.exists() and bool(mark.read_text()) and bool(list(spec.folder.glob("[!.]*/scores.csv"))))
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        wait_until(lambda: not alive(int(mark.read_text())))
    finally:
        process.kill()
    assert process.returncode not in (0, 2)
    assert len(connection.client.ncores()) == 2
    again = grid(replace(spec, cluster=connection), ["model.fault=none,late"], "val1.corr.mean", Quiet())
    assert [trial.reused for trial in again.trials] == [True, False]
    assert not any(trial.error for trial in again.trials)


def wait_until(fact: object) -> None:
    """Looks again and again until something holds."""
    assert callable(fact)
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:4]
    except FileNotFoundError:
        return False
