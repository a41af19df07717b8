"""How long work reports its progress and keeps checkpoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from numerai_lab.core.arrays import Array


class Tick(Protocol):
    """Called with (done, total) by work that takes long, and what else there is to say of it, such as a loss."""

    def __call__(self, done: int, total: int, said: str = "", /) -> None: ...


def silent(done: int, total: int, said: str = "", /) -> None:
    """The tick of those who want no progress."""


def part_of(tick: Tick, start: float, end: float) -> Tick:
    """A tick for a piece of work that is some part of the whole, in thousandths of which the whole is told."""

    def part(done: int, total: int, said: str = "", /) -> None:
        tick(round(1000 * (start + (end - start) * done / total)), 1000, said)

    return part


@dataclass(frozen=True)
class Aid:
    """What a long fit is handed: where its progress goes, and a place for checkpoints.

    kept gives the arrays of this very fit's last checkpoint, or None; keep puts a new checkpoint in its place.
    """

    tick: Tick = silent
    kept: Callable[[], dict[str, Array] | None] = lambda: None
    keep: Callable[[Mapping[str, Array]], None] = lambda arrays: None


ALONE = Aid()
"""No progress shown, no checkpoint kept."""
