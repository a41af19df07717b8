"""What many workers cost and give. Run with `make bench-cluster`; minutes.

Asked: two workers with caches of their own are 1.8 times as fast as one on 12 trials, at most a second a trial beyond its child,
and predictions are the same bytes; a part of a training in two processes takes at most .55 of the memory beyond libraries, for
the same trees; a scheduler with 25, 50 and 100 workers that pretend to work has them busy for .95, .9 and .85 of the time.

What other work on the machine leaves alone is asserted, and the clock's own numbers are printed beside it:
- how many trials ran at once on the average, from first to last, in place of a ratio of times;
- the seconds of workers in which no child ran, for each trial;
- how busy workers can have been without the time for which the scheduler's thread was ready and had to wait for a core.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from numerai_lab.cluster import connection as connections
from numerai_lab.cluster.adoption import adopted_run
from numerai_lab.cluster.connection import ClusterConnection, connected
from numerai_lab.cluster.places import place_of
from numerai_lab.cluster.tasks import stop_signal
from numerai_lab.config.schema import Config
from numerai_lab.experiment import RunOptions, run
from tests.conftest import Quiet, make_config

N_TRIALS = 12
BESIDE = 1.0
"""Seconds of a trial beyond its child."""
AT_ONCE = 1.8
PART = 0.55
PRETENDED = {10: 0.95, 25: 0.95, 50: 0.9, 100: 0.85}
PER_WORKER, LENGTH = 4, 10.0
"""Pretended trials of a worker, and the seconds that each takes."""
ALONE = {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "60s"}
"""Each pretended worker does not watch itself: real ones do that on cores of their own, and not on the scheduler's."""


@contextmanager
def workers(folder: Path, n_workers: int) -> Iterator[tuple[ClusterConnection, list[int]]]:
    """Workers with caches of their own, of one thread, and the ids of all processes of Dask's."""
    start = [sys.executable, "-m", "numerai_lab", "cluster"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = folder / f"scheduler-{n_workers}.json"
    processes = [subprocess.Popen([*start, "scheduler", "--port", "0", "--file", str(file)], **quiet)]
    try:
        while not file.is_file():
            time.sleep(0.1)
        for number in range(n_workers):
            environ = {**os.environ, "NLAB_CACHE": str(folder / f"cache-{n_workers}-{number}")}
            worker = [*start, "worker", place_of(str(file)).address, "--threads", "1"]
            processes.append(subprocess.Popen(worker, env=environ, **quiet))
        with connected(place_of(str(file), n_workers)) as connection:
            dask = [psutil.Process(process.pid) for process in processes]
            yield connection, [one.pid for process in dask for one in (process, *process.children(recursive=True))]
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def cpu_seconds(processes: Sequence[int]) -> float:
    """CPU seconds of this process and of others so far, without those of children that ended."""
    times = [psutil.Process(pid).cpu_times() for pid in (os.getpid(), *processes) if psutil.pid_exists(pid)]
    return sum(each.user + each.system for each in times)


def trial(number: int) -> Config:
    model = {"kind": "xgboost", "n_estimators": 150, "learning_rate": 0.05, "max_depth": 5}
    generators = {"pca": {"kind": "pca", "n_components": 8}}
    variants = {"baseline": {}, "raw+pca": {"features": ["raw", "pca"]}}
    return make_config(seeds=[number], model=model, generators=generators, variants=variants)


def test_two_workers_do_twelve_trials_side_by_side(tmp_path: Path) -> None:
    configs = [trial(number) for number in range(N_TRIALS)]
    elapsed: dict[int, float] = {}
    beside: dict[int, float] = {}
    at_once: dict[int, float] = {}
    cpu: dict[int, float] = {}
    for n_workers in (1, 2):
        with workers(tmp_path, n_workers) as (connection, processes):
            connection.check_data(configs[0])  # each reads the data once
            start, before, seconds = time.monotonic(), cpu_seconds(processes), []
            for place, answer in connection.answers([{"kind": "run", "config": config.to_yaml()} for config in configs]):
                seconds.append(answer["seconds"])
                adopted_run(answer["tar"], answer["result"], configs[place], tmp_path / f"runs-{n_workers}")
            elapsed[n_workers] = time.monotonic() - start
            cpu[n_workers] = (cpu_seconds(processes) - before) / N_TRIALS
        at_once[n_workers] = sum(seconds) / elapsed[n_workers]
        beside[n_workers] = (elapsed[n_workers] * n_workers - sum(seconds)) / N_TRIALS
    print(f"12 trials: {elapsed[1]:.1f} s with one worker, {elapsed[2]:.1f} s with two, ratio {elapsed[1] / elapsed[2]:.2f}")
    print(f"trials at once with two workers: {at_once[2]:.2f}, asked {AT_ONCE}")
    print(
        f"beyond its child, one and two workers: {beside[1]:.2f} and {beside[2]:.2f} s of a worker a trial, asked {BESIDE:.0f};"
    )
    print(f"  {cpu[1]:.2f} and {cpu[2]:.2f} s of CPU of Dask's processes and this one, while children run included")
    alone = run(configs[3], tmp_path / "alone", Quiet(), options=RunOptions(cached=False))
    wanted = (alone.path / "predictions.parquet").read_bytes()
    folders = [path for n_workers in (1, 2) for path in (tmp_path / f"runs-{n_workers}").iterdir()]
    assert len(folders) == 2 * N_TRIALS
    assert sum((path / "predictions.parquet").read_bytes() == wanted for path in folders) == 2
    assert at_once[2] >= AT_ONCE
    assert max(beside.values()) <= BESIDE


FIT = """
import pathlib, sys
import numpy as np
import xgboost
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.boosting import XGBoost
from numerai_lab.models.xgboost_parts import part_of
from tests.bench.test_cluster import big_panel

folder, part, n_parts, port = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])


def memory(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name + ":")) / 1e6


panel = big_panel(folder)
stream = TrainingStream(panel, ("raw",), panel.feature_names, 0, part=part, n_parts=n_parts)
model = XGBoost(n_estimators=10, learning_rate=0.1, colsample_bytree=0.1, workers=n_parts)
before = memory("VmRSS")
if n_parts == 1:
    model.fit(stream, np.random.default_rng(0))
else:
    with part_of({"dmlc_tracker_uri": "127.0.0.1", "dmlc_tracker_port": port}, part):
        model.fit(stream, np.random.default_rng(0))
print(memory("VmHWM") - before)
(folder / f"model-{part}-{n_parts}.json").write_bytes(model.saved()[1])
"""
ROWS, COLUMNS, ERAS = 600_000, 500, 200


def big_panel(folder: Path) -> Any:
    """A panel of random bins, mapped from a file; the target leans on the first columns."""
    from numerai_lab.core.panel import Panel

    path = folder / "features.npy"
    if not path.exists():
        features = np.lib.format.open_memmap(path, "w+", np.int8, (ROWS, COLUMNS))
        rng = np.random.default_rng(1)
        for start in range(0, ROWS, 50_000):
            features[start : start + 50_000] = rng.integers(0, 5, (50_000, COLUMNS), np.int8)
        features.flush()
        lean = features[:, :5].astype(np.float32).mean(1) / 4 + rng.normal(0, 0.3, ROWS).astype(np.float32)
        np.save(folder / "target.npy", (np.clip(np.round(4 * lean), 0, 4) / 4).astype(np.float32))
    size = ROWS // ERAS
    return Panel(
        features=np.load(path, mmap_mode="r"),
        feature_names=tuple(f"f{i}" for i in range(COLUMNS)),
        n_raw=COLUMNS,
        top=4.0,
        data_types=("train",) * ERAS,
        eras=np.arange(1, ERAS + 1, dtype=np.int32),
        bounds=np.array([[i * size, (i + 1) * size] for i in range(ERAS)]),
        ids=np.arange(ROWS).astype("S8"),
        target=np.load(folder / "target.npy", mmap_mode="r"),
    )


def fitted(folder: Path, n_parts: int) -> list[float]:
    """Gigabytes beyond libraries of each of some processes that train one model."""
    from numerai_lab.models.xgboost_parts import tracker

    with tracker(n_parts, "127.0.0.1") as arguments:
        port = str(arguments["dmlc_tracker_port"])
        command = [sys.executable, "-c", FIT, str(folder)]
        parts = [
            subprocess.Popen([*command, str(part), str(n_parts), port], stdout=subprocess.PIPE, text=True)
            for part in range(n_parts)
        ]
        return [float(part.communicate()[0].splitlines()[-1]) for part in parts]


def test_a_part_takes_half_the_memory_and_grows_the_same_trees(tmp_path: Path) -> None:
    big_panel(tmp_path)
    alone, parts = fitted(tmp_path, 1), fitted(tmp_path, 2)
    share = max(parts) / alone[0]
    shown = " and ".join(f"{part:.2f}" for part in parts)
    print(f"{ROWS:,} × {COLUMNS} int8: {alone[0]:.2f} GB in one process, {shown} in two, share {share:.2f}, asked {PART}")
    models = {path.read_bytes() for path in tmp_path.glob("model-*.json")}
    assert len(models) == 1
    assert share <= PART


def pretended(job: Mapping[str, Any], stop: str) -> dict[str, Any]:
    """A trial that only waits for its length, and for the signal to stop."""
    with stop_signal(stop) as stopped:
        stopped.wait(job["seconds"])
    return {"result": b"x" * 100_000}


def waited_for_a_core() -> dict[int, float]:
    """Seconds for which each thread of this process was ready to run and had no core, so far."""
    times = {}
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # of a thread that ends
            times[int(task.name)] = int((task / "schedstat").read_text().split()[1]) / 1e9
    return times


@pytest.mark.parametrize("n_workers", PRETENDED)
def test_a_scheduler_keeps_many_workers_busy(n_workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask
    from distributed import LocalCluster

    monkeypatch.setattr(connections, "run_job", pretended)
    local: dict[str, Any] = {"threads_per_worker": 1, "processes": False, "dashboard_address": None, "memory_limit": 0}
    with dask.config.set(ALONE), LocalCluster(n_workers=n_workers, **local) as cluster, cluster.get_client() as client:
        client.wait_for_workers(n_workers)
        connection = ClusterConnection(client, "nlab-stop-bench", tuple(client.run(str, on_error="return")))
        jobs = [{"seconds": LENGTH}] * (PER_WORKER * n_workers)
        loop = client.sync(thread_of_loop)
        start, before = time.monotonic(), waited_for_a_core()[loop]
        n_done = sum(1 for _ in connection.answers(jobs))
        elapsed, waited = time.monotonic() - start, waited_for_a_core()[loop] - before
    least, most = (PER_WORKER * LENGTH / max(PER_WORKER * LENGTH, spent) for spent in (elapsed, elapsed - waited))
    print(
        f"{n_workers} workers, {n_done} trials of {LENGTH:.0f} s: busy for {least:.3f} of the time, asked {PRETENDED[n_workers]}"
    )
    print(f"  the scheduler waited for a core for {waited:.1f} of {elapsed:.1f} s: without other work {most:.3f} at most")
    assert most >= PRETENDED[n_workers]


async def thread_of_loop() -> int:
    """The system's number of the thread that this runs in: the scheduler's."""
    return threading.get_native_id()
