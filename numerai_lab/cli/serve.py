"""`nlab serve`: one local page of all runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.show import RunsDir
from numerai_lab.cli.terminal import put, say

PORT = 8765


def serve(
    runs_dir: RunsDir = Path("runs"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="of 127.0.0.1; 0 takes any that is free")] = PORT,
) -> None:
    """Serve one page of all runs to a browser on this machine.

    It shows runs in progress live, what each run shows, comparisons and reports. It answers 127.0.0.1 alone, reads, and writes
    nothing. Ctrl-C ends it.
    """
    from numerai_lab.studies.run_server import ADDRESS, RunServer

    with RunServer(runs_dir, port) as server:
        put(f"http://{ADDRESS}:{server.server_port}/")
        sys.stdout.flush()
        say("Ctrl-C ends it")
        server.serve_until_interrupted()
