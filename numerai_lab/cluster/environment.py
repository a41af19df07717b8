"""What must be equal on every machine: the sources of nlab, Python's minor version, libraries."""

import hashlib
import platform
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ALWAYS = ("distributed", "torch", "umap-learn", "catboost")
"""Libraries beside the requirements of nlab whose version matters where they are installed."""


def environment() -> dict[str, str]:
    """The versions of sources, Python and libraries in this process, by name."""
    libraries = {name: _version(name) for name in sorted({*_required(), *ALWAYS})}
    return {
        "nlab's sources": _digest(sorted(PACKAGE.rglob("*.py"))),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **libraries,
    }


def differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What another environment has otherwise, as text; empty where they agree."""
    names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
    return ", ".join(f"{name} {theirs.get(name, 'absent')}, here {mine.get(name, 'absent')}" for name in names)


def _required() -> list[str]:
    """The packages that nlab needs without any extra."""
    try:
        lines = requires("numerai_lab") or []
    except PackageNotFoundError:  # run from a folder of sources
        return []
    return [re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in lines if "extra ==" not in line]


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PACKAGE).as_posix()} {len(content)} ".encode() + content)
    return digest.hexdigest()[:12]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
