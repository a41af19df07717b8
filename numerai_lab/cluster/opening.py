"""Opens a Dask client: to workers of this machine, to a scheduler that runs, or to Slurm jobs."""

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from numerai_lab.cluster.keys import VARIABLE as KEYS
from numerai_lab.cluster.keys import keys_folder, security_of
from numerai_lab.cluster.places import ClusterPlace, is_loopback
from numerai_lab.cluster.tasks import VARIABLE as THREADS
from numerai_lab.core.errors import NlabError
from numerai_lab.core.processors import threads_now
from numerai_lab.storage.folders import cache_dir

if TYPE_CHECKING:
    from distributed import Client

CONNECT = 30.0
"""Seconds in which a scheduler must answer."""
INSTALL = "this needs the PyPI packages distributed and dask-jobqueue: pip install 'numerai_lab[cluster]'"
LOOPBACK = "127.0.0.1"
NO_DASHBOARD = ("--no-dashboard", "--dashboard-address", f"{LOOPBACK}:0")
"""Options of Dask's commands. The server of the dashboard answers some questions without it, so it stays on this machine."""


def opened(place: ClusterPlace, stack: ExitStack) -> "Client":
    """A client; what was started for it ends with the stack.

    Raises NlabError where Dask is not installed, nobody answers, or settings are wrong.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise NlabError(f"--cluster: {INSTALL}") from error
    if place.kind == "address":
        security = security_of(keys_folder()) if place.encrypted else None
        try:
            return stack.enter_context(Client(place.address, security=security, timeout=CONNECT, set_as_default=False))
        except OSError as error:
            reason = str(error) or "no answer"
            raise NlabError(f"--cluster {place.text}: no scheduler with these keys answers there ({reason})") from error
    cluster = stack.enter_context(_local(place) if place.kind == "local" else _slurm(place))
    return stack.enter_context(Client(cluster, timeout=CONNECT, set_as_default=False))


def worker_folder() -> str:
    """Where Dask's workers keep their own files."""
    folder = cache_dir() / "cluster" / "dask"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _local(place: ClusterPlace) -> Any:
    from distributed import LocalCluster

    threads = str(max(1, threads_now() // place.n_workers))
    return LocalCluster(
        n_workers=place.n_workers,
        threads_per_worker=1,
        host=LOOPBACK,
        dashboard_address=f"{LOOPBACK}:0",
        worker_dashboard_address=None,
        memory_limit=0,
        local_directory=worker_folder(),
        env={THREADS: threads, "NLAB_CACHE": str(cache_dir())},  # of a worker that is started again, too
    )


def _slurm(place: ClusterPlace) -> Any:
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise NlabError(f"--cluster {place.text}: {INSTALL}") from error
    finally:
        signal.signal(signal.SIGINT, on_interrupt)  # dask_jobqueue's import makes Ctrl-C an exit without an error
    settings = dict(place.settings)
    options = {"dashboard": False, "dashboard_address": f"{LOOPBACK}:0", **settings.pop("scheduler_options", {})}
    if os.environ.get(KEYS) or not is_loopback(str(options.get("host", ""))):
        settings |= {"security": security_of(keys_folder()), "protocol": "tls://"}
    prologue = [f"export {THREADS}={settings['cores']}", *settings.pop("job_script_prologue", [])]
    extra = ["--nthreads", "1", "--memory-limit", "0", *NO_DASHBOARD, *settings.pop("worker_extra_args", [])]
    try:
        cluster = SLURMCluster(
            **{"processes": 1, **settings}, scheduler_options=options, job_script_prologue=prologue, worker_extra_args=extra
        )
    except (TypeError, ValueError) as error:
        raise NlabError(f"{place.text}: {error}") from error
    cluster.scale(jobs=place.n_workers)
    return cluster
