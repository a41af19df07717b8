"""The command in processes of its own, forks of one that has imported everything: a test pays for what it runs."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.warm"])


def nlab(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    with tempfile.TemporaryDirectory() as folder:
        process = start(*arguments, said=Path(folder), cwd=cwd, **environment)
        process.join()
        out, err = ((Path(folder) / name).read_text() for name in ("stdout", "stderr"))
    assert process.exitcode is not None
    return subprocess.CompletedProcess(["nlab", *map(str, arguments)], process.exitcode, out, err)


def start(
    *arguments: str | Path, said: Path, cwd: Path | None = None, before: Callable[[], None] | None = None, **environment: str
) -> BaseProcess:
    """The command, running; files `stdout` and `stderr` in the folder `said` hold what it says. before: what it does first."""
    what = ([str(argument) for argument in arguments], said, cwd or Path.cwd(), {**os.environ, **environment}, before)
    process = CONTEXT.Process(target=_command, args=what)
    process.start()
    return process


def _command(
    arguments: list[str], said: Path, cwd: Path, environment: dict[str, str], before: Callable[[], None] | None = None
) -> None:
    from numerai_lab.cli.app import main

    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        with (said / name).open("a") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["nlab", *arguments]
    if before:
        before()
    main()
