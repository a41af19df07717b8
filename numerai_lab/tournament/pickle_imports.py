"""What a pickle imports, read from its bytes: nothing of it is run."""

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from numerai_lab.core.errors import NlabError

ALLOWED = frozenset(
    {
        "cloudpickle.cloudpickle._builtin_type",
        "cloudpickle.cloudpickle._function_setstate",
        "cloudpickle.cloudpickle._make_cell",
        "cloudpickle.cloudpickle._make_empty_cell",
        "cloudpickle.cloudpickle._make_function",
        "cloudpickle.cloudpickle.subimport",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.numeric._frombuffer",
    }
)
"""Names that a pickle of functions and arrays needs; no call of one of them runs another program or reads a file."""
MODULES = frozenset({"numpy", "pandas", "scipy"})
"""Modules that the functions inside may be given."""
UNREADABLE = "a name that is put together while it loads"
SUBIMPORT = "cloudpickle.cloudpickle.subimport"
STRINGS = ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING")
RECALLS = ("GET", "BINGET", "LONG_BINGET")
KEEPS = ("PUT", "BINPUT", "LONG_BINPUT")
NO_EFFECT = ("PROTO", "FRAME")
HIDDEN = ("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")
"""Operations that get something by a number or an id."""


@dataclass(frozen=True)
class PickleImports:
    """What a pickle imports: names, and modules that its functions are given."""

    names: tuple[str, ...]
    modules: tuple[str, ...]

    @property
    def beyond(self) -> tuple[str, ...]:
        """Those that are not on the allow-list."""
        return (*(name for name in self.names if name not in ALLOWED), *(name for name in self.modules if name not in MODULES))


def imports_of(path: Path) -> PickleImports:
    """The imports of a pickle. Raises NlabError where the file is no pickle.

    A name is known only where two texts come right before it is looked up; anything else counts as unreadable.
    """
    if not path.is_file():
        raise NlabError(f"{path}: no whole pickle, there is no such file; `nlab deploy RUN --out FOLDER` writes a predict.pkl")
    try:
        operations = list(_operations(path.read_bytes()))
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise NlabError(f"{path}: no whole pickle ({error})") from error
    names = {name for kind, name in operations if kind in ("STACK_GLOBAL", "GLOBAL", "INST", *HIDDEN)}
    modules = {_given(operations[i + 1 : i + 4]) for i, (_, text) in enumerate(operations) if text == SUBIMPORT}
    return PickleImports(tuple(sorted(map(str, names))), tuple(sorted(modules)))


def _operations(content: bytes) -> Iterator[tuple[str, str | None]]:
    """Operations that push or take something, each with the text or the imported name that it pushes; None where neither."""
    memo: dict[int, str | None] = {}
    last: list[str | None] = [None, None]
    for operation, given, _ in pickletools.genops(content):
        kind, text, argument = operation.name, None, str(given)
        if kind == "MEMOIZE" or kind in KEEPS:
            memo[len(memo) if kind == "MEMOIZE" else int(argument)] = last[1]
        if kind == "MEMOIZE" or kind in (*KEEPS, *NO_EFFECT):
            continue
        if kind in STRINGS:
            text = argument
        elif kind in RECALLS:
            text = memo[int(argument)]
        elif kind in ("GLOBAL", "INST"):
            text = argument.replace(" ", ".")
        elif kind == "STACK_GLOBAL":
            text = UNREADABLE if None in last else ".".join(map(str, last))
        elif kind in HIDDEN:
            text = UNREADABLE
        last = [last[1], text]
        yield kind, text


def _given(following: list[tuple[str, str | None]]) -> str:
    """The module that a function is given, by the three operations after the name of the importing function."""
    if [kind for kind, _ in following[1:]] != ["TUPLE1", "REDUCE"]:
        return UNREADABLE
    return following[0][1] or UNREADABLE
