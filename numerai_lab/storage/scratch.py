"""A run's own folder of temporary arrays."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import release_pages
from numerai_lab.storage.array_files import mapped, new_array
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK, cache_dir, key_of, new_folder
from numerai_lab.storage.used_entries import SCRATCH

COPY_ROWS = 100_000


class Scratch:
    """A run's own folder for arrays that are expensive to make twice; gone when the run ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Path] = {}

    def features(self, n_rows: int, n_columns: int, dtype: np.dtype[Any]) -> Array:
        """A new memory-map for features, rows × columns, 0 wherever nothing is written."""
        path = self.folder / f"features-{len(list(self.folder.iterdir()))}.npy"
        return new_array(path, dtype, (n_rows, n_columns))

    def copy_of(self, values: Array) -> Array:
        """A writable memory-map with the same content, copied in pieces."""
        path = self.folder / f"copy-{len(list(self.folder.iterdir()))}.npy"
        copy = new_array(path, values.dtype, values.shape)
        for start in range(0, len(values), COPY_ROWS):
            copy[start : start + COPY_ROWS] = values[start : start + COPY_ROWS]
            release_pages(copy)
            release_pages(values)
        return copy

    def fetch(self, key: str) -> Float32 | None:
        """The array that `keep` got under this key; None where it got none."""
        return mapped(self._kept[key]) if key in self._kept else None

    def keep(self, key: str, values: Float32) -> None:
        """Keeps an array in a file until the run ends."""
        path = self.folder / f"kept-{key_of(key)}.npy"
        np.save(path, values, allow_pickle=False)
        self._kept[key] = path


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A Scratch inside the cache folder."""
    (cache_dir() / SCRATCH).mkdir(parents=True, exist_ok=True)
    folder = new_folder(cache_dir() / SCRATCH, "run-")
    try:
        with Lock(folder / LOCK) as lock:
            lock.take(wait=True)
            yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
