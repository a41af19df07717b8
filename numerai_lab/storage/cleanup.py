"""Lists, checks and prunes the cache folder without touching what is in use."""

import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.checksums import KnownChecksums
from numerai_lab.storage.entry_meta import ListedStage
from numerai_lab.storage.era_store import STORES, Store
from numerai_lab.storage.file_lock import Lock, NoLocks
from numerai_lab.storage.folders import LOCK, lock_of
from numerai_lab.storage.foreign_json import checked
from numerai_lab.storage.stage_cache import META, STAGES, Entry
from numerai_lab.storage.stamped_json import top_values
from numerai_lab.storage.used_entries import SCRATCH, is_used

DATA = ("numerai", "synthetic", "frames", "environments", *STORES)
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
        return lock_of(self.path)

    @property
    def in_use(self) -> bool:
        """A living process makes or reads it."""
        return self.listed or self._locked

    @property
    def listed(self) -> bool:
        """A living run lists it among the stages that it took."""
        return self.family not in DATA and is_used(self.path)

    @property
    def _locked(self) -> bool:
        try:
            with Lock(self.lock, make_folder=False, make_file=False) as lock:
                return not lock.take() and self.lock.exists()
        except NoLocks:
            return False
        except NlabFailure:  # somebody put a link in the place of its lock
            return True

    def damage(self) -> str:
        """A sentence about what is damaged in it, by its own checksums; empty when it is whole."""
        return Store(self.path).damage() if self.family in STORES else Entry(self.path).damage()

    def as_dict(self, used: Collection[Path]) -> dict[str, Any]:
        """Plain values for `--format json`. used: the entries that living runs list."""
        when = datetime.fromtimestamp(self.used).strftime("%Y-%m-%d %H:%M:%S")
        values = {key: value for key, value in vars(self).items() if key not in ("path", "used")}
        return {**values, "used": when, "in_use": self.path in used or self._locked, "key": self.path.name}


@dataclass(frozen=True)
class _Use:
    """A folder of the cache, when it was last used, in seconds since 1970, and the bytes of its meta.json."""

    when: float
    meta_bytes: int
    family: str
    path: Path


def items(cache: Path, most: int | None = None) -> list[Item]:
    """Everything in the cache but what dead processes left, the most recently used first.

    most: how many are looked at; None = all. Folders that another process removes or renames meanwhile are skipped.
    """
    entries = []
    for use in sorted(_uses(cache), key=lambda use: (-use.when, str(use.path)))[:most]:
        with suppress(FileNotFoundError):
            if use.family in DATA:
                entries.append(Item(use.path, use.family, use.path.name, _size(use.path), use.when))
            else:
                entries.append(_stage(use))
    return entries


def n_items(cache: Path) -> int:
    """The number of `items`."""
    return len(_uses(cache))


def orphans(cache: Path) -> list[Path]:
    """Folders that dead processes left and no run can use: scratch, and half-built data. Raises NoLocks."""
    candidates = [*(cache / SCRATCH).glob("run-*"), *(path for family in DATA for path in (cache / family).glob(".*-*"))]
    folders = []
    for path in sorted(path for path in candidates if path.is_dir() and not path.is_symlink()):  # names of locks may look alike
        with _abandoned(path) as dead:
            folders += [path] * dead
    return folders


def prune(cache: Path, keep: int, *, data: bool) -> tuple[list[tuple[str, int]], int]:
    """Removes orphans, and stages (`data`: and data) least recently used until they take at most `keep` bytes together.

    What a living process makes or reads stays. Gives what was removed, with its bytes, and the bytes that are left. Raises
    NoLocks where nothing tells what is in use.
    """
    removed = []
    for path in orphans(cache):
        with _abandoned(path) as dead:
            if dead:
                removed.append((f"left by a dead process: {path.relative_to(cache)}", _size(path)))
                shutil.rmtree(path, ignore_errors=True)
    KnownChecksums(cache).forget_missing()
    considered = [item for item in items(cache) if data or item.family.startswith(STAGES)]
    left = sum(item.n_bytes for item in considered)
    for item in reversed(considered):
        if left <= keep:
            break
        if remove(item):
            removed.append((f"{item.family}/{item.path.name}  {item.what}", item.n_bytes))
            left -= item.n_bytes
    return removed, left


def damaged_items(cache: Path) -> Iterator[tuple[Item, str]]:
    """Every finished stage and store that nobody removes or makes anew, with what is wrong with it; empty when it is whole."""
    for item in items(cache):
        if item.unfinished or item.family not in (*STORES, f"{STAGES}/{item.path.parent.name}"):
            continue
        with Lock(item.lock, make_folder=False, make_file=False) as lock:
            damage = ""
            try:
                if not lock.take("read") and item.lock.exists():
                    continue  # it is being removed or made anew
            except (NoLocks, OSError):  # OSError: of a cache that may only be read
                pass
            except NlabFailure as error:  # a link in the place of its lock
                damage = str(error)
            damage = damage or item.damage()
            if not damage or item.path.is_dir():
                yield item, damage


def remove(item: Item) -> bool:
    """Removes an item unless it is in use, or no lock of it can be taken; True when it is gone. Raises NoLocks."""
    with _owned(item) as owned:
        if owned:
            # The name goes first, so that a kill in the middle leaves no half entry under it.
            gone = item.path.with_name(f".gone-{item.path.name.removeprefix('.')}")
            shutil.rmtree(gone, ignore_errors=True)
            with suppress(FileNotFoundError):
                item.path.rename(gone)
                _discard(gone)
        return owned


def _discard(folder: Path) -> None:
    """Removes a folder that other processes may be removing too."""
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)


def bytes_of(text: str) -> int:
    """The bytes of a size such as `20GB` (20,000,000,000). Raises NlabError when the text is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if match is None or match[2] not in UNITS:
        raise NlabError(f"--keep: {text!r} is no size; wanted a number and one of {', '.join(unit for unit in UNITS if unit)}")
    return int(float(match[1]) * UNITS[match[2]])


def _folders(place: Path) -> list[Path]:
    """The folders in a folder, without links, which are somebody's own folders."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        return [place / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []


def _uses(cache: Path) -> list[_Use]:
    uses = []
    families = [(f"{STAGES}/{kind.name}", folder) for kind in _folders(cache / STAGES) for folder in _folders(kind)]
    families += [(family, folder) for family in DATA for folder in _folders(cache / family) if not folder.name.startswith(".")]
    for family, folder in families:
        with suppress(FileNotFoundError):
            uses.append(_Use(*_used(folder), family, folder))
    return uses


def _stage(use: _Use) -> Item:
    folder = use.path
    if folder.name.startswith("."):
        return Item(folder, use.family, "unfinished", _size(folder), use.when, None, True)
    try:
        names = ("label", "seconds", "bytes")
        facts = checked(dict(zip(names, top_values(folder / META, names), strict=True)), ListedStage, META)
        return Item(folder, use.family, facts["label"], facts["bytes"] + use.meta_bytes, use.when, float(facts["seconds"]))
    except (OSError, ValueError, KeyError):
        return Item(folder, use.family, "damaged", _size(folder), use.when, 0.0)


def _used(folder: Path) -> tuple[float, int]:
    try:
        meta = os.lstat(os.path.join(folder, META))
    except FileNotFoundError:
        return folder.stat().st_mtime, 0
    return meta.st_mtime, meta.st_size


def _size(folder: str | Path) -> int:
    n_bytes = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                n_bytes += _size(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat(follow_symlinks=False).st_size
    return n_bytes


@contextmanager
def _abandoned(folder: Path) -> Iterator[bool]:
    """Whether a temporary folder's maker is dead: nobody holds its lock, or it is old and has none. Inside, nobody gets it."""
    with Lock(folder / LOCK, make_folder=False, make_file=False) as lock:
        yield lock.take() or _lockless(folder)


def _lockless(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        return not (folder / LOCK).exists() and time.time() - folder.stat().st_mtime >= YOUNG
    return False


@contextmanager
def _owned(item: Item) -> Iterator[bool]:
    lock, owned = Lock(item.lock), False
    try:
        owned = lock.take() and not item.listed
    except NoLocks:
        raise
    except NlabFailure:  # a link in the place of the lock
        pass
    try:
        yield owned
    finally:
        if owned:
            lock.remove()
        else:
            lock.free()
