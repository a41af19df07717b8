"""The state of every run of a folder of runs, as `nlab watch` and `nlab serve` show it. What did not change is not read again."""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import printable
from numerai_lab.report.conclusion import Conclusion, VariantLine, conclusion_of
from numerai_lab.runs.layout import CONFIG, ERROR_TEXT, MANIFEST, PROGRESS, UNFINISHED
from numerai_lab.runs.live_progress import LiveProgress, is_worked_on, read_progress
from numerai_lab.runs.reading import Run, failure_text, read_run
from numerai_lab.runs.writing import STAMP
from numerai_lab.storage.plain_files import odd

Status = Literal["running", "interrupted", "finished", "failed", "broken", "unread"]
STATUSES: tuple[Status, ...] = ("running", "interrupted", "finished", "failed", "broken", "unread")
LONGEST_SENTENCE = 1000
READ_FOR = 1.0
"""Seconds that one look reads changed folders for; the others are read at the next one."""
STAMP_LENGTH = len("20260101-000000")
Signature = tuple[tuple[int, ...], ...]
"""By which a folder counts as unchanged."""


@dataclass(frozen=True)
class RunState:
    """What is said of a run folder.

    folder: its name on the disk; run: the name of the run. sentence: what the run shows, or why it failed or can't be read.
    elsewhere: whether another installation wrote it. has_report: whether it has what a report is drawn from. method: the
    one with the largest change of corr against the reference; change, delta and verdict are its. seconds: that the run
    took, or has taken so far. started: in UTC, by ISO 8601.
    """

    folder: str
    run: str
    status: Status
    sentence: str = ""
    started: str = ""
    data: str = ""
    synthetic: bool = False
    elsewhere: bool = False
    has_report: bool = False
    method: str = ""
    change: str = ""
    delta: float | None = None
    verdict: str = ""
    seconds: float | None = None
    progress: LiveProgress | None = None

    @property
    def milestone(self) -> tuple[object, ...]:
        """What changes when the run begins, goes on to its next stage, or ends."""
        live = self.progress
        return self.status, self.sentence, *((live.stage, live.done) if live else ())

    def as_row(self) -> dict[str, Any]:
        """The fields as a row of a table, those of the progress among them; None where there are none."""
        live = self.progress
        facts = None if live is None else live.model_dump(exclude={"seconds"}) | {"share_of_run": live.share_of_run}
        own = {key: value for key, value in vars(self).items() if key != "progress"}
        return own | (facts or dict.fromkeys(("stage", "share", "done", "stages", "seconds_left", "share_of_run")))


@dataclass(frozen=True)
class Changes:
    """What is new since a version of an overview. folders: all of them, newest first; None where they are the same."""

    version: int
    states: list[RunState]
    folders: list[str] | None


@dataclass
class _Entry:
    """What is known of a folder; version: of the overview, at which its state changed."""

    signature: Signature
    state: RunState
    version: int
    current: bool = False


@dataclass
class Overview:
    """The states of the folders of `runs_dir`. Several threads may use it; none waits for folders to be read."""

    runs_dir: Path
    version: int = 0
    _folders_changed: int = 0
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Looks which folders are there and changed, and opens none: new ones are unread. Raises NlabError without `runs_dir`."""
        signatures = dict(_signatures(self.runs_dir))
        with self._lock:
            gone = self._entries.keys() - signatures.keys()
            new = signatures.keys() - self._entries.keys()
            if gone or new:
                self.version += 1
                self._folders_changed = self.version
            for name in gone:
                del self._entries[name]
            for name, signature in signatures.items():
                entry = self._entries.get(name)
                if entry is None:
                    state = RunState(name, _run_name(name), "unread", started=_started(name))
                    self._entries[name] = _Entry(signature, state, self.version)
                elif entry.signature != signature or entry.state.status == "running":  # a killed run leaves all as it is
                    entry.signature, entry.current = signature, False

    def read(self, seconds: float = READ_FOR) -> bool:
        """Reads folders that changed, unfinished ones first, for about so many seconds. Whether none is left."""
        end = time.monotonic() + seconds
        with self._lock:
            stale = {name: entry.signature for name, entry in self._entries.items() if not entry.current}
        names = sorted(stale, key=_reading_order)
        while names and time.monotonic() < end:
            name = names.pop()
            self._keep(name, state_of(self.runs_dir / name), stale[name])
        return not names

    def refresh(self) -> bool:
        """Looks and reads. Whether no folder is left to be read. Raises NlabError as `look` does."""
        self.look()
        return self.read()

    def has(self, folder: str) -> bool:
        """Whether there is a folder of this name."""
        with self._lock:
            return folder in self._entries

    def states(self) -> list[RunState]:
        """All states, newest run first."""
        with self._lock:
            return [self._entries[name].state for name in self._newest_first()]

    def changes(self, since: int) -> Changes:
        """What changed since a version that was given out before; -1 for all."""
        with self._lock:
            names = self._newest_first()
            states = [self._entries[name].state for name in names if self._entries[name].version > since]
            return Changes(self.version, states, names if self._folders_changed > since else None)

    def _keep(self, name: str, state: RunState | None, signature: Signature) -> None:
        """Keeps what was read. signature: from before it was read; where the folder changed since, it is read again."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or state is None:  # it vanished while it was read; the next look finds that
                return
            entry.current = entry.signature == signature
            if state != entry.state:
                self.version += 1
                entry.state, entry.version = state, self.version

    def _newest_first(self) -> list[str]:
        entries = self._entries
        return sorted(entries, key=lambda name: (entries[name].state.started, entries[name].state.run, name), reverse=True)


def state_of(path: Path) -> RunState | None:
    """The state of a run folder, whatever is in it; None where it is gone. Nothing is written."""
    try:
        known = _state(path)
    except NlabError as error:
        known = _unreadable(path, str(error).removeprefix(f"{path}: "))
    except Exception as error:  # whatever one folder holds, the others are shown
        known = _unreadable(path, f"can't be read ({type(error).__name__}: {error})")
    return known if path.is_dir() else None


def _signatures(runs_dir: Path) -> Iterator[tuple[str, Signature]]:
    """The folders that are runs, finished or not, and links in their place. Raises NlabError without a folder of runs."""
    try:
        with os.scandir(runs_dir) as entries:
            names = [entry.name for entry in entries if entry.is_symlink() or entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise NlabError(f"{runs_dir}: no folder of runs ({error.strerror}); name another with --runs-dir") from error
    for name in names:
        own = _facts(runs_dir / name)
        files = [_facts(runs_dir / name / file) for file in (MANIFEST, ERROR_TEXT, CONFIG, PROGRESS)]
        if own and any(files):
            yield name, (own, *files)


def _facts(path: Path) -> tuple[int, ...]:
    """By what a file or folder is seen to change; empty where it is missing, the error where nothing may be seen of it."""
    try:
        facts = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        return (error.errno or -1,)
    return facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


def _state(path: Path) -> RunState:
    if path.is_symlink():
        return _unreadable(path, "a link; runs are shown where their folders lie in the folder of runs")
    started = _started(path.name)
    if path.name.startswith(UNFINISHED):
        if is_worked_on(path):
            progress = read_progress(path)
            return _new_state(path, "running", "", started=started, seconds=progress.seconds, progress=progress)
        return _new_state(path, "interrupted", f"`nlab resume {path}` goes on with it", started=started)
    if (path / ERROR_TEXT).is_file():
        return _new_state(path, "failed", failure_text(path), started=started)
    for name in (MANIFEST, ERROR_TEXT):
        if why := odd(path / name):
            return _unreadable(path, f"{name} {why}")
    return _finished(path, read_run(path))


def _finished(path: Path, run: Run) -> RunState:
    conclusion, manifest = conclusion_of(run), run.manifest
    best = _largest_change(conclusion)
    return _new_state(
        path,
        "finished",
        conclusion.sentence,
        started=_in_utc(manifest["started"]) or _started(path.name),
        data=printable(manifest["comparable"]["data version"]),
        synthetic=bool(manifest["data"]["synthetic"]),
        elsewhere=not run.own,
        has_report=(path / CONFIG).is_file(),
        method=best.variant if best else "",
        change=str(best.change) if best else "",
        delta=best.change.value if best else None,
        verdict=best.verdict if best else "",
        seconds=float(sum(phase["seconds"] for phase in manifest["stages"].values())),
    )


def _largest_change(conclusion: Conclusion) -> VariantLine | None:
    methods = [line for line in conclusion.lines if line.role == "method" and not math.isnan(line.change.value)]
    return max(methods, key=lambda line: line.change.value, default=None)


def _unreadable(path: Path, why: str) -> RunState:
    return _new_state(path, "broken", why, started=_started(path.name))


def _new_state(path: Path, status: Status, sentence: str, **facts: Any) -> RunState:
    text = printable(next(iter(sentence.splitlines()), ""))
    shown = text if len(text) <= LONGEST_SENTENCE else f"{text[:LONGEST_SENTENCE]}…"
    return RunState(path.name, _run_name(path.name), status, shown, **facts)


def _run_name(folder: str) -> str:
    """The name of the run of a folder: that which an unfinished one will have."""
    return printable(folder.removeprefix(UNFINISHED).rpartition("-")[0] if folder.startswith(UNFINISHED) else folder)


def _started(folder: str) -> str:
    """When a run began, in UTC by ISO 8601, by the name of its folder; empty where that says nothing."""
    with suppress(ValueError):
        name = folder.removeprefix(UNFINISHED)
        return datetime.strptime(name[:STAMP_LENGTH], STAMP).replace(tzinfo=UTC).isoformat()
    return ""


def _in_utc(time_text: str) -> str:
    """A time by ISO 8601 in UTC; empty where it is none."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(time_text).astimezone(UTC).isoformat(timespec="seconds")
    return ""


def _reading_order(folder: str) -> tuple[bool, str]:
    return folder.startswith(UNFINISHED), folder
