"""Worker processes of runs side by side, which end when this process ends; a killed one costs no other run."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context
from typing import TypeVar

from numerai_lab.config.plugins import given_plugins, load_plugins
from numerai_lab.core.parents import end_with_parent
from numerai_lab.core.processors import THREADS, threads_now
from numerai_lab.storage.machine import free_memory

Result = TypeVar("Result")
KILLED = "its process was killed, perhaps because memory ran out; take fewer --jobs"


def workers(number: int) -> ProcessPoolExecutor:
    """A pool of worker processes with the plug-ins of this one."""
    return ProcessPoolExecutor(number, get_context("spawn"), _begin, (os.getpid(), given_plugins()))


def once_more(function: Callable[..., Result], *arguments: object) -> Result | None:
    """The result of a call in a process of its own, after that of the first try was killed; None where this one is, too."""
    with workers(1) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            return None


@contextmanager
def machine_shared(number: int) -> Iterator[int | None]:
    """Gives worker processes that start meanwhile their part of the threads; yields the part of the free memory, in bytes.

    number: of the processes side by side. A single one has all threads, and None: all memory that is free when it looks.
    """
    if number == 1:
        yield None
        return
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update({name: str(max(1, threads_now(name) // number)) for name in THREADS})
    try:
        yield free_memory() // number
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def ended_with_error() -> Iterator[None]:
    """Ends the processes that the block started where it ends with an error or an interrupt: their pool would wait for them."""
    before = {process.pid for process in active_children()}
    try:
        yield
    except BaseException:
        for process in active_children():
            if process.pid not in before:
                process.terminate()
        raise


def _begin(parent: int, plugins: tuple[str, ...]) -> None:
    end_with_parent(parent)
    load_plugins(plugins)
