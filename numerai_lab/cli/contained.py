"""A command again, in a process of its own with limits, for a run folder that this installation did not write."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Timer

from numerai_lab.cli.terminal import say
from numerai_lab.core.errors import NlabError

SECONDS = 3600
"""Time that a contained command has: training again on all eras takes most of an hour."""
LEAST_MEMORY = 2 * 10**9


def run_contained(run: Path) -> int:
    """Runs the command of this process again; returns its exit code.

    Raises NlabError where the process ends by a signal, as libraries do that read a forged model, and after SECONDS.
    """
    from numerai_lab.runs.reading import CONTAINED

    way_out = "`nlab trust` opens its models like those of your own runs; do that where you know who made them"
    say(f"{run}: from elsewhere, this installation did not write it: its models are opened in a process with limits")
    command = [sys.executable, "-m", "numerai_lab", *sys.argv[1:]]
    with subprocess.Popen(command, env={**os.environ, CONTAINED: str(os.getpid())}, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        timer = Timer(SECONDS, process.kill)
        timer.start()
        try:
            for line in process.stderr:
                say(line.decode(errors="replace").rstrip("\n"))
            code = process.wait()
        finally:
            late = timer.finished.is_set()
            timer.cancel()
            process.kill()
    if code < 0:
        why = f"took more than {SECONDS // 60} minutes" if late else f"ended the process ({signal.Signals(-code).name})"
        raise NlabError(f"{run}: is from elsewhere, and reading its models {why}; they are damaged, forged or large; {way_out}")
    return code


def limit_this_process() -> None:
    """Sets the limits of a contained command: memory, and no dump of it on the disk."""
    import resource

    from numerai_lab.core.parents import end_with_parent
    from numerai_lab.runs.reading import CONTAINED
    from numerai_lab.storage.machine import free_memory

    parent = os.environ[CONTAINED]
    if parent.isdecimal():
        end_with_parent(int(parent))
    most = max(free_memory(), LEAST_MEMORY)
    for what, bound in ((resource.RLIMIT_DATA, most), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # a lower limit holds already
            resource.setrlimit(what, (bound, bound))
