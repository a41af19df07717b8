"""Progress of long work on stderr: bars on a terminal, lines elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from typing import Any

from rich import progress as rich_progress
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from numerai_lab.core.formatting import human_bytes, human_seconds
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.fitting.run_context import WholeRun

log = logging.getLogger("nlab")
WIDE = 110
"""Least width of a terminal, in characters, at which a bar also shows losses."""
LINE_EVERY = 60.0
"""Seconds between two lines where there is no terminal."""
CELL_EVERY = 1.0
"""Seconds between two lines in a notebook."""
MEASURED = 5.0
"""Seconds that the speed of a task is measured for before it tells when the task ends."""


class TimeLeft:
    """Seconds that a task will still take, by its speed since its first step: what comes before that step is another speed."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def seconds(self, done: int, total: int) -> float | None:
        """None until the speed has been measured for long enough."""
        now = time.monotonic()
        if self._first is None or done < self._first[1]:
            self._first = (now, done)
        start, first = self._first
        if done == first or now - start < MEASURED:
            return None
        return (now - start) / (done - first) * (total - done)

    def text(self, done: int, total: int) -> str:
        """Such as `about 3 min left`."""
        seconds = self.seconds(done, total)
        return "" if seconds is None else f"about {human_seconds(seconds)} left"


class Memory(ProgressColumn):
    """Memory that the process holds now."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        import psutil

        return Text(human_bytes(psutil.Process().memory_info().rss), style="progress.download")


class RunBars(rich_progress.Progress):
    """Bars of tasks, and below them the line of the run."""

    whole: WholeRun | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn."""
        yield from super().get_renderables()
        if self.whole is not None:
            yield Text(self.whole.line(), style="dim", no_wrap=True, overflow="ellipsis")


class Bars:
    """A progress bar for each task, removed when the task ends, and a line for the run."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._whole: WholeRun | None = None

    @contextmanager
    def run(self, whole: WholeRun) -> Iterator[None]:
        """Shows the line of a run below the bars of its tasks."""
        self._whole = whole
        try:
            yield
        finally:
            self._whole = None

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """Shows a bar."""
        wide = self.console.width >= WIDE
        columns = (
            TextColumn("{task.description}"),
            BarColumn(10 if wide else 20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            Memory(),
            *([TextColumn("{task.fields[note]}")] if wide else []),
        )
        with RunBars(*columns, console=self.console, transient=True) as bars:
            bars.whole = self._whole
            task, left = bars.add_task(label, total=None, note="", left=""), TimeLeft()

            def progress(done: int, total: int, note: str = "", /) -> None:
                bars.update(task, completed=done, total=total, note=note, left=left.text(done, total))

            yield progress


class Lines:
    """A line every LINE_EVERY seconds: of the run and what it is at, or, outside a run, of a task."""

    def __init__(self) -> None:
        self._in_run = False

    @contextmanager
    def run(self, whole: WholeRun) -> Iterator[None]:
        """Logs lines of a run, also while a library says nothing for minutes."""
        over = threading.Event()

        def lines() -> None:
            while not over.wait(LINE_EVERY):
                log.info("%s", whole.line())

        thread = threading.Thread(target=lines, daemon=True)
        thread.start()
        self._in_run = True
        try:
            yield
        finally:
            self._in_run = False
            over.set()
            thread.join()

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """Logs lines of a task outside of a run."""
        last_line, left = time.monotonic(), TimeLeft()

        def progress(done: int, total: int, note: str = "", /) -> None:
            nonlocal last_line
            words = [f"{done} of {total}", left.text(done, total), note]
            now = time.monotonic()
            if now - last_line >= LINE_EVERY and not self._in_run:
                last_line = now
                log.info("%s: %s", label, ", ".join(word for word in words if word))

        yield progress


class NotebookLine:
    """A line on the run in the output of a notebook's cell, replaced every second."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display

    @contextmanager
    def run(self, whole: WholeRun) -> Iterator[None]:
        """Shows the line of a run, also while a library says nothing for minutes."""
        over, handle = threading.Event(), self._display({"text/plain": whole.line()}, raw=True, display_id=True)

        def lines() -> None:
            while not over.wait(CELL_EVERY):
                handle.update({"text/plain": whole.line()}, raw=True)

        thread = threading.Thread(target=lines, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            handle.update({"text/plain": whole.line()}, raw=True)

    def task(self, label: str) -> AbstractContextManager[Progress]:
        """Shows nothing: the line of the run names its task."""
        return nullcontext(no_progress)


class Silent:
    """A display that shows nothing."""

    def task(self, label: str) -> AbstractContextManager[Progress]:
        return nullcontext(no_progress)

    def run(self, whole: WholeRun) -> AbstractContextManager[None]:
        return nullcontext()


def python_display() -> NotebookLine | Silent:
    """A line in a notebook; nothing in other Python programs."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return NotebookLine(import_module("IPython.display").display) if hasattr(shell, "kernel") else Silent()


def progress_display() -> Bars | Lines:
    """Bars where stderr is a terminal, lines elsewhere."""
    console = Console(stderr=True)
    return Bars(console) if console.is_terminal else Lines()
