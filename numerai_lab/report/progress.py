"""Progress of long work on stderr: bars on a terminal, lines elsewhere."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.progress import Progress

log = logging.getLogger("nlab")
WIDE = 110
"""Least width of a terminal, in characters, at which a bar also shows losses."""
LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Memory(ProgressColumn):
    """Memory that the process holds now."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        import psutil

        return Text(human_bytes(psutil.Process().memory_info().rss), style="progress.download")


class Bars:
    """A progress bar for each task, removed when the task ends."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        wide = self.console.width >= WIDE
        columns = (
            TextColumn("{task.description}"),
            BarColumn(10 if wide else 20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            Memory(),
            *([TextColumn("{task.fields[note]}")] if wide else []),
        )
        with rich_progress.Progress(*columns, console=self.console, transient=True) as bars:
            task = bars.add_task(label, total=None, note="")

            def progress(done: int, total: int, note: str = "", /) -> None:
                bars.update(task, completed=done, total=total, note=note)

            yield progress


class Lines:
    """A line every LINE_EVERY seconds of a task, with an estimate of the time left."""

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        start = last_line = time.monotonic()

        def progress(done: int, total: int, note: str = "", /) -> None:
            nonlocal last_line
            now = time.monotonic()
            if now - last_line >= LINE_EVERY and done:
                last_line = now
                left = (now - start) / done * (total - done)
                more = f", {note}" if note else ""
                log.info("%s: %d of %d, about %.0f s left%s", label, done, total, left, more)

        yield progress


def progress_display() -> Bars | Lines:
    """Bars where stderr is a terminal, lines elsewhere."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()
