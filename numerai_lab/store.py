"""The on-disk era store behind a Panel, and the folders that the cache and a run's scratch live in."""

import contextlib
import hashlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import Panel, release_pages
from numerai_lab.known_checksums import KnownChecksums
from numerai_lab.lock import Lock
from numerai_lab.seal import changed, checksums, mapping_in, opened, sealed
from numerai_lab.storage.folders import user_path

log = logging.getLogger("nlab")
STORE_VERSION = 5
META = "meta.json"
ROWS, LABELS, SCORING_FEATURES, EXTRAS = STORES = ("stores", "labels", "scoring_features", "extras")
"""Folders of the cache that hold stores, a store a folder."""
COPY_ROWS = 100_000
LOCK = ".lock"
"""In a temporary folder: held by the process that fills it, so that others can tell whether it lives."""


def cache_dir() -> Path:
    """Where stores and made data are kept: `$NLAB_CACHE`, else `numerai_lab` in the user's cache folder."""
    named = os.environ.get("NLAB_CACHE")
    return user_path(named) if named else user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "numerai_lab"


def key_of(*facts: object) -> str:
    """A short name for what these facts (JSON values) determine together."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def new_folder(parent: Path, prefix: str) -> Path:
    """A new folder that other members of a group may use as far as the umask lets them; setgid is inherited."""
    while True:
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


@contextmanager
def built(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends well and vanishes otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = new_folder(folder.parent, f".{folder.name}-")
    lock = Lock(work / LOCK)
    lock.take(wait=True)  # who looks for what dead processes left may hold it for a moment
    try:
        yield work
        lock.remove()
        if folder.exists():  # another process was faster; its bytes are the same
            shutil.rmtree(work)
        else:
            work.rename(folder)
    except BaseException:
        lock.free()
        shutil.rmtree(work, ignore_errors=True)
        raise


def build_resumably(folder: Path, make: Callable[[Path], None]) -> None:
    """Has `folder` made under another name, which stays where it is when that fails, to be gone on with next time.

    Of two processes one makes it and the other waits.
    """
    work = folder.with_name(f".{folder.name}.part")
    with Lock(work / LOCK) as lock:
        lock.take(wait=True)
        if folder.exists():  # the other process was done first; all that waited for it clear up, in each other's way
            shutil.rmtree(work, ignore_errors=True)
            return
        make(work)
        work.rename(folder)
        (folder / LOCK).unlink()


def lock_of(folder: Path) -> Path:
    """The lock file, beside a folder of the cache, that its users hold."""
    return folder.with_name(f".{folder.name.removeprefix('.')}.lock")


@contextmanager
def in_use(*folders: Path) -> Iterator[None]:
    """Keeps folders of the cache from being pruned meanwhile, whether they are there yet or not."""
    with contextlib.ExitStack() as held:
        locks = [(folder, held.enter_context(Lock(lock_of(folder)))) for folder in folders]
        for _, lock in locks:
            lock.take("read", wait=True)
        try:
            yield
        finally:
            for folder, lock in locks:
                if not folder.exists() and lock.take():
                    lock.remove()


@dataclass(frozen=True)
class Store:
    """A folder of .npy files and meta.json, which says what they are.

    A store of rows holds features, ids, eras, bounds, absent (eras × features, bool) and era_sums (eras × 2, uint32: CRC-32 of
    the features and of the ids of an era's rows); a store of scoring features holds features alone, a store of labels a target,
    a store of extras an array a column. All that are read from the same files have the same rows.
    """

    folder: Path

    @property
    def meta(self) -> dict[str, Any]:
        """What was stored: names, data types, notes, ISO dates of dated eras; or the target's name and horizon."""
        return mapping_in(self.folder / META)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def damage(self, known: KnownChecksums | None = None) -> str:
        """What is wrong with the folder, by its own checksums; empty when it is whole.

        known: remembers files that were found whole, which are not read again; None reads all.
        """
        try:
            wanted = dict(opened(self.folder / META)["checksums"])
            return known.changed(self.folder, wanted) if known else changed(self.folder, wanted)
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"{META} can't be read ({error!r})"

    def absent(self) -> NDArray[np.bool_]:
        """eras × features: which features are the middle bin for a whole era."""
        absent: NDArray[np.bool_] = np.load(self.folder / "absent.npy", allow_pickle=False)
        return absent

    def target(self) -> Float32:
        """Of a store of labels, one a row."""
        return _load(self.folder / "target.npy")

    def features(self) -> Array:
        """Of a store of rows or of scoring features: rows × columns."""
        return _load(self.folder / "features.npy")

    def era_sums(self) -> NDArray[np.uint32]:
        """Of a store of rows, eras × 2: CRC-32 of the features and of the ids of an era's rows."""
        sums: NDArray[np.uint32] = np.load(self.folder / "era_sums.npy", allow_pickle=False)
        return sums

    def extras(self) -> dict[str, Float32]:
        """Of a store of extras: the values of every row, by column."""
        return {name: _load(self.folder / f"extra-{i}.npy") for i, name in enumerate(self.meta["extras"])}

    def panel(self, labels: "Store") -> Panel:
        """A store of rows and one of labels as a panel of read-only views, without extras, scoring features and feature sets."""
        meta = self.meta
        eras = np.load(self.folder / "eras.npy", allow_pickle=False)
        return Panel(
            feature_names=tuple(meta["feature_names"]),
            features=self.features(),
            n_raw=len(meta["feature_names"]),
            top=meta["top"],
            ids=_load(self.folder / "ids.npy"),
            eras=eras,
            bounds=np.load(self.folder / "bounds.npy", allow_pickle=False),
            data_types=tuple(meta["data_types"]),
            target=labels.target(),
            horizon_days=labels.meta["horizon_days"],
            dates=dict(zip(eras.tolist(), meta["era_dates"], strict=True)) if "era_dates" in meta else {},
        )


def remove_damaged(store: Store, known: KnownChecksums) -> None:
    """Removes a store that is not what was written, with a line in the log, as soon as no other process uses it."""
    if not store.folder.is_dir():
        return
    with Lock(lock_of(store.folder)) as lock:
        lock.take("read", wait=True)
        damage = _damage_there(store, known)
        if not damage:
            return
        log.warning("store %s is damaged (%s) and is made anew", store.folder.name, damage)
        lock.free()  # two that wanted to own what both read would wait for each other
        if not lock.take():
            log.warning("waiting for another process that uses it")
            lock.take(wait=True)
        if _damage_there(store, known):  # another process may have removed it meanwhile
            shutil.rmtree(store.folder)


def _damage_there(store: Store, known: KnownChecksums) -> str:
    return store.damage(known) if store.folder.is_dir() else ""


def create_features(folder: Path, n_rows: int, n_columns: int, dtype: str) -> Array:
    """The empty features file of a store under construction, as a writable memory-map."""
    return new_array(folder / "features.npy", dtype, (n_rows, n_columns))


def new_array(path: Path, dtype: str, shape: tuple[int, ...]) -> Array:
    """A writable memory-map of a new .npy file whose bytes are reserved: a full disk is an OSError here, no crash later."""
    array: Array = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def reopened(path: Path, shape: tuple[int, ...], dtype: str) -> Array | None:
    """The writable memory-map that a killed try left, if it is of this shape and dtype."""
    with contextlib.suppress(Exception):  # absent, or whatever a broken header makes numpy raise
        found: Array = open_memmap(path, mode="r+")
        if found.shape == shape and found.dtype == np.dtype(dtype):
            return found
    return None


def write_store(folder: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Everything of a store but features, which lie there already."""
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    sums = checksums(folder.glob("*.npy"), folder)
    (folder / META).write_text(sealed({**meta, "version": STORE_VERSION, "checksums": sums}), encoding="utf-8")


def write_extras(folder: Path, extras: Mapping[str, Float32], meta: Mapping[str, Any]) -> None:
    """A store of predictions by other models: a column each, one value a row."""
    write_store(folder, {f"extra-{i}": values for i, values in enumerate(extras.values())}, {**meta, "extras": list(extras)})


class Scratch:
    """A run's own folder for arrays that are dear to make twice; gone when the run ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Path] = {}

    def features(self, n_rows: int, n_columns: int, dtype: np.dtype[Any]) -> Array:
        """A new memory-map for features, rows × columns, 0 wherever nothing is written."""
        path = self.folder / f"features-{len(list(self.folder.iterdir()))}.npy"
        features: Array = open_memmap(path, mode="w+", dtype=dtype, shape=(n_rows, n_columns))
        return features

    def copy_of(self, values: Array) -> Array:
        """A writable memory-map with the same content, copied in pieces."""
        path = self.folder / f"copy-{len(list(self.folder.iterdir()))}.npy"
        copy: Array = open_memmap(path, mode="w+", dtype=values.dtype, shape=values.shape)
        for start in range(0, len(values), COPY_ROWS):
            copy[start : start + COPY_ROWS] = values[start : start + COPY_ROWS]
            release_pages(copy)
            release_pages(values)
        return copy

    def fetch(self, key: str) -> Float32 | None:
        """What `keep` was given under this key, or None."""
        return _load(self._kept[key]) if key in self._kept else None

    def keep(self, key: str, values: Float32) -> None:
        """Writes an array down until the run ends."""
        path = self.folder / f"kept-{key_of(key)}.npy"
        np.save(path, values, allow_pickle=False)
        self._kept[key] = path


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A Scratch inside the cache folder."""
    (cache_dir() / "scratch").mkdir(parents=True, exist_ok=True)
    folder = new_folder(cache_dir() / "scratch", "run-")
    try:
        with Lock(folder / LOCK) as lock:
            lock.take(wait=True)
            yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _load(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
