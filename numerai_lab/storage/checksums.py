"""CRC-32 of files, remembered in the cache folder: a file that did not change is read once."""

import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.storage.whole_files import write_whole

PIECE = 1 << 24
FOLDER = "checksums"
SETTLING_SECONDS = 2.0
"""A file that changed this shortly before it is read may change again under the same timestamps: its checksum is not remembered.

Git treats its index the same way ("racy" entries). Two seconds are the coarsest timestamps of file systems in use (FAT).
"""
N_FACTS = 6
"""Numbers that are remembered of a file: its signature and its checksum."""
SMALL = 1 << 16
"""Bytes. To read a file up to this size is as quick as to look up its checksum."""


def checksum(path: Path) -> int:
    """CRC-32 of a file, read in pieces."""
    with path.open("rb") as file:
        return _crc_of(file)


def checksums(paths: Iterable[Path], folder: Path) -> dict[str, int]:
    """The checksum of each file, by its path inside the folder."""
    return {path.relative_to(folder).as_posix(): checksum(path) for path in sorted(paths)}


def changed(folder: Path, expected: Mapping[str, int]) -> str:
    """A sentence about the first file whose checksum differs from the expected one; empty when all agree."""
    for name, crc in expected.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or checksum(path) != crc:
            return f"{name} is not what was written"
    return ""


@dataclass(frozen=True)
class KnownChecksums:
    """Checksums of files by path, size, mtime, ctime, inode and device.

    ctime tells of a change that set mtime back. There is one small JSON file for each folder that holds such files; it is
    replaced as a whole, so that processes may write at once, and what is lost or damaged is only read again.

    Parameters
    ----------
    cache: the cache folder.
    trusted: False reads every file, whatever is remembered.
    """

    cache: Path
    trusted: bool = True

    def of(self, path: Path) -> int:
        """CRC-32 of a file's content. Raises OSError."""
        path = path.resolve()
        return self.of_folder(path.parent, [path.name])[path.name]

    def of_folder(self, folder: Path, names: Iterable[str]) -> dict[str, int]:
        """CRC-32 of files of a folder, by name. Raises OSError."""
        folder = folder.resolve()
        remembered = self._read(folder) if self.trusted else {}
        checksums, updates = {}, {}
        for name in names:
            signature = signature_of(os.stat(folder / name))
            if signature[0] > SMALL and remembered.get(name, [])[:-1] == signature:
                checksums[name] = remembered[name][-1]
                continue
            checksums[name], settled = _read_through(folder / name)
            if settled and settled[0] > SMALL:
                updates[name] = [*settled, checksums[name]]
        if updates:
            self._write(folder, updates)
        return checksums

    def changed(self, folder: Path, expected: Mapping[str, int]) -> str:
        """A sentence about the first file whose checksum differs from the expected one; empty when all agree."""
        for name in expected:
            if (folder / name).is_symlink() or not (folder / name).is_file():
                return f"{name} is not what was written"
        checksums = self.of_folder(folder, expected)
        return next((f"{name} is not what was written" for name, crc in expected.items() if checksums[name] != crc), "")

    def forget_missing(self) -> None:
        """Removes records of folders that are gone, and what killed processes left of a record."""
        for path in (self.cache / FOLDER).glob("*"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                part = path.suffix != ".json"
                old = time.time() - path.stat().st_mtime > 60
                if (part and old) or (not part and not Path(read_stamped(path)["folder"]).is_dir()):
                    path.unlink()

    def _path(self, folder: Path) -> Path:
        return self.cache / FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:20]}.json"

    def _read(self, folder: Path) -> dict[str, list[int]]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = read_stamped(self._path(folder))
            if record["folder"] == str(folder):
                return {name: values for name, values in dict(record["files"]).items() if _is_entry(values)}
        return {}

    def _write(self, folder: Path, updates: Mapping[str, list[int]]) -> None:
        """Adds checksums to the folder's record; does nothing where the cache can't be written to."""
        with suppress(OSError):
            current = {name: values for name, values in self._read(folder).items() if (folder / name).is_file()}
            path = self._path(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, with_stamp({"folder": str(folder), "files": {**current, **updates}}).encode())


def signature_of(stat: os.stat_result) -> list[int]:
    """The facts by which a file counts as unchanged: size, mtime and ctime in nanoseconds, inode, device."""
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]


def _is_entry(values: object) -> bool:
    """Whether the values are a signature and a checksum, as this version writes them."""
    return isinstance(values, list) and len(values) == N_FACTS and all(type(value) is int for value in values)


def _crc_of(file: IO[bytes]) -> int:
    crc = 0
    while piece := file.read(PIECE):
        crc = zlib.crc32(piece, crc)
    return crc


def _read_through(path: Path) -> tuple[int, list[int]]:
    """CRC-32 of a file, and its signature; [] where it may still change under the same signature."""
    now = time.time()
    with path.open("rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        crc = _crc_of(file)
        after = os.fstat(file.fileno())
    settled = now - max(before.st_mtime, before.st_ctime) >= SETTLING_SECONDS
    return crc, signature_of(after) if settled and signature_of(before) == signature_of(after) else []
