"""How far an unfinished run is: a small file in its folder, written anew every other second while the run goes on."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import PROGRESS
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK
from numerai_lab.storage.foreign_json import Count, Number, Text
from numerai_lab.storage.plain_files import odd, read_plain
from numerai_lab.storage.whole_files import write_whole

WRITE_EVERY = 2.0
"""Seconds between two writes of the file."""
LARGEST = 100_000
"""Bytes of the largest file that is read."""


class LiveProgress(BaseModel):
    """How far a run is.

    stage: what it is at, and share: how much of that is done, 0 to 1. done: finished stages of the planned `stages`, None while
    they are not planned yet. seconds: since it began or was gone on with. seconds_left: None while they are not known.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    stage: Text = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    done: Count = 0
    stages: Count | None = None
    seconds: Annotated[Number, Field(ge=0)] = 0.0
    seconds_left: Annotated[Number, Field(ge=0)] | None = None

    @property
    def share_of_run(self) -> float | None:
        """The share of the whole run, 0 to 1: of its time where that is known, else of its stages; None before that is known."""
        if self.seconds_left is not None and self.seconds + self.seconds_left > 0:
            return self.seconds / (self.seconds + self.seconds_left)
        return self.done / self.stages if self.stages else None


class ProgressFile:
    """Writes what `facts` returns into the file of an unfinished run."""

    def __init__(self, folder: Path) -> None:
        started = time.monotonic()
        self.path = folder / PROGRESS
        self.facts: Callable[[], Mapping[str, Any]] = lambda: {"stage": "data", "seconds": time.monotonic() - started}

    def write(self) -> None:
        """Replaces the file as a whole; does nothing where it can't be written, since the run itself says what ails the disk."""
        with suppress(OSError):
            write_whole(self.path, json.dumps(dict(self.facts())).encode())


@contextmanager
def live_progress(folder: Path) -> Iterator[ProgressFile]:
    """Keeps the file of a run up to date until the block ends; then it is removed."""
    file, over = ProgressFile(folder), threading.Event()
    file.write()

    def keep() -> None:
        while not over.wait(WRITE_EVERY):
            file.write()

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield file
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            file.path.unlink(missing_ok=True)


def read_progress(folder: Path) -> LiveProgress:
    """How far the unfinished run of a folder is; nothing is known where the file is missing or is not one that a run writes."""
    with suppress(OSError, ValueError, RecursionError):
        return LiveProgress.model_validate_json(read_plain(folder / PROGRESS, LARGEST))
    return LiveProgress()


def is_worked_on(folder: Path) -> bool:
    """Whether a process works on an unfinished run. Nothing is written; no lock is a lock that nobody holds."""
    path = folder / LOCK
    if odd(path) or not path.exists():
        return False
    with Lock(path, make_folder=False, make_file=False) as lock, suppress(NlabError, OSError):
        return not lock.take("read") and path.exists()
    return False
