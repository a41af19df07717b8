"""Work in a child process that ends with its parent, and that is known to live: JSON lines on its pipes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from numerai_lab.core.errors import NlabError, NlabFailure

MODULE = "numerai_lab.cluster.child"
"""The program of a child. It reads a job from its stdin, and ends when its stdin does."""
SILENCE = 300.0
"""Seconds without a sign of life after which a child counts as dead: it is stopped, or its machine hangs."""
LAST_LINES = 20
"""Lines of a child's log that are kept for its error."""


class ChildLost(NlabFailure):
    """A child process died, or gave no sign of life: the same work may succeed in another one."""


class ChildProcess:
    """A process that does one job and sends one result. `forward` gets the lines of its log."""

    def __init__(
        self, job: Mapping[str, Any], env: Mapping[str, str] | None = None, forward: Callable[[str], None] | None = None
    ) -> None:
        self.silence = float(job.get("silence", SILENCE))
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # it ends with its own children
        )
        self._log: deque[str] = deque(maxlen=LAST_LINES)
        self._outcome: dict[str, Any] | None = None
        self._heard = time.monotonic()
        readers = (self._read, lambda: self._read_log(forward))
        self._threads = [threading.Thread(target=reader, daemon=True) for reader in readers]
        for thread in self._threads:
            thread.start()
        self._send(job)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        """Whether the work goes on. Raises ChildLost where the child died or is silent for too long."""
        if self._process.poll() is None:
            if time.monotonic() - self._heard <= self.silence:
                return True
            self.kill()
            raise ChildLost(f"its process gave no sign of life for {self.silence:.0f} s")
        for thread in self._threads:
            thread.join(timeout=10)
        if self._outcome is None:
            last = f": {self._log[-1]}" if self._log else ""
            raise ChildLost(f"its process ended with exit code {self._process.returncode}{last}")
        return False

    @property
    def failed(self) -> bool:
        """Whether the work ended with an error, so that others of the same work wait in vain."""
        return self._outcome is not None and "error" in self._outcome

    def result(self) -> Any:
        """The result of a child that ended. Raises NlabError as the child did."""
        assert self._outcome is not None
        if "error" not in self._outcome:
            return self._outcome["result"]
        error = NlabError if self._outcome["exit_code"] == NlabError.exit_code else NlabFailure
        raise error(self._outcome["error"])

    def kill(self) -> None:
        """Ends the child and its own children at once, if it runs, and closes its pipes."""
        process = self._process
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for thread in self._threads:
            thread.join(timeout=10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _send(self, job: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died already: `running` says so
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard = time.monotonic()
            if line.strip():
                self._outcome = json.loads(line)

    def _read_log(self, forward: Callable[[str], None] | None) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line.rstrip())
            if forward is not None:
                forward(line.rstrip())


def await_all(children: Sequence[ChildProcess], stopped: Callable[[float], bool]) -> bool:
    """Waits until all children have ended, or one with an error; False where `stopped` said to stop. All end at the end.

    stopped: waits for so many seconds at most, and says whether the work is to stop. Raises ChildLost.
    """
    try:
        while True:
            running = [child.running() for child in children]  # every one: any of them may be lost
            if not any(running) or any(child.failed for child in children):
                return True
            if stopped(PAUSE):
                return False
    finally:
        for child in children:
            child.kill()


PAUSE = 0.2
"""Seconds between two looks at children."""
