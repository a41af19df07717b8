"""Eras side by side: bounded, in order, and never more BLAS threads than cores were given."""

import threading
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from numerai_lab.metrics.threads import MOST, side_by_side


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_as_many_eras_as_blas_had_threads_each_with_one(n_threads: int) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def score(era: int) -> tuple[int, set[int]]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)  # long enough for every thread to take an era
        seen = set(blas_threads())
        with lock:
            running -= 1
        return era, seen

    with threadpool_limits(n_threads):
        found = list(side_by_side(score, range(12)))
        assert max(blas_threads()) == n_threads  # as before
    assert found == [(era, {1}) for era in range(12)]
    assert most == n_threads <= MOST


def test_an_error_in_an_era_stops_the_rest() -> None:
    done = []

    def score(era: int) -> None:
        if era == 2:
            raise ArithmeticError("era 2")
        time.sleep(0.01)
        done.append(era)

    with threadpool_limits(1), pytest.raises(ArithmeticError, match="era 2"):
        list(side_by_side(score, range(100)))
    assert len(done) < 10
