"""The `nlab` command: its subcommands and exit codes. Heavy imports live inside the commands."""

import io
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Annotated

import typer

from numerai_lab.cli.audit import audit
from numerai_lab.cli.cache import cache_app
from numerai_lab.cli.check_plugin import check_plugin
from numerai_lab.cli.cluster import cluster_app
from numerai_lab.cli.compare import compare
from numerai_lab.cli.controls import controls
from numerai_lab.cli.data import data_app
from numerai_lab.cli.deploy import deploy
from numerai_lab.cli.describe import describe
from numerai_lab.cli.docs import docs
from numerai_lab.cli.doctor import doctor
from numerai_lab.cli.export import export
from numerai_lab.cli.init import init
from numerai_lab.cli.inspect import inspect
from numerai_lab.cli.ledger import ledger
from numerai_lab.cli.list import list_
from numerai_lab.cli.live import live
from numerai_lab.cli.methods import methods
from numerai_lab.cli.new import new
from numerai_lab.cli.open import open_
from numerai_lab.cli.power import power
from numerai_lab.cli.predict import predict
from numerai_lab.cli.query import query
from numerai_lab.cli.resume import resume
from numerai_lab.cli.run import run
from numerai_lab.cli.schedule import schedule
from numerai_lab.cli.schema import schema
from numerai_lab.cli.score import score
from numerai_lab.cli.serve import serve
from numerai_lab.cli.show import show
from numerai_lab.cli.submit import submit
from numerai_lab.cli.sweep import sweep
from numerai_lab.cli.terminal import put, say
from numerai_lab.cli.transform import transform
from numerai_lab.cli.trust import trust
from numerai_lab.cli.unseal import unseal
from numerai_lab.cli.validate import validate
from numerai_lab.cli.watch import watch
from numerai_lab.core.formatting import Printable
from numerai_lab.core.processors import set_threads

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")
app.add_typer(cluster_app, name="cluster")
app.command()(run)
app.command()(resume)
app.command()(compare)
app.command()(query)
app.command()(validate)
app.command()(score)
app.command()(audit)
app.command()(methods)
app.command()(controls)
app.command()(check_plugin)
app.command()(export)
app.command()(deploy)
app.command()(transform)
app.command()(show)
app.command()(sweep)
app.command()(power)
app.command()(inspect)
app.command()(unseal)
app.command()(submit)
app.command()(schedule)
app.command()(ledger)
app.command()(predict)
app.command()(trust)
app.command()(live)
app.command("open")(open_)
app.command()(serve)
app.command()(watch)
app.command("list")(list_)
app.command()(init)
app.command()(new)
app.command()(doctor)
app.command()(schema)
app.command()(describe)
app.command()(docs)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        put(f"nlab {version('numerai_lab')}")
        raise typer.Exit


@app.callback()
def nlab(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="print the version and exit")
    ] = False,
) -> None:
    """Find out whether unsupervised features and synthetic rows make Numerai models better."""


COMPUTING = {
    *("run", "resume", "sweep", "audit", "methods", "controls", "power", "score", "export", "transform", "inspect", "unseal"),
    *("predict", "live", "deploy", "doctor", "check-plugin", "data synth"),
}
"""Commands that look for idle cores before they load a library that computes."""
LEAST_ADDRESS_SPACE = 2_250_000_000
"""Bytes of address space in which these commands can load their libraries."""


def main() -> None:
    """Entry point: exit code 0, 1 (failure), 2 (bad input), or that of the error."""
    _bear_odd_streams()
    _log_to_stderr()
    computes = bool(COMPUTING.intersection((*sys.argv[1:2], " ".join(sys.argv[1:3]))))
    if computes:
        set_threads(os.environ)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: no half-written file stays
    sys.unraisablehook = _interrupt_again
    from numerai_lab.core.errors import NlabError, as_failure

    try:
        if computes and not {"--help", "-h"}.intersection(sys.argv):
            _refuse_small_address_space()
        _run_app()
    except NlabError as error:
        say(f"nlab: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the pipe's reader is gone: no error of ours
        sys.exit(1)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # that of a plug-in may be none of Exception, as panics of Rust
        failure = as_failure(error)
        if failure is error:
            plugins = sys.modules.get("numerai_lab.config.plugins")  # absent where none was loaded
            message = plugins.plugin_error(error) if plugins else None
            if message is None:
                raise
            say(f"nlab: {message}")
            sys.exit(2)
        say(f"nlab: {failure}")
        sys.exit(1)


def _refuse_small_address_space() -> None:
    """Raises NlabError where a shell's `ulimit -v` leaves too little: libraries end the process then, or fail to load."""
    with suppress(ImportError):  # on Windows
        import resource

        from numerai_lab.core.errors import NlabError
        from numerai_lab.core.formatting import human_bytes

        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
        if allowed != resource.RLIM_INFINITY and allowed < LEAST_ADDRESS_SPACE:
            had, wanted = human_bytes(allowed), human_bytes(LEAST_ADDRESS_SPACE)
            raise NlabError(
                f"`ulimit -v` allows {had} of address space, and libraries alone take {wanted}: raise it, or limit what is used "
                "in its place (`systemd-run --user -p MemoryMax=…`)"
            )


def _run_app() -> None:
    """Runs the command; again in a process with limits, where it needs models of a run folder from elsewhere."""
    if os.environ.get("NLAB_CONTAINED"):
        from numerai_lab.cli.contained import limit_this_process

        limit_this_process()
    try:
        app(prog_name="nlab")
    except Exception as error:
        reading = sys.modules.get("numerai_lab.runs.reading")  # absent where no run was read
        if reading is None or not isinstance(error, reading.ForeignRun):
            raise
        from numerai_lab.cli.contained import run_contained

        sys.exit(run_contained(error.run))


def _interrupt_again(unraisable: "sys.UnraisableHookArgs") -> None:
    """Interrupts once more where an interrupt fell into a callback of the garbage collector, which would lose it."""
    if unraisable.exc_type is KeyboardInterrupt:
        again = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))  # SIGINT may be ignored, as in the background
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _bear_odd_streams() -> None:
    """Lets commands print where stdout or stderr is closed, or knows ASCII only."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _log_to_stderr() -> None:
    log = logging.getLogger("nlab")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(Printable("%(message)s"))
    log.addHandler(handler)
