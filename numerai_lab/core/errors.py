"""Errors that users can mend, and the words that help after a wrong name."""

import difflib
import errno
import os
import re
from collections.abc import Iterable

from numerai_lab.core.requirements import INSTALL, how_to_install


class NlabError(Exception):
    """Something the user can mend: one message, exit code 2, no traceback."""

    exit_code = 2


class NlabFailure(NlabError):
    """Something that went wrong while running: one message, exit code 1, no traceback."""

    exit_code = 1


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the place that something is written to, not of the program."""


OTHER_PLACES = "(--runs-dir, NLAB_CACHE)"
MAKE_ROOM = f"make room (`nlab cache prune`), or name other places {OTHER_PLACES}"
ADVICE = {
    errno.ENOSPC: MAKE_ROOM,
    errno.EDQUOT: f"your quota there is used up: {MAKE_ROOM}",
    errno.EFBIG: f"no file may grow so large there (`ulimit -f` tells a limit): raise it, or name other places {OTHER_PLACES}",
    errno.EROFS: f"nothing can be written there now: name other places {OTHER_PLACES}",
    errno.EACCES: f"this user may not read or write there: ask its owner, or name other places {OTHER_PLACES}",
    errno.EPERM: f"this user may not do that there: ask its owner, or name other places {OTHER_PLACES}",
    errno.EMFILE: "a run needs some 50 open files: raise the limit (`ulimit -n 1024`)",
    errno.ENFILE: "the whole machine has too many open files: end other programs",
}
"""What to do about an error of the system, by its number."""
WORDS = {os.strerror(number): advice for number, advice in ADVICE.items()}
"""The same by the system's words, which are all that libraries of Rust and C++ pass on."""
PASSING_ON = ("polars", "pyarrow", "xgboost", "lightgbm")
WRITTEN_IN_PART = re.compile(r"^\d+ requested and \d+ written$|FileStream\.Write incomplete")
"""What numpy and XGBoost say of a full disk, or of a file that may not grow, without any word of the system."""
NO_MEMORY = re.compile(r"std::bad_alloc|bad_malloc: Failed to allocate \d+ bytes")
GPU_MEMORY = "the GPU's memory ran out; take a smaller batch_size, or device: cpu"
LIMIT_OF_FILES = "or, where there is room, raise the limit on the size of files (`ulimit -f` tells it)"


def as_failure(error: BaseException) -> BaseException:
    """Turns exhausted disk, memory or descriptors, missing rights, or an absent package into an NlabFailure; others stay."""
    if isinstance(error, ModuleNotFoundError) and error.name in INSTALL:
        return NlabFailure(f"this needs {how_to_install([error.name])}")
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return NlabFailure(GPU_MEMORY)
    if isinstance(error, MemoryError):
        return _no_memory(str(error) or "no more")
    if isinstance(error, OSError) and error.errno in ADVICE:
        place = f"{error.filename}: " if error.filename else ""
        return NlabFailure(f"{place}{error.strerror}; {ADVICE[error.errno]}")
    library = type(error).__module__.split(".")[0]
    if library in PASSING_ON or (isinstance(error, OSError) and error.errno is None):
        return _of_library(str(error)) or error
    return error


def _of_library(text: str) -> NlabFailure | None:
    """The failure of the system that a library passes on in words; None where its text is of none."""
    if scarce := NO_MEMORY.search(text):
        return NlabFailure(GPU_MEMORY) if "cuda" in text.lower() else _no_memory(scarce[0])
    if part := WRITTEN_IN_PART.search(text):
        return NlabFailure(f"the disk is full ({part[0]}); {MAKE_ROOM}; {LIMIT_OF_FILES}")
    line = next(iter(text.splitlines()), "")[:200]
    return next((NlabFailure(f"{line}; {advice}") for words, advice in WORDS.items() if words in line), None)


def _no_memory(why: str) -> NlabFailure:
    return NlabFailure(f"memory ran out ({why}); --dry-run tells how much a config wants and what would need less")


def nearest(name: object, known: Iterable[str]) -> str:
    """A half-sentence that helps after a wrong name: `did you mean 'umap'?` or the list of known names."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
