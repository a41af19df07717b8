"""Progress of long work: bars on a terminal, a line now and then otherwise; always on stderr."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.progress import Tick

log = logging.getLogger("nlab")
WIDE = 110
"""Columns of a terminal from which on a bar has room for losses."""
LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Memory(ProgressColumn):
    """What the process holds now."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        import psutil

        return Text(human_bytes(psutil.Process().memory_info().rss), style="progress.download")


class Bars:
    """One bar a task, gone when the task is done."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def task(self, label: str) -> Iterator[Tick]:
        wide = self.console.width >= WIDE
        columns = (
            TextColumn("{task.description}"),
            BarColumn(10 if wide else 20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            Memory(),
            *([TextColumn("{task.fields[said]}")] if wide else []),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=None, said="")

            def tick(done: int, total: int, said: str = "", /) -> None:
                progress.update(task, completed=done, total=total, said=said)

            yield tick


class Lines:
    """A line when a task has taken a while, with the time left as far as it can be told."""

    @contextmanager
    def task(self, label: str) -> Iterator[Tick]:
        start = said = time.monotonic()

        def tick(done: int, total: int, said_of_it: str = "", /) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= LINE_EVERY and done:
                said = now
                left = (now - start) / done * (total - done)
                more = f", {said_of_it}" if said_of_it else ""
                log.info("%s: %d of %d, about %.0f s left%s", label, done, total, left, more)

        yield tick


def shown() -> Bars | Lines:
    """Bars where stderr is a terminal, lines elsewhere."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()
