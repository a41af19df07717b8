"""Versions of the code that computes something: a hash of its syntax trees, and the libraries that they import."""

import hashlib
import inspect
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import ModuleType
from uuid import uuid4

from numerai_lab.storage.import_graph import FRAMEWORK, Reached, SourceFile, located, reached
from numerai_lab.storage.parsed_source import parsed

DISTRIBUTIONS = {"sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml"}
"""Import names that differ from the name a package is installed under."""
UNDERNEATH = {"umap": ("numba", "pynndescent", "scikit-learn", "scipy"), "sklearn": ("scipy",)}
"""Packages that compute for another one."""


def code_version(*parts: type | ModuleType) -> str:
    """A hash of the code that these classes (with their bases) and modules run: their files and all that they import.

    Files count as syntax trees without docstrings and comments; syntax trees differ between minor versions of Python. Of
    classes also the files that they declare in `reads` count, by content. A class or module whose source can't be read gets
    a name that never comes again, so that nothing of it is reused. See `import_graph` for what is followed and what is not seen.
    """
    versions = [_version_of(part) for part in parts]
    if None in versions:
        return uuid4().hex
    return hashlib.sha256(b"".join(filter(None, versions))).hexdigest()[:20]


def source_version(path: Path) -> str:
    """A hash of the syntax tree of one file, without what it imports."""
    return _own_digest(path).hex()[:20]


def library_versions(*parts: type | ModuleType) -> dict[str, str]:
    """Package → version of every library that the code of these classes and modules imports, and Python's own."""
    names = {name for part in parts for name in _reached(part).libraries}
    distributions = {DISTRIBUTIONS.get(name, name) for name in names} | {
        under for name in names for under in UNDERNEATH.get(name, ())
    }
    return {**{name: installed_version(name) for name in sorted(distributions)}, "python": platform.python_version()}


def _version_of(part: type | ModuleType) -> bytes | None:
    """A hash of the code of one class or module; None where one of its files can't be read."""
    kinds = [] if isinstance(part, ModuleType) else _bases(part)
    sources = [_source_of(owner) for owner in (kinds or (part,))]
    contents = [*(_version_reached(source) if source else None for source in sources), *map(_declared, kinds)]
    if None in contents:
        return None
    name = b"" if isinstance(part, ModuleType) else part.__qualname__.encode()
    return hashlib.sha256(b"".join([name, *filter(None, contents)])).digest()


def _bases(kind: type) -> list[type]:
    """A class and its base classes, without those of frameworks that compute nothing."""
    return [base for base in kind.__mro__ if base is not object and base.__module__.split(".")[0] not in FRAMEWORK]


def _reached(part: type | ModuleType) -> Reached:
    source = _source_of(part)
    return reached(source) if source else Reached(frozenset(), frozenset())


@cache
def _source_of(part: type | ModuleType) -> SourceFile | None:
    """The file of a module, or of a class's module, if it can be read and is where the class stands."""
    module = part if isinstance(part, ModuleType) else sys.modules.get(part.__module__)
    path = Path(getattr(module, "__file__", None) or "")
    try:
        facts = parsed(path) if path.is_file() else None
    except OSError:
        return None
    if module is None or facts is None:
        return None
    if isinstance(part, type) and part.__qualname__ not in facts.classes:
        return None
    return SourceFile(module.__spec__.name if module.__spec__ else module.__name__, path)


def _declared(kind: type) -> bytes | None:
    """A hash of the data files that a class declares in `reads`; None where one of them can't be read."""
    digest = hashlib.sha256()
    for name in vars(kind).get("reads", ()):
        try:
            path = Path(inspect.getfile(kind)).parent / name
            digest.update(_content(path, path.stat().st_size, path.stat().st_mtime_ns))
        except OSError:
            return None
    return digest.digest()


@cache
def _content(path: Path, size: int, mtime_ns: int) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@cache
def _version_reached(start: SourceFile) -> bytes:
    return hashlib.sha256(b"".join(sorted(_digest(source.path) for source in reached(start).files))).digest()


@cache
def _digest(path: Path) -> bytes:
    """A hash of a file's code and of what it imports from this package, wherever that lies.

    Where a module lies and what it is called does not count: moving one costs no cached stage.
    """
    facts = parsed(path)
    imported = sorted(
        f"{here} {name} ".encode() + _own_digest(source.path)
        for module, name, here in (facts.own_imports if facts else ())
        if (source := located(f"{module}.{name}") or located(module))
    )
    return hashlib.sha256(b"".join([_own_digest(path), *imported])).digest()


@cache
def _own_digest(path: Path) -> bytes:
    """A hash of a file alone: its syntax tree without docstrings and imports from this package, or its bytes."""
    facts = parsed(path)
    return facts.digest if facts else hashlib.sha256(path.read_bytes()).digest()


@cache
def installed_version(name: str) -> str:
    """The version of a package, or of what holds a module of this name; "absent" where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        installed = packages_distributions().get(name)
        return version(installed[0]) if installed else "absent"
