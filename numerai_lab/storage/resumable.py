"""Work that a killed process can go on with: checkpoints, and arrays with a journal of what is written."""

import contextlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.progress import FitContext, Progress
from numerai_lab.storage.array_files import new_array, reopened
from numerai_lab.storage.plain_files import read_plain
from numerai_lab.storage.whole_files import opened, write_whole

log = logging.getLogger("nlab")
CHECKPOINT = "checkpoint"
JOURNAL = "journal.jsonl"
CRC_BYTES = 4


def fit_context(work: Path, progress: Progress) -> FitContext:
    """The context of a fit in the folder of its stage: progress, and a checkpoint file in `work`."""
    path = work / CHECKPOINT

    def load() -> dict[str, Array] | None:
        if not path.is_file():
            return None
        content = path.read_bytes()
        if content[:CRC_BYTES] != _crc_bytes(content[CRC_BYTES:]):
            log.warning("the checkpoint in %s is damaged: starting this stage anew", work.name)
            return None
        log.info("going on from a checkpoint")
        return arrays_from_bytes(content[CRC_BYTES:])

    def save(arrays: Mapping[str, Array]) -> None:
        content = arrays_to_bytes(arrays)
        write_whole(path, _crc_bytes(content) + content)

    return FitContext(progress, load, save)


def journaled(path: Path, shape: tuple[int, ...], dtype: str = "float32") -> tuple[Array, "Journal"]:
    """A memory-map to be written era by era, and the journal of eras that a killed process has written."""
    journal = Journal(path.with_name(JOURNAL))
    array = reopened(path, shape, dtype)
    if array is None:
        journal.path.unlink(missing_ok=True)
        array = new_array(path, dtype, shape)
    return array, journal


@dataclass(frozen=True)
class Journal:
    """A file that lists the written eras of an array, each with the checksum of its rows."""

    path: Path

    def read(self, rows_of: Callable[[int], Array]) -> set[int]:
        """Eras whose rows are still what was written."""
        done = set()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for line in read_plain(self.path).decode().splitlines():
                era, crc = json.loads(line)
                if _crc(rows_of(int(era))) == crc:
                    done.add(int(era))
        return done

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[int, Array], None]]:
        """A function that notes an era and its rows, which must be in the array's file already."""
        with os.fdopen(opened(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as file:

            def note(era: int, rows: Array) -> None:
                file.write(json.dumps([era, _crc(rows)]) + "\n")
                file.flush()

            yield note


def _crc_bytes(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CRC_BYTES, "big")


def _crc(rows: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(rows).data)


def flush_to_disk(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
