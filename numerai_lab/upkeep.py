"""What lies in the cache folder: listed, checked, and pruned without touching what is in use."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from numerai_lab.basics import NlabError
from numerai_lab.cache import STAGES, Entry
from numerai_lab.lock import Lock
from numerai_lab.store import LOCK, Store

CHECKED = ("stores", "labels")
DATA = ("numerai", "synthetic", "stores", "labels")
UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

YOUNG = 60.0
"""Seconds after which a temporary folder without a lock is taken for abandoned."""


@dataclass(frozen=True)
class Item:
    """Something in the cache. family: stages/…, stores, synthetic, numerai; unfinished: how far a stage got that was killed."""

    path: Path
    family: str
    what: str
    n_bytes: int
    used: float
    seconds: float | None = None
    unfinished: bool = False

    @property
    def lock(self) -> Path:
        """The lock file that its users hold."""
        return self.path.with_name(f".{self.path.name.removeprefix('.')}.lock")

    @property
    def in_use(self) -> bool:
        """A living process makes or reads it."""
        if not self.lock.exists():
            return False
        with Lock(self.lock) as lock:
            return not lock.take()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--format json`."""
        when = datetime.fromtimestamp(self.used).strftime("%Y-%m-%d %H:%M:%S")
        kept = {key: value for key, value in asdict(self).items() if key not in ("path", "used")}
        return {**kept, "used": when, "in_use": self.in_use, "key": self.path.name}


def items(cache: Path) -> list[Item]:
    """Everything in the cache but what dead processes left, the most recently used first."""
    found = [_stage(folder) for folder in sorted((cache / STAGES).glob("*/*")) if folder.is_dir()]
    for family in DATA:
        for folder in sorted((cache / family).glob("[!.]*")):
            if folder.is_dir():
                found.append(Item(folder, family, folder.name, _size(folder), _used(folder)))
    return sorted(found, key=lambda item: -item.used)


def orphans(cache: Path) -> list[Path]:
    """What processes that died left behind and no run can use: scratch, and half-built data."""
    candidates = [*(cache / "scratch").glob("run-*"), *(path for family in DATA for path in (cache / family).glob(".*-*"))]
    return [path for path in sorted(candidates) if path.is_dir() and _dead(path)]


def prune(cache: Path, keep: int, *, data: bool) -> tuple[list[tuple[str, int]], int]:
    """Removes orphans, and stages (`data`: and data) least recently used until they take at most `keep` bytes together.

    What a living process makes or reads stays. Gives what was removed, with its bytes, and the bytes that are left.
    """
    removed = []
    for path in orphans(cache):
        removed.append((f"left by a dead process: {path.relative_to(cache)}", _size(path)))
        shutil.rmtree(path, ignore_errors=True)
    considered = [item for item in items(cache) if data or item.family.startswith(STAGES)]
    left = sum(item.n_bytes for item in considered)
    for item in reversed(considered):
        if left <= keep:
            break
        if remove(item):
            removed.append((f"{item.family}/{item.path.name}  {item.what}", item.n_bytes))
            left -= item.n_bytes
    return removed, left


def damaged(cache: Path) -> Iterator[tuple[Item, str]]:
    """Every finished stage and store, with what is wrong with it by its own checksums; empty when it is whole."""
    for item in items(cache):
        if item.unfinished or item.family not in (*CHECKED, f"{STAGES}/{item.path.parent.name}"):
            continue
        yield item, Store(item.path).damage() if item.family in CHECKED else Entry(item.path).damage()


def remove(item: Item) -> bool:
    """Removes an item unless it is in use; True when it is gone."""
    with _owned(item.lock) as owned:
        if owned:
            # The name goes first, so that a kill in the middle leaves no half entry under it.
            gone = item.path.with_name(f".gone-{item.path.name.removeprefix('.')}")
            shutil.rmtree(gone, ignore_errors=True)
            item.path.rename(gone)
            shutil.rmtree(gone)
        return owned


def bytes_of(text: str) -> int:
    """`20GB` → 20,000,000,000. Raises NlabError for what is no size."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2] not in UNITS:
        raise NlabError(f"--keep: {text!r} is no size; wanted a number and one of {', '.join(unit for unit in UNITS if unit)}")
    return int(float(found[1]) * UNITS[found[2]])


def _stage(folder: Path) -> Item:
    family = f"{STAGES}/{folder.parent.name}"
    if folder.name.startswith("."):
        return Item(folder, family, "unfinished", _size(folder), _used(folder), None, True)
    try:
        meta = Entry(folder).meta
        label, seconds = str(meta["label"]), float(meta["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        label, seconds = "damaged", 0.0
    return Item(folder, family, label, _size(folder), _used(folder), seconds)


def _used(folder: Path) -> float:
    meta = folder / "meta.json"
    return (meta if meta.is_file() else folder).stat().st_mtime


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _dead(folder: Path) -> bool:
    """Nobody holds the lock in a temporary folder, which its maker has had the time to take."""
    if not (folder / LOCK).exists() and time.time() - folder.stat().st_mtime < YOUNG:
        return False
    with Lock(folder / LOCK) as lock:
        return lock.take()


@contextmanager
def _owned(path: Path) -> Iterator[bool]:
    lock = Lock(path)
    owned = lock.take()
    try:
        yield owned
    finally:
        if owned:
            lock.remove()
