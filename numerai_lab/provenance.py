"""Which code computes something: a hash of its sources and the versions of the libraries they import."""

import ast
import hashlib
import inspect
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from uuid import uuid4

PACKAGE = "numerai_lab"
DISTRIBUTIONS = {"sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml"}
"""Import names that differ from the name a package is installed under."""
FRAMEWORK = {"abc", "pydantic", "typing"}
"""What declares components and computes nothing."""
UNDERNEATH = {"umap": ("numba", "pynndescent", "scikit-learn", "scipy"), "sklearn": ("scipy",)}
"""Packages that compute for another one."""


def code_version(*kinds: type) -> str:
    """A hash of the modules of these classes and their bases, and of all they import inside the package, transitively.

    A class whose source can't be read gets a name that never comes again, so that nothing of it is reused.
    """
    digest = hashlib.sha256()
    for kind in kinds:
        digest.update(kind.__qualname__.encode())
        for base in kind.__mro__:
            if base is object or base.__module__.split(".")[0] in FRAMEWORK:
                continue
            path = _file_of(sys.modules.get(base.__module__), base)
            if path is None:
                return uuid4().hex
            for source in sorted(_reached(path)):
                digest.update(_digest(source))
    return digest.hexdigest()[:20]


def source_version(path: Path) -> str:
    """A hash of one file alone."""
    return _digest(path).hex()[:20]


def library_versions(*kinds: type) -> dict[str, str]:
    """Package → version of every library that the code of these classes imports."""
    names: set[str] = set()
    for kind in kinds:
        path = _file_of(sys.modules.get(kind.__module__), kind)
        for source in _reached(path) if path else ():
            names |= _imported(source)[1]
    found = {DISTRIBUTIONS.get(name, name) for name in names} | {under for name in names for under in UNDERNEATH.get(name, ())}
    return {name: _version(name) for name in sorted(found)}


def _file_of(module: ModuleType | None, kind: type) -> Path | None:
    """The file of a module, if it can be read and is where the class stands."""
    path = Path(getattr(module, "__file__", None) or "")
    try:
        inspect.getsource(kind)
    except (OSError, TypeError):
        return None
    return path if path.suffix == ".py" and path.is_file() else None


@cache
def _reached(path: Path) -> frozenset[Path]:
    """A file and what it imports inside the package, transitively."""
    seen: set[Path] = set()
    ahead = [path]
    while ahead:
        at = ahead.pop()
        if at not in seen:
            seen.add(at)
            ahead += _imported(at)[0]
    return frozenset(seen)


@cache
def _imported(path: Path) -> tuple[frozenset[Path], frozenset[str]]:
    """Files of the package and top-level names of libraries that a file imports, wherever in it."""
    inside: set[Path] = set()
    libraries: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            top = name.split(".")[0]
            if top == PACKAGE:
                inside |= _module_file(name)
            elif top not in sys.stdlib_module_names | FRAMEWORK:
                libraries.add(top)
    return frozenset(inside), frozenset(libraries)


@cache
def _module_file(name: str) -> frozenset[Path]:
    """The file of a module of the package; none for what is no module, such as a class imported from one.

    Looked up by its path: to ask Python would import the parent packages, and with them what they import.
    """
    at = Path(__file__).parent.joinpath(*name.split(".")[1:])
    return frozenset(path for path in (at.with_suffix(".py"), at / "__init__.py") if path.is_file())


@cache
def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + path.read_bytes()).digest()


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
