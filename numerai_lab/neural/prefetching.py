"""Batches that a thread draws while the one before is learned from."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Protocol, Self

from numerai_lab.core.arrays import Array
from numerai_lab.neural.rows import RowBatch


class BatchSource(Protocol):
    """Batches to learn from, in an order that a seed decides: of a panel's rows, or of a training stream."""

    def next(self) -> RowBatch:
        """The next batch."""

    def state(self) -> Array:
        """What `load` needs to go on with the same batches, uint8."""

    def load(self, state: Array) -> None:
        """Goes on from a state."""

    def release(self) -> None:
        """Takes the pages of memory-maps out of the process."""


class Prefetched:
    """The next `n_batches` batches of a source, the same ones in the same order, each drawn in a thread ahead of its use.

    One batch is ahead at most, and none is drawn after the last. What the source raises, `next` raises.
    """

    def __init__(self, source: BatchSource, n_batches: int) -> None:
        self.source, self.n_left = source, n_batches
        self._state = source.state()
        self._thread = ThreadPoolExecutor(1, "batches")
        self._ahead: Future[tuple[RowBatch, Array]] | None = None

    def __enter__(self) -> Self:
        self._ahead = self._submitted()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._thread.shutdown(cancel_futures=True)

    def next(self) -> RowBatch:
        """The next batch."""
        assert self._ahead is not None
        batch, self._state = self._ahead.result()
        self.n_left -= 1
        self._ahead = self._submitted()
        return batch

    def state(self) -> Array:
        """The source's state after the last batch that was given, whatever is drawn ahead."""
        return self._state

    def load(self, state: Array) -> None:
        raise NotImplementedError("the source is loaded before its batches are drawn ahead")

    def release(self) -> None:
        """Takes the pages of memory-maps out of the process."""
        self.source.release()

    def _submitted(self) -> "Future[tuple[RowBatch, Array]] | None":
        return self._thread.submit(self._drawn) if self.n_left > 0 else None

    def _drawn(self) -> tuple[RowBatch, Array]:
        return self.source.next(), self.source.state()
