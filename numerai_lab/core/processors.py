"""Processor cores that this process may use, and the threads that libraries get."""

import os
from collections.abc import MutableMapping
from pathlib import Path

from numerai_lab.core.control_groups import CGROUPS, CONTROLLED, groups_of, numbers_in

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
"""Environment variables by which libraries are told their number of threads; they read them when they are loaded."""
PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Threads that wait sleep. By default they spin, and on a busy machine take the core of the thread they wait for."""
LOOK = 0.1
"""Seconds for which other processes are watched."""


def usable_cores(cgroups: Path = CGROUPS, controlled: Path = CONTROLLED) -> int:
    """Cores that this process may use: its affinity, or a control group's quota, if that is less."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for folder, version in groups_of("cpu", cgroups, controlled):
        names = ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        numbers = [number for name in names for number in numbers_in(folder / name) or ()]
        if len(numbers) == 2 and min(numbers) > 0:
            cores = min(cores, numbers[0] // numbers[1])
    return max(1, cores)


def idle_cores(seconds: float = LOOK) -> int:
    """Usable cores less what other processes keep busy now, at least 1."""
    import psutil

    affinity = getattr(os, "sched_getaffinity", None)
    busy = psutil.cpu_percent(seconds, percpu=True)
    mine = affinity(0) if affinity else range(len(busy))
    taken = sum(busy[core] for core in mine if core < len(busy)) / 100
    return max(1, min(usable_cores(), round(len(mine) - taken)))


def set_threads(environ: MutableMapping[str, str], n_threads: int | None = None) -> None:
    """Tells libraries that are loaded later how many threads to use, and to sleep while they wait.

    n_threads: by default OMP_NUM_THREADS, else `idle_cores`. What the user has set stays as it is.
    """
    for name, value in PASSIVE.items():
        environ.setdefault(name, value)
    asked = environ.get("OMP_NUM_THREADS", "")
    n_threads = n_threads or (int(asked) if asked.isdecimal() and int(asked) else idle_cores())
    for name in THREADS:
        environ.setdefault(name, str(n_threads))


def threads_now(name: str = "OMP_NUM_THREADS") -> int:
    """Threads that a library loaded now would use, as far as the environment says; else all usable cores.

    name: the variable by which the library is told.
    """
    asked = os.environ.get(name, "")
    return int(asked) if asked.isdecimal() and int(asked) else usable_cores()
