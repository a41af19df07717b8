"""`nlab cluster …`: keys, a scheduler and workers for `--cluster`."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import expanded, say

cluster_app = typer.Typer(help="Make keys, and start what `--cluster` works on.", no_args_is_help=True)
Keys = Annotated[
    Path | None,
    typer.Option(
        callback=expanded, help="the folder that `nlab cluster keys` wrote; default $NLAB_CLUSTER_KEYS", show_default=False
    ),
]


@cluster_app.command("keys")
def keys_(
    folder: Annotated[Path, typer.Argument(callback=expanded, help="a new folder, to copy to every machine", show_default=False)],
    outcome_format: OutcomeOption = "text",
) -> None:
    """Write the keys of a new cluster. Who holds them runs code on every machine of it."""
    from numerai_lab.cluster.keys import VARIABLE, make_keys

    make_keys(folder)
    print_outcome(outcome_format, lambda: {"files": file_facts(folder)})
    say(f"keys: {folder}; copy the folder to every machine, and name it there in {VARIABLE}")


@cluster_app.command()
def scheduler(
    keys: Keys = None,
    host: Annotated[str, typer.Option(help="the address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="the port to listen on; 0 = any that is free")] = 8786,
    file: Annotated[
        Path | None, typer.Option("--file", callback=expanded, help="write the address there, for --cluster", show_default=False)
    ] = None,
    dashboard: Annotated[bool, typer.Option("--dashboard", help="Dask's dashboard, on 127.0.0.1:8787")] = False,
) -> None:
    """Start a Dask scheduler, with mutual TLS where there are keys. Without keys it listens on this machine alone."""
    import os

    from numerai_lab.cluster.keys import VARIABLE, keys_folder
    from numerai_lab.cluster.start import SchedulerOptions, become, scheduler_command

    known = keys_folder(keys) if keys or os.environ.get(VARIABLE) else None
    become(scheduler_command(SchedulerOptions(host, port, known, file, dashboard)))


@cluster_app.command()
def worker(
    address: Annotated[str, typer.Argument(help="the scheduler's address, tls://HOST:PORT", show_default=False)],
    keys: Keys = None,
    host: Annotated[str | None, typer.Option(help="the address to listen on; default the one that reaches the scheduler")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="threads of each trial; default all usable cores")] = None,
) -> None:
    """Start a worker: one trial at a time, in a child process, with a cache of this machine's own."""
    from numerai_lab.cluster.keys import keys_folder
    from numerai_lab.cluster.start import become, worker_command

    known = keys_folder(keys) if address.startswith("tls://") else None
    become(worker_command(address, known, host), threads)
