"""The program of a child process: reads a job from stdin, does it, and writes its result to stdout.

It ends when its stdin ends, so that nothing goes on without its parent. It imports no Dask.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from typing import IO, Any

HEARTBEAT = 2.0
"""Seconds between two signs of life."""


def main() -> None:
    """Does the job that stdin names. An error for users and a traceback are results too."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    writing = threading.Lock()
    threading.Thread(target=_beat, args=(answer, writing), daemon=True).start()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    outcome = _outcome(job)
    with writing:
        answer.write(json.dumps(outcome) + "\n")
        answer.flush()
    os._exit(0)  # threads of libraries that wait for something do not hold it up


def _outcome(job: dict[str, Any]) -> dict[str, Any]:
    from numerai_lab.config.plugins import load_plugins, plugin_error
    from numerai_lab.core.errors import NlabError, NlabFailure, as_failure

    log = logging.getLogger("nlab")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(logging.StreamHandler())
    try:
        load_plugins(tuple(job.get("plugins", ())))
        from numerai_lab.cluster.jobs import JOBS

        return {"result": JOBS[job["kind"]](job)}
    except Exception as error:
        known = plugin_error(error) or as_failure(error)
        if not isinstance(known, NlabError):
            known = NlabFailure("".join(traceback.format_exception(error)).strip())
        return {"error": str(known), "exit_code": known.exit_code}


def _beat(answer: IO[str], writing: threading.Lock) -> None:
    while True:
        with contextlib.suppress(OSError), writing:
            answer.write("\n")
            answer.flush()
        time.sleep(HEARTBEAT)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
