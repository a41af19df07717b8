"""Arrays in .npy files as memory-maps."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from numerai_lab.core.arrays import Array
from numerai_lab.storage.plain_files import ANY_SIZE, odd


def new_array(path: Path, dtype: str | np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """A writable memory-map of a new .npy file whose bytes are reserved: a full disk is an OSError here, no crash later."""
    array: Array = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def reopened(path: Path, shape: tuple[int, ...], dtype: str) -> Array | None:
    """The writable memory-map that a killed process left; None unless it has this shape and dtype."""
    if odd(path, most=ANY_SIZE):
        return None
    with contextlib.suppress(Exception):  # absent, or whatever a broken header makes numpy raise
        array: Array = open_memmap(path, mode="r+")
        if array.shape == shape and array.dtype == np.dtype(dtype):
            return array
    return None


def mapped(path: Path) -> Array:
    """A read-only memory-map of a .npy file."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
