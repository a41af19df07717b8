"""Starts Dask's own scheduler and workers, with TLS, one process and one thread a worker."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from numerai_lab.cluster.keys import tls_options
from numerai_lab.cluster.opening import INSTALL, NO_DASHBOARD, worker_folder
from numerai_lab.cluster.places import checked_address, is_loopback
from numerai_lab.cluster.tasks import VARIABLE
from numerai_lab.core.errors import NlabError
from numerai_lab.core.processors import usable_cores

PASSED_ON = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5 minutes"}
"""Settings of Dask: a worker that is silent for so long is given up, and its work is given to others."""


@dataclass(frozen=True)
class SchedulerOptions:
    """Where a scheduler listens. keys: the folder of keys; None = no TLS, on this machine alone."""

    host: str
    port: int
    keys: Path | None = None
    file: Path | None = None
    dashboard: bool = False


def scheduler_command(options: SchedulerOptions) -> list[str]:
    """Dask's command that starts a scheduler. Raises NlabError where it would listen beyond this machine without TLS."""
    if options.keys is None and not is_loopback(options.host):
        raise NlabError(
            f"--host {options.host}: without keys a scheduler listens on 127.0.0.1 alone; name their folder with --keys"
        )
    words = ["--host", options.host, "--port", str(options.port), "--protocol", "tcp" if options.keys is None else "tls"]
    words += [] if options.keys is None else tls_options(options.keys)
    words += ["--dashboard", "--dashboard-address", "127.0.0.1:8787"] if options.dashboard else NO_DASHBOARD
    words += [] if options.file is None else ["--scheduler-file", str(options.file)]
    return _dask("dask_scheduler", words)


def worker_command(address: str, keys: Path | None, host: str | None = None) -> list[str]:
    """Dask's command that starts a worker of one process and one thread, whose children do the work.

    Raises NlabError for an address beyond this machine without TLS.
    """
    checked_address(address)
    words = [address, "--nthreads", "1", "--nworkers", "1", "--memory-limit", "0", *NO_DASHBOARD]
    words += ["--local-directory", worker_folder(), *([] if host is None else ["--host", host])]
    if address.startswith("tls://"):
        assert keys is not None
        words += ["--protocol", "tls", *tls_options(keys)]
    return _dask("dask_worker", words)


def become(command: Sequence[str], threads: int | None = None) -> NoReturn:
    """Replaces this process by a command. threads: of each child of a worker; None = all usable cores."""
    environ = {**os.environ, **{name: os.environ.get(name, value) for name, value in PASSED_ON.items()}}
    environ[VARIABLE] = str(threads or usable_cores())
    os.execvpe(command[0], list(command), environ)


def _dask(program: str, words: Sequence[str]) -> list[str]:
    if find_spec("distributed") is None:
        raise NlabError(f"nlab cluster: {INSTALL}")
    return [sys.executable, "-m", f"distributed.cli.{program}", *words]
