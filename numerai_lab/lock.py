"""A lock file that dies with its process: who is at work, who reads, and what may be removed."""

import fcntl
import os
from pathlib import Path
from typing import Literal, Self


class Lock:
    """An advisory lock on a file: several readers, or one owner. The system frees it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = -1

    def take(self, how: Literal["read", "own"] = "own", *, wait: bool = False) -> bool:
        """Takes the lock, or changes what it was taken for; False where another process is in the way and `wait` is not set."""
        flag = (fcntl.LOCK_SH if how == "read" else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        while True:
            if self._file < 0:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                except FileNotFoundError:  # another process gave the folder its final name just now
                    continue
            try:
                fcntl.flock(self._file, flag)
            except BlockingIOError:
                self.free()
                return False
            if self._is_current():
                return True
            self.free()  # its file was removed while we waited: what we hold, nobody else will see

    def free(self) -> None:
        """Gives the lock back; its file stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> None:
        """Removes the file of a lock that is owned, and gives it back."""
        self.path.unlink(missing_ok=True)
        self.free()

    def _is_current(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file)
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *gone: object) -> None:
        self.free()
