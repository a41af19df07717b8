"""Worker processes of trials side by side, which end when this process ends; a killed one costs no other trial."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from numerai_lab.config.plugins import given_plugins, load_plugins
from numerai_lab.core.parents import end_with_parent

Result = TypeVar("Result")


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


def _begin(parent: int, plugins: tuple[str, ...]) -> None:
    end_with_parent(parent)
    load_plugins(plugins)
