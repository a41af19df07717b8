"""Function calls in a fresh process that shares no state with earlier calls."""

import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from numerai_lab.config.plugins import given_plugins, load_plugins, plugin_error
from numerai_lab.core.errors import NlabError, NlabFailure, as_failure
from numerai_lab.core.gpus import gpus
from numerai_lab.core.parents import end_with_starter
from numerai_lab.core.progress import Progress
from numerai_lab.fitting.run_context import ProgressDisplay, WholeRun

Result = TypeVar("Result")
PRELOADED = ("numerai_lab.studies.trials", "polars", "scipy.stats")
"""Modules that the fork server imports once; it calls none of their functions."""
PRELOADED_WITH = {"torch": ("torch._dynamo", "numerai_lab.neural.training")}
"""Package → modules that it imports when it is first used, and ours that use it."""


def in_fresh_process(
    display: ProgressDisplay, function: Callable[..., Result], *arguments: object, packages: Sequence[str] = ()
) -> Result:
    """Calls `function(display, *arguments)` in a fresh process and shows its progress in this one.

    packages: the fork server imports them once for all calls when the first one starts it; not on a machine with a GPU, which
    no fork of a process can use whose libraries have touched it. Function, arguments and result must be picklable. Raises the
    NlabError that the function raises, and NlabFailure with the traceback of any other error, or where the process dies.
    """
    context: Any = get_context("spawn")
    if "forkserver" in get_all_start_methods():
        context = get_context("forkserver")
        imported = () if gpus() else packages
        further = (module for package in imported for module in (package, *PRELOADED_WITH.get(package, ())))
        context.set_forkserver_preload([*PRELOADED, *further])
    here, there = context.Pipe()
    process = context.Process(target=_call, args=(there, given_plugins()))
    process.start()
    there.close()
    try:
        with suppress(OSError):  # of a process that ended; what it sent before says why
            here.send((function, arguments))  # which may be of plug-ins, and these are loaded there by now
        outcome = _relayed(display, here)
    except (EOFError, ConnectionResetError):
        process.join()
        raise NlabFailure(f"audit: a trial's process ended with exit code {process.exitcode}") from None
    finally:
        if process.is_alive():
            process.terminate()
        process.join()
        here.close()
    if isinstance(outcome, BaseException):
        raise outcome
    result: Result = outcome
    return result


def _relayed(display: ProgressDisplay, receiver: Connection) -> Any:
    """The outcome of the call, a result or an exception; shows its tasks as they come."""
    while True:
        kind, content = receiver.recv()
        if kind == "task":
            with display.task(content) as progress:
                while True:
                    inner, values = receiver.recv()
                    if inner == "end":
                        break
                    if inner == "outcome":
                        return values
                    progress(*values)
        elif kind == "outcome":
            return content


class _Sent:
    """A progress display that sends progress to the parent process; of nested tasks the outer one alone."""

    def __init__(self, sender: Connection) -> None:
        self.sender, self.depth = sender, 0

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        self.depth += 1
        outer = self.depth == 1
        if outer:
            self.sender.send(("task", label))

        def progress(done: int, total: int, note: str = "", /) -> None:
            if outer:
                self.sender.send(("progress", (done, total, note)))

        try:
            yield progress
        finally:
            self.depth -= 1
            if outer:
                self.sender.send(("end", None))

    def run(self, whole: WholeRun) -> AbstractContextManager[None]:
        return nullcontext()


def _call(parent: Connection, plugins: tuple[str, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    end_with_starter()
    outcome: object
    try:
        load_plugins(plugins)
        function, arguments = parent.recv()
        outcome = function(_Sent(parent), *arguments)
    except Exception as error:
        known = plugin_error(error) or as_failure(error)
        outcome = known if isinstance(known, NlabError) else NlabFailure("".join(traceback.format_exception(error)))
    parent.send(("outcome", outcome))
