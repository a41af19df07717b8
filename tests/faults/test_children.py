"""Children end when their parent ends, however it ends; a killed child is a sentence, and the others go on."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.processors import THREADS, usable_cores
from numerai_lab.data import synthetic_files
from numerai_lab.studies import fresh_process, methods, sweep, worker_pool
from numerai_lab.studies.worker_pool import KILLED, ended_with_error, machine_shared, workers
from tests import forks
from tests.conftest import Quiet, make_config
from tests.faults import staying

SECONDS = 100.0
"""Within which a child begins and ends on a busy machine."""


def world_of(bins: Callable[..., None]) -> SimpleNamespace:
    """A world of one era whose features `bins` makes."""
    eras = [SimpleNamespace(number=1, state=None)]
    return SimpleNamespace(size=SimpleNamespace(n_cells=1), eras=lambda: eras, features=SimpleNamespace(bins=bins))


def wait_for_trial_of_sweep(folder: Path) -> None:
    with workers(1) as pool:
        pool.submit(staying.stay, folder).result()


def wait_for_features(folder: Path) -> None:
    synthetic_files.CELLS_WORTH_A_PROCESS = 0
    list(synthetic_files._drawn(world_of(partial(staying.stay, folder)), 2, {1}))  # type: ignore[arg-type]


def wait_for_method(folder: Path) -> None:
    methods._run = staying.stay_as_method  # type: ignore[assignment]
    methods._tried("few", "generators", make_config(), folder, None)


def wait_for_trial_of_audit(folder: Path) -> None:
    fresh_process.PRELOADED = ()
    fresh_process.in_fresh_process(Quiet(), staying.stay_as_trial, folder)


@pytest.mark.parametrize("wait", [wait_for_trial_of_sweep, wait_for_features, wait_for_method, wait_for_trial_of_audit])
def test_a_child_ends_when_its_parent_is_killed(wait: Callable[[Path], None], tmp_path: Path) -> None:
    parent = forks.CONTEXT.Process(target=wait, args=(tmp_path,))
    parent.start()
    wait_until((tmp_path / staying.PID).exists)
    child = psutil.Process(int((tmp_path / staying.PID).read_text()))
    parent.kill()
    parent.join()
    try:
        wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        if child.is_running():
            child.kill()


def wait_until(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_workers_are_ended_where_what_waits_for_them_is_interrupted() -> None:
    start = time.monotonic()
    with suppress(KeyboardInterrupt), workers(1) as pool, ended_with_error():
        pool.submit(time.sleep, 4 * SECONDS)
        raise KeyboardInterrupt
    assert time.monotonic() - start < SECONDS


def test_a_killed_trial_is_a_sentence_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "run_alone", staying.be_killed_for_one_seed)
    spec = SimpleNamespace(folder=tmp_path, cluster=None)
    outcomes = list(sweep._run_all(spec, [make_config(seeds=[seed]) for seed in (0, 1, 2)], Quiet()))  # type: ignore[arg-type]
    assert [folder for _, folder, _ in outcomes] == [tmp_path, None, tmp_path]
    assert outcomes[1][2].startswith("its process was killed")


def test_a_killed_method_is_a_sentence_and_the_others_have_their_part_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "_run", staying.be_killed_for_few)
    monkeypatch.setattr(methods, "load", lambda *_: None)
    monkeypatch.setattr(worker_pool, "free_memory", lambda: 1000)
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    config = make_config(generators={"few": {"kind": "group_stats"}})
    plan = methods.MethodPlan(tmp_path, jobs=2, only=("few", "cutout"))
    trials = {trial.name: trial.failure for trial in methods.run_each(config, plan, lambda _: None)}
    assert trials == {"few": KILLED, "cutout": "3 threads, 500 bytes"}


def test_a_killed_process_that_makes_features_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_files, "CELLS_WORTH_A_PROCESS", 0)
    with pytest.raises(NlabFailure, match="a process that makes features was killed, perhaps because memory ran out"):
        list(synthetic_files._drawn(world_of(staying.be_killed), 2, {1}))  # type: ignore[arg-type]


def test_processes_side_by_side_share_the_threads_that_the_user_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "free_memory", lambda: 1000)
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("POLARS_MAX_THREADS", "2")
    before = dict(os.environ)
    with machine_shared(1) as memory:
        assert (memory, os.environ) == (None, before)
    with machine_shared(3) as memory:
        assert memory == 333
        shared = {name: os.environ[name] for name in THREADS}
    rest = str(max(1, usable_cores() // 3))
    assert shared == {**dict.fromkeys(THREADS, rest), "OMP_NUM_THREADS": "2", "POLARS_MAX_THREADS": "1"}
    assert os.environ == before
