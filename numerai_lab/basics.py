"""What every module may need: the user's error, array types, random streams, and how long work says how far it is."""

import difflib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class Tick(Protocol):
    """Called with (done, total) by work that takes long, and what else there is to say of it, such as a loss."""

    def __call__(self, done: int, total: int, said: str = "", /) -> None: ...


def silent(done: int, total: int, said: str = "", /) -> None:
    """The tick of those who want no progress."""


def part_of(tick: Tick, start: float, end: float) -> Tick:
    """A tick for a piece of work that is some part of the whole, in thousandths of which the whole is told."""

    def part(done: int, total: int, said: str = "", /) -> None:
        tick(round(1000 * (start + (end - start) * done / total)), 1000, said)

    return part


@dataclass(frozen=True)
class Aid:
    """What a long fit is handed: where its progress goes, and a place for checkpoints.

    kept gives the arrays of this very fit's last checkpoint, or None; keep puts a new checkpoint in its place.
    """

    tick: Tick = silent
    kept: Callable[[], dict[str, Array] | None] = lambda: None
    keep: Callable[[Mapping[str, Array]], None] = lambda arrays: None


ALONE = Aid()
"""No progress shown, no checkpoint kept."""


class NlabError(Exception):
    """Something the user can mend: one message, exit code 2, no traceback."""


class NlabFailure(NlabError):
    """Something that went wrong while running: one message, exit code 1, no traceback."""


PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
"""Errors of the place that something is written to, not of the program."""


def told(error: BaseException) -> BaseException:
    """A full disk, one that may not be written to, or memory that ran out as an NlabFailure; any other error as it is."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return NlabFailure("the GPU's memory ran out; take a smaller batch_size, or device: cpu")
    if isinstance(error, MemoryError):
        return NlabFailure(
            f"memory ran out ({error or 'no more'}); --dry-run tells how much a config wants and what would need less"
        )
    if not isinstance(error, OSError) or error.errno not in PLACE:
        return error
    place = f"{error.filename}: " if error.filename else ""
    return NlabFailure(f"{place}{error.strerror}; make room (`nlab cache prune`), or name other places (--runs-dir, NLAB_CACHE)")


def user_path(path: str | Path) -> Path:
    """A path as a user writes it: `~` and `~name` are home folders. Raises NlabError where there is no such user."""
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise NlabError(f"{path}: this machine knows no home folder {Path(expanded).parts[0]!r}; write the whole path, from / on")
    return Path(expanded)


def rng_for(seed: int, *path: str | int) -> np.random.Generator:
    """The random stream of one component: the same for the same (seed, path), independent of every other."""
    digest = hashlib.sha256("/".join(map(str, path)).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()])


def nearest(name: object, known: Iterable[str]) -> str:
    """A half-sentence that helps after a wrong name: `did you mean 'umap'?` or the list of known names."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"


def exact_share(share: float, n: int) -> Fraction:
    """`share` of n as it is written in decimals: .29 of 100 is 29, where floats give 28.999…"""
    return Fraction(str(share)) * int(n)


def human_bytes(n_bytes: float) -> str:
    """`1.4 GB`: decimal units, as disks are sold and `du --si` counts."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def human_seconds(seconds: float) -> str:
    """`40 s`, `12 min`, `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


TEXT = "#text"
"""Ends the names of arrays of texts in a file of arrays."""


def arrays_to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Arrays of numbers or texts as the content of a safetensors file, which executes nothing when read.

    Texts become code points, in one dimension more.
    """
    from safetensors.numpy import save

    plain = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufU":
            raise TypeError(f"arrays of Python objects can't be saved: {name}")
        text = array.dtype.kind == "U"
        values = np.ascontiguousarray(array).reshape(array.shape)  # which makes one dimension of none
        plain[f"{name}{TEXT}" if text else name] = values[..., None].view(np.uint32) if text else values
    return bytes(save(plain))


def arrays_from_bytes(content: bytes) -> dict[str, Array]:
    """The inverse of `arrays_to_bytes`. Raises ValueError for anything but whole arrays."""
    from safetensors.numpy import load

    try:
        arrays = {name: np.array(array) for name, array in load(content).items()}  # which may be written to
        texts = {name: array.view(f"U{array.shape[-1]}")[..., 0] for name, array in arrays.items() if name.endswith(TEXT)}
        return {name.removesuffix(TEXT): texts.get(name, array) for name, array in arrays.items()}
    except Exception as error:  # header, size, kinds that numpy lacks: whatever broken bytes make it raise
        raise ValueError(f"no whole arrays ({error})") from error
