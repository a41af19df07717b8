"""Files that are written whole or not at all, under temporary names that nobody can foresee, and through no link."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PART = ".part"
"""Ends the temporary name of a file. What a killed process leaves under such a name can be removed."""
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into that takes the name `path` when the block ends without an error, and vanishes otherwise.

    It is on the disk by then. A link or special file of that name is replaced, not written through. Raises OSError.
    """
    part = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}{PART}")
    try:
        with os.fdopen(os.open(part, NEW, 0o666), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole: after a kill it has all of its content, or is as it was before. Raises OSError."""
    with whole_file(path) as file:
        file.write(content)


def remove_parts(folder: Path) -> None:
    """Removes what killed processes left of files in a folder, at any depth."""
    for path in folder.rglob(f"*{PART}"):
        path.unlink(missing_ok=True)


def opened(path: Path, flags: int) -> int:
    """A descriptor of a file that may be there already, such as one to go on with. Raises OSError for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
