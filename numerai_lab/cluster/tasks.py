"""What workers are asked to do: to run a child process, and to send what it made."""

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numerai_lab.cluster.packing import packed
from numerai_lab.core.errors import NlabError
from numerai_lab.core.processors import PASSIVE, THREADS, usable_cores
from numerai_lab.fitting.child_process import ChildLost, ChildProcess, await_all
from numerai_lab.storage.folders import cache_dir, key_of
from numerai_lab.storage.stage_cache import STAGES

LOOK = 10.0
"""Seconds of one question to the scheduler whether to stop; it answers at once where that happens."""
TRIES = 3
"""A job whose process dies so often is given up: it would die again."""
VARIABLE = "NLAB_CLUSTER_THREADS"
"""Threads of each child of a worker; Dask sets the variables of libraries to 1 in its own processes."""
MOST_BYTES = 2_000_000_000
"""A stage with more bytes is not sent: it is made again where it is wanted."""
FOLDER = "cluster"
"""The folder in the cache in which children make run folders."""


def run_job(job: Mapping[str, Any], stop: str) -> dict[str, Any]:
    """Does a job in a child process, and again where that dies. stop: the name of the Dask event that ends it.

    Returns {"result": …}, with the run folder as a tar where the job makes one, and the seconds of its processes, or
    {"error": …}.
    """
    from distributed import get_worker

    worker, begun = get_worker().address, time.monotonic()
    work = cache_dir() / FOLDER / key_of(job["kind"], job.get("config"))
    error = ""
    with stop_signal(stop) as stopped:
        for _ in range(TRIES):
            child = ChildProcess({**job, "folder": str(work)}, child_environment(), forward)
            try:
                if not await_all([child], stopped.wait):
                    return {"error": "stopped", "worker": worker}
                seconds = time.monotonic() - begun
                return {**_answer(child, job), "worker": worker, "seconds": seconds}
            except ChildLost as lost:
                error = str(lost)
            except NlabError as known:
                shutil.rmtree(work, ignore_errors=True)
                return {"error": str(known), "exit_code": known.exit_code, "worker": worker}
    shutil.rmtree(work, ignore_errors=True)
    return {"error": f"{error}, {TRIES} times", "exit_code": 1, "worker": worker}


@contextmanager
def stop_signal(name: str) -> Iterator[threading.Event]:
    """A local event that is set once the Dask event of this name is, or the scheduler is lost."""
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()
    stopped, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.is_set():
            try:
                # By the worker's own connection: a client of each worker's, as Event has it, would ask about all workers
                # every two seconds.
                if not sync(worker.loop, worker.scheduler.event_wait, name=name, timeout=LOOK):
                    continue
            except (OSError, RuntimeError):  # the scheduler is gone, or this worker closes
                pass
            stopped.set()
            return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield stopped
    finally:
        ended.set()


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child of a worker: that of the worker, with the number of threads that a child may use.

    How threads wait stays as it is set on the worker's machine.
    """
    threads = environ.get(VARIABLE) or str(usable_cores())
    return {**PASSIVE, **environ, **dict.fromkeys(THREADS, threads)}


def _answer(child: ChildProcess, job: Mapping[str, Any]) -> dict[str, Any]:
    result = child.result()
    if job["kind"] == "data":
        return {"result": result}
    if job["kind"] == "stages":
        folders = [Path(path) for path in result if sizes_of(Path(path)) <= MOST_BYTES]
        root = cache_dir() / STAGES
        return {"result": len(folders), "tar": packed(root, [file for folder in folders for file in folder.iterdir()])}
    path = Path(result)
    content = packed(path)
    shutil.rmtree(path)
    return {"result": path.name, "tar": content}


def sizes_of(folder: Path) -> int:
    """Bytes of the files of a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def forward(line: str) -> None:
    """Shows a line of a child's log in the log of the worker."""
    os.write(2, f"{line}\n".encode())
