"""A lock file that the system frees when its process ends: for writers, readers and removal."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

from numerai_lab.core.errors import DISK_ERRORS, NlabFailure

TRIES = 100
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class NoLocks(NlabFailure):
    """The file system knows no locks: nothing of nlab makes or uses anything there, as every run refuses to."""


class Lock:
    """An advisory lock on a file: several readers, or one owner. The system frees it when the process ends, however it ends."""

    def __init__(self, path: Path, *, make_folder: bool = True, make_file: bool = True) -> None:
        """make_folder, make_file: whether folder and file are made where they are missing; there is no lock otherwise."""
        self.path, self.make_folder, self.make_file = path, make_folder, make_file
        self._file = -1

    def take(self, how: Literal["read", "own"] = "own", *, wait: bool = False) -> bool:
        """Takes the lock, or changes what it was taken for; False where another process is in the way and `wait` is not set.

        Raises NlabFailure where no file can be there, such as behind a link, and NoLocks on file systems without locks.
        """
        flag = (fcntl.LOCK_SH if how == "read" else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        while True:
            if self._file < 0:
                self._file = self._opened()
            if self._file < 0:
                if wait and self.make_folder and self.make_file:
                    raise NlabFailure(f"{self.path}: no lock can be taken there (its folder comes and goes)")
                return False
            try:
                fcntl.flock(self._file, flag)
            except BlockingIOError:
                self.free()
                return False
            except OSError as error:
                self.free()
                if error.errno in NO_LOCKS:
                    raise NoLocks(
                        f"{self.path}: this file system knows no locks ({error.strerror}); put the cache and the run folders on "
                        "another one, with NLAB_CACHE and --runs-dir"
                    ) from error
                raise
            if self._is_current():
                return True
            self.free()  # its file was removed while we waited: what we hold, nobody else will see

    def _opened(self) -> int:
        for _ in range(TRIES):
            if self.make_folder:
                with suppress(FileExistsError):  # there when mkdir looked, and gone when it looked again
                    self.path.parent.mkdir(parents=True, exist_ok=True)
            elif not (self.path.parent if self.make_file else self.path).exists():
                break
            try:
                return self._descriptor()
            except FileNotFoundError:  # another process gave the folder its final name just now
                continue
            except OSError as error:
                if error.errno in DISK_ERRORS:
                    raise
                link = "it is a link, which nothing here makes; remove it" if self.path.is_symlink() else error.strerror
                raise NlabFailure(f"{self.path}: no lock can be taken there ({link})") from error
        return -1

    def _descriptor(self) -> int:
        """The open file. One of another user that may only be read is locked all the same."""
        plain = os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, plain | os.O_RDWR | (os.O_CREAT if self.make_file else 0), 0o666)
        except PermissionError:
            with suppress(FileNotFoundError):  # then it is the folder that can't be written to
                return os.open(self.path, plain | os.O_RDONLY)
            raise

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
