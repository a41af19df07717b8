"""The command in processes of its own, talking to a Numerai on this machine."""

import os
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.forks import CONTEXT, _command


def start_against(address: str, *arguments: str | Path, folder: Path, **environment: str) -> BaseProcess:
    """The command, running; files `stdout` and `stderr` in `folder` hold what it prints."""
    folder.mkdir(exist_ok=True)
    what = (address, [str(argument) for argument in arguments], folder, {**os.environ, **environment})
    process = CONTEXT.Process(target=_against, args=what)
    process.start()
    return process


def run_against(address: str, *arguments: str | Path, folder: Path, **environment: str) -> tuple[int, str, str]:
    """The command, run to its end: exit code, stdout, stderr."""
    process = start_against(address, *arguments, folder=folder, **environment)
    process.join()
    assert process.exitcode is not None
    return process.exitcode, (folder / "stdout").read_text(), (folder / "stderr").read_text()


def _against(address: str, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    import logging

    import numerapi.base_api

    numerapi.base_api.API_TOURNAMENT_URL = address
    if "DEBUG_LOGS" in environment:
        logging.basicConfig(level=logging.DEBUG, filename=environment["DEBUG_LOGS"])
    _command(arguments, folder, folder, environment)
