"""Progress and checkpoints of long work."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numerai_lab.core.arrays import Array


class Progress(Protocol):
    """Called by long work with (done, total) and a note, such as the loss."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None: ...


def no_progress(done: int, total: int, note: str = "", /) -> None:
    """Shows nothing."""


def sub_progress(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a sub-task: maps its done/total onto [start, end] of the parent, in thousandths."""

    def part(done: int, total: int, note: str = "", /) -> None:
        progress(round(1000 * (start + (end - start) * done / total)), 1000, note)

    return part


@dataclass(frozen=True)
class FitContext:
    """Where a fit reports its progress, keeps checkpoints, and finds the matrix of an earlier model.

    load_checkpoint returns the arrays of the last checkpoint of this fit, or None.
    save_checkpoint replaces it.
    matrix(cuts, make) returns what `make` makes of the stream's rows, or the same object that another model made
    of them with the same `cuts`, a text that names all that decides the matrix beside the rows.
    """

    progress: Progress = no_progress
    load_checkpoint: Callable[[], dict[str, Array] | None] = lambda: None
    save_checkpoint: Callable[[Mapping[str, Array]], None] = lambda arrays: None
    matrix: Callable[[str, Callable[[], Any]], Any] = lambda cuts, make: make()


NO_CONTEXT = FitContext()
"""Shows no progress and keeps no checkpoint."""
