"""Errors that users can mend, and the words that help after a wrong name."""

import difflib
import errno
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
FULL_DISK = re.compile(r"^\d+ requested and \d+ written$|No space left on device|Disk quota exceeded|File too large")
"""What numpy and polars say of a full disk, without its errno."""


def as_failure(error: BaseException) -> BaseException:
    """Turns exhausted disk, memory or descriptors, missing rights, or an absent package into an NlabFailure; others stay."""
    if isinstance(error, ModuleNotFoundError) and error.name in INSTALL:
        return NlabFailure(f"this needs {how_to_install([error.name])}")
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return NlabFailure("the GPU's memory ran out; take a smaller batch_size, or device: cpu")
    if isinstance(error, MemoryError):
        return NlabFailure(
            f"memory ran out ({error or 'no more'}); --dry-run tells how much a config wants and what would need less"
        )
    if isinstance(error, OSError) and error.errno in ADVICE:
        place = f"{error.filename}: " if error.filename else ""
        return NlabFailure(f"{place}{error.strerror}; {ADVICE[error.errno]}")
    if FULL_DISK.search(str(error)) and (isinstance(error, OSError) or type(error).__module__.startswith("polars")):
        return NlabFailure(f"the disk is full ({str(error).splitlines()[0][:200]}); {MAKE_ROOM}")
    return error


def nearest(name: object, known: Iterable[str]) -> str:
    """A half-sentence that helps after a wrong name: `did you mean 'umap'?` or the list of known names."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
