"""Scores eras in parallel: one per thread that BLAS would use, with one BLAS thread each."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

MOST = 8
"""Eras in flight, each with a float32 block and a float64 Gram matrix of its features."""


def side_by_side(score: Callable[[int], T], eras: Sequence[int]) -> Iterator[T]:
    """`score` of every era, in their order; the results do not depend on the number of threads.

    A matrix of some hundred features gains little from a second BLAS thread, and nothing where
    threads wait for a busy core; whole eras are independent. OMP_NUM_THREADS and the like hold:
    they set the number of eras in parallel.
    """
    import scipy.linalg
    from threadpoolctl import ThreadpoolController

    # scipy brings a BLAS of its own, which must be loaded before its threads can be limited.
    assert scipy.linalg
    blas = ThreadpoolController().select(user_api="blas")
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    with blas.limit(limits=1), _one_torch_thread(), ThreadPoolExecutor(min(threads, MOST)) as pool:
        yield from pool.map(score, eras)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Threads that start meanwhile have one of torch's each, where torch is loaded."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)
