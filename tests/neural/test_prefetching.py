"""Batches drawn ahead in a thread: the same ones, none too many, and no later state than that of the last one given."""

import threading

import numpy as np
import pytest
import torch

from numerai_lab.core.arrays import Array
from numerai_lab.neural.prefetching import Prefetched
from numerai_lab.neural.rows import PanelBatches, RowBatch
from tests.conftest import make_panel


class Counting:
    """Batches of one cell that holds their number; the one of number `broken` can't be drawn."""

    def __init__(self, broken: int = -1) -> None:
        self.n, self.broken, self.threads = 0, broken, set[str]()
        self.drawn = threading.Semaphore(0)

    def next(self) -> RowBatch:
        self.threads.add(threading.current_thread().name)
        if self.n == self.broken:
            raise ValueError("no such rows")
        self.n += 1
        self.drawn.release()
        return RowBatch(torch.tensor([[self.n]]), torch.tensor([0]), ((0, 1),))

    def state(self) -> Array:
        return np.array([self.n], np.uint8)

    def load(self, state: Array) -> None:
        self.n = int(state[0])

    def release(self) -> None: ...


def test_one_batch_is_drawn_ahead_in_a_thread_and_the_state_is_that_of_the_last_one_given() -> None:
    source = Counting()
    with Prefetched(source, 5) as batches:
        assert source.drawn.acquire(timeout=5)
        assert batches.state().tolist() == [0]
        assert batches.next().cells.item() == 1
        assert source.drawn.acquire(timeout=5)
        assert (source.n, batches.state().tolist()) == (2, [1])
        assert [batches.next().cells.item() for _ in range(4)] == [2, 3, 4, 5]
    assert source.n == 5
    assert threading.current_thread().name not in source.threads


def test_what_the_source_raises_comes_with_the_batch_that_lacks_and_the_thread_ends() -> None:
    before = threading.active_count()
    with Prefetched(Counting(broken=1), 5) as batches:
        assert batches.next().cells.item() == 1
        with pytest.raises(ValueError, match="no such rows"):
            batches.next()
    assert threading.active_count() == before


def test_batches_of_a_panel_are_those_without_a_thread_also_from_a_state_in_between() -> None:
    panel = make_panel()
    plain = PanelBatches(panel, 16, 2, seed=3)
    wanted = [plain.next().cells for _ in range(6)]
    with Prefetched(PanelBatches(panel, 16, 2, seed=3), 6) as batches:
        given = [batches.next().cells for _ in range(3)]
        state = batches.state()
    later = PanelBatches(panel, 16, 2, seed=9)
    later.load(state)
    with Prefetched(later, 3) as batches:
        given += [batches.next().cells for _ in range(3)]
    assert all(torch.equal(a, b) for a, b in zip(wanted, given, strict=True))
