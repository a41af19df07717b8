"""Folders as tar files between machines, and the checks of what comes back."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from numerai_lab.core.errors import NlabFailure

MOST_FILES = 100_000
LOCKS = ".lock"


def packed(folder: Path, paths: Iterable[Path] | None = None) -> bytes:
    """The files of a folder, or some of them, as a tar. Its own lock files stay."""
    buffer = io.BytesIO()
    chosen = paths if paths is not None else folder.rglob("*")
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(chosen):
            if path.is_file() and not path.is_symlink() and path.name != LOCKS:
                tar.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return buffer.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Writes the files of a tar into an empty folder.

    Raises NlabFailure for anything but plain files below the folder: links, devices, paths such as `..`, two files of one
    name, compressed or sparse files, which may be larger than what was sent.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            members = _plain(tar, len(content))
            for member in members:
                source = tar.extractfile(member)
                assert source is not None
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    file.write(source.read())
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise NlabFailure(f"what came back is no tar of plain files ({error})") from error


def _plain(tar: tarfile.TarFile, n_bytes: int) -> list[tarfile.TarInfo]:
    """The members, each a plain file below the folder. Raises ValueError for any other."""
    members: dict[str, tarfile.TarInfo] = {}
    total = 0
    for member in tar:
        name, path = member.name, PurePosixPath(member.name)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
            raise ValueError(f"{name!r} is no path inside a folder")
        if not member.isreg() or member.issparse():
            raise ValueError(f"{name!r} is no plain file")
        if path.as_posix() in members:
            raise ValueError(f"{name!r} is there twice")
        total += member.size
        if total > n_bytes or len(members) >= MOST_FILES:
            raise ValueError("it holds more than was sent")
        members[path.as_posix()] = member
    return list(members.values())
