"""Arrays in .npy files as memory-maps."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from numerai_lab.core.arrays import Array
from numerai_lab.storage.plain_files import ANY_SIZE, odd

BLOCK_BYTES = 512
"""What `st_blocks` counts in, whatever the file system's blocks are."""


def new_array(path: Path, dtype: str | np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """A writable memory-map of a new .npy file whose bytes are reserved: a full disk is an OSError here, no crash later."""
    array: Array = open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    _reserve(path)
    return array


def reopened(path: Path, shape: tuple[int, ...], dtype: str) -> Array | None:
    """The writable memory-map that a killed process left, its bytes reserved; None unless it has this shape and dtype.

    The process may have been killed before it had reserved them: raises OSError where the disk is full, as `new_array` does.
    """
    if odd(path, most=ANY_SIZE):
        return None
    array: Array | None = None
    with contextlib.suppress(Exception):  # absent, or whatever a broken header makes numpy raise
        array = open_memmap(path, mode="r+")
    if array is None or array.shape != shape or array.dtype != np.dtype(dtype):
        return None
    _reserve(path)
    return array


def _reserve(path: Path) -> None:
    """Has the disk set aside all bytes of a file, unless it has done so."""
    facts = path.stat()
    if hasattr(os, "posix_fallocate") and facts.st_blocks * BLOCK_BYTES < facts.st_size:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, facts.st_size)


def mapped(path: Path) -> Array:
    """A read-only memory-map of a .npy file."""
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
