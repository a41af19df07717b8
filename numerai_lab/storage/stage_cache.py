"""The cache of finished stages: an entry is named by all that its content depends on; whole and checked, or absent."""

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from numerai_lab.core.errors import NlabFailure, as_failure
from numerai_lab.storage.checksums import KnownChecksums, changed, checksums
from numerai_lab.storage.entry_meta import StageMeta
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import key_of, lock_of
from numerai_lab.storage.foreign_json import checked
from numerai_lab.storage.machine import peak_memory
from numerai_lab.storage.plain_files import clear, odd_entry
from numerai_lab.storage.resumable import CHECKPOINT, JOURNAL, flush_to_disk
from numerai_lab.storage.stamped_json import read_mapping, read_stamped, with_stamp
from numerai_lab.storage.used_entries import UsedEntries, is_used
from numerai_lab.storage.whole_files import remove_parts, write_whole

log = logging.getLogger("nlab")
STAGES = "stages"
META = "meta.json"
PASSING = (CHECKPOINT, JOURNAL, META)
"""Files in a folder under construction that the stage does not make: a checkpoint, a journal, the end of a killed try."""
PAUSE = 0.5
"""Seconds between two looks at an entry that another process holds."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run. label: what people call it; facts: all that its content depends on, as JSON values."""

    family: str
    label: str
    facts: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The name of the stage's entry."""
        return key_of(self.family, self.facts)


@dataclass(frozen=True)
class Entry:
    """A finished stage: a folder of files, and meta.json, which says what they are."""

    folder: Path

    @property
    def meta(self) -> dict[str, Any]:
        """Facts of the key; time, seconds and peak memory of its making; bytes and checksums of its files."""
        return read_mapping(self.folder / META)

    @property
    def used(self) -> float:
        """When it was last used, in seconds since 1970."""
        return (self.folder / META).stat().st_mtime

    def damage(self, known: KnownChecksums | None = None) -> str:
        """A sentence about what is damaged in it, by its own checksums; empty when it is whole.

        known: checksums of files that are not read again; None reads every file.
        """
        try:
            meta = checked(read_stamped(self.folder / META), StageMeta, META)
            files = meta["files"]
            if key_of(meta["family"], meta["facts"]) != self.folder.name:
                return f"{META} is that of another entry"
            there = {path.name for path in self.folder.iterdir()} - {META}
            if there != set(files):
                return f"{min(there ^ set(files))} is {'too much' if there - set(files) else 'missing'}"
            return known.changed(self.folder, files) if known else changed(self.folder, files)
        except (OSError, ValueError, RecursionError) as error:
            return f"{META} can't be read ({error!r})"


@dataclass
class Cache:
    """The cache as one run uses it. Entries that the run took are safe from pruning until it is closed.

    Attributes
    ----------
    hits: a dict for each entry that was there already, with the seconds that its making took.
    costs: by label of a taken stage, seconds and peak memory of its making.
    verify: read all files of every entry, also of entries that were found whole before.
    offered: a folder of folders with entries that others made. One whose key is wanted, and that is whole, is taken.
    used: the run's list of entries that it took; None: their locks are held, a descriptor each.
    on_stage: is told the label of every entry, and the seconds that it took; None where it was there.
    """

    folder: Path
    hits: list[dict[str, Any]] = field(default_factory=list)
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    verify: bool = False
    offered: Path | None = None
    used: UsedEntries | None = None
    on_stage: Callable[[str, float | None], None] = lambda label, seconds: None
    _taken: dict[str, Entry] = field(default_factory=dict)
    _locks: list[Lock] = field(default_factory=list)

    def obtain(self, stage: Stage, make: Callable[[Path], None]) -> Entry:
        """The stage's entry; if it is not there, or damaged, `make` writes its files into the folder it is given.

        Of two processes that want the same entry one makes it and the other waits. A folder that a killed process left
        is handed on to the next one, which may go on from what it can check.
        """
        if stage.key not in self._taken:
            lock = Lock(lock_of(self.folder / stage.family / stage.key))
            self._locks.append(lock)
            entry, n_hits = None, len(self.hits)
            while entry is None:
                entry = self._found(stage, lock) or self._computed(stage, lock, make)
            self._taken[stage.key] = entry
            if self.used:
                self.used.add(entry.folder)
                lock.free()
                self._locks.remove(lock)
            meta = entry.meta
            self.on_stage(stage.label, None if len(self.hits) > n_hits else float(meta["seconds"]))
            self.costs[stage.label] = {name: meta[name] for name in ("seconds", "peak_bytes") if name in meta}
        return self._taken[stage.key]

    @property
    def _known(self) -> KnownChecksums:
        return KnownChecksums(self.folder.parent, trusted=not self.verify)

    @property
    def entries(self) -> list[Path]:
        """Folders of all entries that were taken."""
        return [entry.folder for entry in self._taken.values()]

    @property
    def n_bytes(self) -> int:
        """Bytes on disk of all entries that were taken."""
        return sum(int(entry.meta["bytes"]) for entry in self._taken.values())

    def hold(self, folder: Path) -> None:
        """Keeps another folder of the cache, such as a store, from being pruned until this is closed."""
        lock = Lock(lock_of(folder))
        lock.take("read", wait=True)
        self._locks.append(lock)

    def close(self) -> None:
        """Gives all locks back."""
        for lock in self._locks:
            lock.free()
        self._locks.clear()
        self._taken.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *gone: object) -> None:
        self.close()

    def _found(self, stage: Stage, lock: Lock) -> Entry | None:
        entry = Entry(self.folder / stage.family / stage.key)
        if not lock.take("read"):
            log.info("%s: another process makes it, waiting", stage.label)
            lock.take("read", wait=True)
        if not entry.folder.is_dir():
            return None
        damage = entry.damage(self._known)
        if damage:
            log.warning("%s: its cache entry %s is damaged (%s) and is made anew", stage.label, stage.key, damage)
            return None
        with contextlib.suppress(PermissionError):  # another user's: it can be read, and pruning takes it for older
            os.utime(entry.folder / META)
        seconds = float(entry.meta["seconds"])
        self.hits.append({"stage": stage.label, "family": stage.family, "key": stage.key, "seconds_saved": seconds})
        log.info("%s: from the cache, %.1f s saved", stage.label, seconds)
        return entry

    def _offered(self, stage: Stage) -> Path | None:
        """The folder of an undamaged entry that others made."""
        for folder in sorted(self.offered.glob(f"*/{stage.family}/{stage.key}")) if self.offered else ():
            damage = Entry(folder).damage()
            if not damage:
                log.info("%s: made by a worker", stage.label)
                return folder
            log.warning("%s: what a worker made is damaged (%s)", stage.label, damage)
        return None

    def _computed(self, stage: Stage, lock: Lock, make: Callable[[Path], None]) -> Entry | None:
        """The entry, made here; None where another process was faster."""
        lock.free()
        if not lock.take():
            time.sleep(PAUSE)
            return None
        entry = Entry(self.folder / stage.family / stage.key)
        if entry.folder.is_dir() and not entry.damage():
            return None
        if entry.folder.is_dir() and is_used(entry.folder):
            lock.free()
            time.sleep(PAUSE)
            return None
        if offered := self._offered(stage):
            clear(entry.folder)
            offered.rename(entry.folder)
            lock.take("read", wait=True)
            return entry if entry.folder.is_dir() else None
        work = _entered(work_folder(entry.folder))
        try:
            start = time.perf_counter()
            make(work)
            _finish(work, stage, time.perf_counter() - start)
            clear(entry.folder)
            work.rename(entry.folder)
            flush_to_disk(entry.folder.parent)
        except Exception as error:
            if not isinstance(as_failure(error), NlabFailure):  # the machine's fault, as an interrupt: what was reached is kept
                shutil.rmtree(work, ignore_errors=True)
            raise
        lock.take("read", wait=True)
        return entry if entry.folder.is_dir() else None


def work_folder(entry: Path) -> Path:
    """The folder in which an entry is under construction."""
    return entry.with_name(f".{entry.name}")


def _entered(work: Path) -> Path:
    """The folder under construction, as a killed process may have left it; made anew where it holds a link or a pipe."""
    if not work.is_dir() or work.is_symlink() or odd_entry(work):
        clear(work)
    work.mkdir(exist_ok=True)
    return work


def _finish(work: Path, stage: Stage, seconds: float) -> None:
    remove_parts(work)
    for name in PASSING:
        (work / name).unlink(missing_ok=True)
    paths = sorted(work.iterdir())
    for path in paths:
        flush_to_disk(path)
    meta = {
        "family": stage.family,
        "label": stage.label,
        "facts": stage.facts,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "peak_bytes": peak_memory(),
        "bytes": sum(path.stat().st_size for path in paths),
        "files": checksums(paths, work),
    }
    write_whole(work / META, with_stamp(meta).encode())
    flush_to_disk(work)
