"""Children that end when their parent ends, however it ends."""

import ctypes
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

PR_SET_PDEATHSIG = 1
SECONDS = 1.0
"""Between two looks at the parent, where the system sends no signal."""


def end_with_parent(parent: int) -> None:
    """Has the system end this process when its parent ends; elsewhere than on Linux a thread looks after it.

    parent: the process id that the parent had when it started this one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before
            os._exit(1)
        return
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def end_with_starter() -> None:
    """Ends this process of multiprocessing when the one that started it ends, which a fork server may stand between."""
    from multiprocessing import parent_process

    starter = parent_process()
    if starter is not None:
        threading.Thread(target=_outlast, args=(starter,), daemon=True).start()


def _outlast(starter: "BaseProcess") -> None:
    starter.join()
    os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        threading.Event().wait(SECONDS)
    os._exit(1)
