"""JSON that tells whether it is what was written, and checksums of files: finds what broke, not what somebody forged."""

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

STAMP = "stamp"
PIECE = 1 << 24


def sealed(facts: Mapping[str, Any]) -> str:
    """Facts as JSON with a stamp on them; what JSON doesn't know becomes text."""
    plain = json.loads(json.dumps(facts, default=str))
    return json.dumps({**plain, STAMP: _stamp(plain)}, indent=1)


def opened(path: Path) -> dict[str, Any]:
    """What `sealed` was given, from a file. Raises ValueError when it is not what was written, OSError when it can't be read."""
    facts = mapping_in(path)
    if facts.pop(STAMP, None) != _stamp(facts):
        raise ValueError(f"{path.name} is not what was written")
    return facts


def mapping_in(path: Path) -> dict[str, Any]:
    """A JSON file that holds a mapping, whoever wrote it. Raises ValueError or OSError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} is no mapping")
    return found


def checksum(path: Path) -> int:
    """CRC-32 of a file, read in pieces."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return crc


def checksums(paths: Iterable[Path], folder: Path) -> dict[str, int]:
    """The checksum of each file, by its path inside the folder."""
    return {path.relative_to(folder).as_posix(): checksum(path) for path in sorted(paths)}


def changed(folder: Path, wanted: Mapping[str, int]) -> str:
    """A sentence on the first file that is not what its checksum says; empty when all are."""
    for name, crc in wanted.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or checksum(path) != crc:
            return f"{name} is not what was written"
    return ""


def _stamp(facts: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode())
