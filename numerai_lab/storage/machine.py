"""Memory and disk that the machine has left for a run, within the limits set on this process."""

import resource
import shutil
import sys
import time
from pathlib import Path

from numerai_lab.core.control_groups import CGROUPS, CONTROLLED, groups_of, numbers_in

MEMORY = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}
"""Files of a control group's limit and use, and its word for cached files, by the version of control groups."""


def free_memory(cgroups: Path = CGROUPS, controlled: Path = CONTROLLED) -> int:
    """Bytes that this process may still take: what is available, or less where a limit leaves less.

    Limits are those of control groups (v1 or v2) and of the process itself (`ulimit -v`, `ulimit -d`).
    """
    import psutil

    taken = psutil.Process().memory_info()
    limits = ((resource.RLIMIT_AS, taken.vms), (resource.RLIMIT_DATA, getattr(taken, "data", 0)))
    bounds = [(resource.getrlimit(limit)[0], now) for limit, now in limits]
    left = [int(psutil.virtual_memory().available)]
    left += [max(0, most - now) for most, now in bounds if most != resource.RLIM_INFINITY]
    for folder, version in groups_of("memory", cgroups, controlled):
        limit, used, cache = MEMORY[version]
        most, now = numbers_in(folder / limit), numbers_in(folder / used)
        if most and now:
            left.append(max(0, most[0] - now[0] + _reclaimable(folder / "memory.stat", cache)))
    return min(left)


def total_memory(cgroups: Path = CGROUPS, controlled: Path = CONTROLLED) -> int:
    """Bytes of memory of this machine, or a control group's limit, if that is less."""
    import psutil

    limits = [numbers_in(folder / MEMORY[version][0]) for folder, version in groups_of("memory", cgroups, controlled)]
    return min([int(psutil.virtual_memory().total), *(limit[0] for limit in limits if limit)])


def peak_memory() -> int:
    """The most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def used_gpu() -> str | None:
    """The GPU that this process has run networks on, if any; never imports torch."""
    torch = sys.modules.get("torch")
    return torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else None


def give_memory_back() -> None:
    """Returns to the system what the C library keeps of memory that was freed, where it can."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def core_flops() -> float:
    """Floating-point operations a second of one core in products of float32 matrices: the best of some short tries."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    n, seconds = 512, []
    matrix = np.ones((n, n), np.float32)
    with threadpool_limits(1):
        for _ in range(8):
            start = time.perf_counter()
            matrix @ matrix
            seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


def free_disk(path: Path) -> int:
    """Bytes free where a folder is, or will be."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free


def _reclaimable(path: Path, name: str) -> int:
    try:
        return int(dict(line.split() for line in path.read_text(encoding="utf-8").splitlines()).get(name, 0))
    except (OSError, ValueError):
        return 0
