"""A file that only grows, a line of JSON an event: what a killed writer left breaks no other line."""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numerai_lab.core.errors import NlabError
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.plain_files import read_plain


class EventLog:
    """Events in a file, oldest first, which is also their lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def owned(self, *, make_folder: bool = False) -> Iterator[None]:
        """Keeps every other process from writing to the file meanwhile."""
        with Lock(self.path, make_folder=make_folder) as lock:
            lock.take(wait=True)
            yield

    def append(self, event: Mapping[str, Any]) -> None:
        """Adds one line, on the disk when this returns. What a killed writer left without an end gets one."""
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(file).st_size
            if size and os.pread(file, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(file)
        finally:
            os.close(file)

    def lines(self) -> list[tuple[int, bytes]]:
        """Lines that are not empty, with their numbers. Raises NlabError where the file can't be read."""
        try:
            content = read_plain(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except ValueError as error:
            raise NlabError(f"{self.path.parent}: {error}") from error
        except OSError as error:
            raise NlabError(f"{self.path}: can't be read ({error.strerror})") from error
        return [(number, line) for number, line in enumerate(content.split(b"\n"), start=1) if line.strip()]
