"""What may be read of files that somebody else may have left: no pipe, device or link, and nothing absurdly large."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from numerai_lab.core.formatting import human_bytes

MOST_TEXT = 256 * 10**6
"""Bytes of the largest file of text or JSON that is read: a manifest of 1,000 stages has less than one million."""
ANY_SIZE = 1 << 62
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
}


def odd(path: Path, most: int = MOST_TEXT, *, links: bool = False) -> str:
    """What keeps a path from being read as a file, `is a pipe, no file`; empty where nothing does or nothing is there.

    most: bytes of the largest file; links: whether a link to a file will do. Nothing is opened.
    """
    try:
        facts = os.stat(path) if links else os.lstat(path)
    except OSError:
        return ""
    kind = KINDS.get(stat.S_IFMT(facts.st_mode))
    if kind:
        return f"is {kind}, no file"
    return f"has {human_bytes(facts.st_size)}, more than a file of its kind may have" if facts.st_size > most else ""


def read_plain(path: Path, most: int = MOST_TEXT, *, links: bool = False) -> bytes:
    """The content of a file. Raises ValueError where `odd` finds something, OSError where it can't be read."""
    why = odd(path, most, links=links)
    if why:
        raise ValueError(f"{path.name} {why}")
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW)
    with os.fdopen(os.open(path, flags), "rb") as file:
        # A read allocates what is asked for at once; one byte more tells of a file that grew.
        content = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
    if len(content) > most:
        raise ValueError(f"{path.name} has more than {human_bytes(most)}")
    return content


def clear(place: Path) -> None:
    """Removes the folder, file or link at a place; never what a link points to. Raises OSError."""
    if place.is_symlink() or not place.is_dir():
        place.unlink(missing_ok=True)
    else:
        shutil.rmtree(place)


def odd_entry(folder: Path) -> str:
    """A sentence about the first link or special file in a folder, at any depth; empty where all are files and folders."""
    return next((f"{path.relative_to(folder)} is {kind}" for path, kind in _entries(folder)), "")


def _entries(folder: Path) -> Iterator[tuple[Path, str]]:
    for place, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            path = Path(place, name)
            with suppress(FileNotFoundError):  # another process removed it meanwhile
                kind = KINDS.get(stat.S_IFMT(os.lstat(path).st_mode))
                if kind and kind != KINDS[stat.S_IFDIR]:
                    yield path, kind
