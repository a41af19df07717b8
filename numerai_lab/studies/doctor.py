"""What this installation and this machine offer, what is missing, and what makes runs slow here."""

import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from numerai_lab.core import integer_products, processors
from numerai_lab.core.errors import NlabError
from numerai_lab.core.requirements import absent, how_to_install
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.machine import free_disk, free_memory, total_memory

State = Literal["ok", "note", "slow", "broken"]
FEW_BYTES_OF_MEMORY = 8e9
FEW_BYTES_OF_DISK = 10e9
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "lustre", "beegfs", "gpfs", "9p")
"""How the names of network file systems begin."""
SKEW = 2
"""Seconds by which a file's time may differ from the clock."""


@dataclass(frozen=True)
class Check:
    """One line of `nlab doctor`: what was looked at, its state, and what it means."""

    name: str
    state: State
    says: str


def checks() -> list[Check]:
    """Every check, those of the installation first."""
    return [*_packages(), *_processor(), _memory(), _gpu(), *cache_checks(cache_dir()), _clock(cache_dir())]


def _packages() -> Iterator[Check]:
    """nlab and Python, then each dependency that is absent or of an unfit version, then each extra."""
    yield Check(
        "nlab", "ok", f"{version('numerai_lab')} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    wanted = [Requirement(text) for text in requires("numerai_lab") or []]
    core = [requirement for requirement in wanted if requirement.marker is None or requirement.marker.evaluate({"extra": ""})]
    problems = [problem for requirement in core if (problem := unfit(requirement))]
    optional = all(problem.startswith(("torch", "umap-learn")) for problem in problems)
    state: State = ("note" if optional else "broken") if problems else "ok"
    yield Check("dependencies", state, "; ".join(problems) or f"all {len(core)} fit")
    yield Check("extras", "ok", "; ".join(_extras(wanted)))


def unfit(requirement: Requirement) -> str:
    """Why an installed package does not fit a requirement; empty where it does."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is absent: pip install '{requirement}'"
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    return f"{requirement.name} is {installed}: pip install '{requirement.name}{requirement.specifier}'"


def _extras(wanted: list[Requirement]) -> Iterator[str]:
    """Each extra for users, and whether its packages are there."""
    extras = {extra: [r for r in wanted if r.marker and r.marker.evaluate({"extra": extra})] for extra in _extra_names(wanted)}
    plain = {requirement.name for requirement in wanted if requirement.marker is None}
    for extra, needed in extras.items():
        missing = [requirement.name for requirement in needed if requirement.name not in plain and unfit(requirement)]
        yield f"{extra}: pip install 'numerai_lab[{extra}]'" if missing else f"{extra}: there"


def _extra_names(wanted: list[Requirement]) -> list[str]:
    markers = [str(requirement.marker) for requirement in wanted if requirement.marker]
    names = [marker.split('extra == "')[1].split('"')[0] for marker in markers if 'extra == "' in marker]
    return [name for name in dict.fromkeys(names) if name != "dev"]


def _processor() -> Iterator[Check]:
    """Cores, threads and the product that scoring uses."""
    usable, idle = processors.usable_cores(), processors.idle_cores(0.5)
    threads = processors.threads_now()
    spins = os.environ.get("OMP_WAIT_POLICY", "PASSIVE").upper() != "PASSIVE"
    busy = f"others keep {usable - idle} busy; " if idle < usable else ""
    text = f"{usable} cores may be used; {busy}a run started now takes {threads} thread{'s' * (threads > 1)}"
    if spins:
        text += "; OMP_WAIT_POLICY is set, so that waiting threads spin: unset it where the machine is shared"
    elif idle < usable:
        text += "; it is faster when they are done"
    yield Check("threads", "slow" if spins or idle < usable else "ok", text)
    if absent(["torch"]):
        yield Check("integer products", "slow", f"scoring takes float32 products; integers need {how_to_install(['torch'])}")
        return
    integer_products.prepare(float("inf"))
    if integer_products.integers_are_faster():
        yield Check("integer products", "ok", "scoring takes int8 products, which are faster than float32 here")
    else:
        yield Check("integer products", "slow", "float32 products are faster here; a processor with VNNI scores faster")


def _memory() -> Check:
    free, total = free_memory(), total_memory()
    text = f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    if free >= FEW_BYTES_OF_MEMORY:
        return Check("memory", "ok", text)
    return Check("memory", "note", f"{text}; `nlab run --dry-run` says what a config wants and what would need less")


def _gpu() -> Check:
    """Whether torch can use a card; `nvidia-smi` tells that there is one where torch is a CPU build."""
    if absent(["torch"]):
        return Check("gpu", "note", "torch is not installed, so networks do not run")
    import torch

    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return Check("gpu", "ok", f"{card.name}, {card.total_memory / 1e9:.0f} GB; networks use it by `device: auto`")
    if shutil.which("nvidia-smi"):
        return Check(
            "gpu", "slow", f"there is a card, but torch {torch.__version__} can't use it; install a CUDA build: pytorch.org"
        )
    return Check("gpu", "note", "none; networks and trees run on the processor")


def cache_checks(folder: Path) -> Iterator[Check]:
    """Whether the cache can be written and locked, how much room it has, and whether it is on this machine."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as work, Lock(Path(work) / "lock") as lock:
            lock.take()
    except (OSError, NlabError) as error:
        yield Check("cache", "broken", f"{folder} can't be used ({error}); name another folder by NLAB_CACHE")
        return
    kind = _file_system(folder)
    if kind.startswith(NETWORK):
        yield Check("cache", "slow", f"{folder} is on a network file system ({kind}); a local folder is faster: NLAB_CACHE")
    else:
        yield Check("cache", "ok", f"{folder} can be written and locked")
    free = free_disk(folder)
    advice = "" if free >= FEW_BYTES_OF_DISK else "; `nlab cache prune` makes room, NLAB_CACHE names another disk"
    yield Check("disk", "note" if advice else "ok", f"{free / 1e9:.1f} GB free for the cache{advice}")


def _file_system(folder: Path) -> str:
    import psutil

    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""


def _clock(folder: Path) -> Check:
    """Whether the clock is later than this program's files, and agrees with that of the cache's file system."""
    now = time.time()
    newest = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    if newest > now + SKEW:
        return Check("clock", "broken", f"{_utc(now)}, but files of nlab are newer ({_utc(newest)}); set the clock")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            skew = os.fstat(file.fileno()).st_mtime - now
    except OSError:
        skew = 0.0
    if abs(skew) > SKEW:
        return Check(
            "clock", "note", f"{_utc(now)}; the cache's file system is {skew:+.0f} s away: ages of entries are wrong by as much"
        )
    return Check("clock", "ok", _utc(now))


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
