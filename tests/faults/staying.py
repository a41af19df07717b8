"""What test_children.py has worker processes do. It imports nothing of ours: they begin at once."""

import os
import signal
import time
from pathlib import Path

PID = "pid"


def stay(folder: Path, *rest: object) -> None:
    """Writes the process id into a folder, and does not end."""
    (folder / ".new").write_text(str(os.getpid()))
    (folder / ".new").rename(folder / PID)
    time.sleep(600)


def stay_as_method(text: str, folder: Path, memory: int | None) -> None:
    stay(folder)


def stay_as_trial(display: object, folder: Path) -> None:
    stay(folder)


def be_killed(*rest: object) -> None:
    """Ends as a machine without memory ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_for_one_seed(text: str, folder: Path, memory: int | None) -> tuple[Path | None, str]:
    """A trial: that of seed 1 is killed."""
    if "- 1" in text:
        be_killed()
    return folder, ""


def be_killed_for_few(text: str, folder: Path, memory: int | None) -> tuple[Path | None, str]:
    """A method: `few` is killed, all others fail, and say what they had of the machine."""
    if folder.name == "few":
        be_killed()
    return None, f"{os.environ['OMP_NUM_THREADS']} threads, {memory} bytes"
