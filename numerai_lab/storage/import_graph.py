"""The source files that a module runs: its own and those it imports, found without importing anything.

Followed are `import` and `from … import` statements, relative ones too, anywhere in a file but under `if TYPE_CHECKING:`, and
calls of `import_module("literal")` and `__import__("literal")`. What is imported under a computed name, run by `exec` or
loaded from a data file is not seen.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

from numerai_lab.storage.parsed_source import PACKAGE, parsed

FRAMEWORK = {"abc", "pydantic", "typing"}
"""What declares components and computes nothing."""
INSTALLED = ("site-packages", "dist-packages")
"""Folders of installed distributions: these count by version, not by their files."""


@dataclass(frozen=True)
class SourceFile:
    """A module and its file."""

    module: str
    path: Path

    @property
    def is_package(self) -> bool:
        """The file is the `__init__` of a package."""
        return self.path.stem == "__init__"


@dataclass(frozen=True)
class Import:
    """A module that is imported, and the name that is taken from it; "" for the module itself."""

    module: str
    name: str = ""


@dataclass(frozen=True)
class Reached:
    """Source files that run, and top-level names of installed libraries that they import."""

    files: frozenset[SourceFile]
    libraries: frozenset[str]


@cache
def reached(start: SourceFile) -> Reached:
    """A source file and all that it imports, transitively.

    Follows modules of this package, of the start's own package, and of no installed distribution. A name that the
    `__init__` of one of our packages passes on counts as an import of the module that defines it.
    """
    own = {PACKAGE, start.module.split(".")[0]}
    files, libraries, seen = {start}, set[str](), set[Import]()
    ahead = list(_imports(start))
    while ahead:
        imported = ahead.pop()
        top = imported.module.split(".")[0]
        if imported in seen or top in sys.stdlib_module_names or top in FRAMEWORK:
            continue
        seen.add(imported)
        if top not in own and _is_library(top):
            libraries.add(top)
            continue
        for target in _files(imported):
            if isinstance(target, Import):
                ahead.append(target)
            elif target not in files:
                files.add(target)
                ahead += _imports(target)
    return Reached(frozenset(files), frozenset(libraries))


def _files(imported: Import) -> Iterator[SourceFile | Import]:
    """Yields the source files that an import runs: the module's own, and those of its parent packages.

    Of this package the parents are left out, and a name that an `__init__` passes on leads to the module that defines it.
    """
    if imported.module == PACKAGE and not located(f"{PACKAGE}.{imported.name}"):
        return  # names of the package itself: its version, and what notebooks need
    if imported.name and (submodule := located(f"{imported.module}.{imported.name}")):
        yield submodule
        imported = Import(imported.module)
        if submodule.module.split(".")[0] == PACKAGE:
            return
    module = located(imported.module)
    if module is not None:
        passed_on = _passed_on(module) if imported.module.split(".")[0] == PACKAGE and module.is_package else {}
        yield passed_on.get(imported.name, module)
    if imported.module.split(".")[0] != PACKAGE:
        for parent in _parents(imported.module):
            yield Import(parent)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


@cache
def located(module: str) -> SourceFile | None:
    """The file of a module; None where there is none, such as for a namespace package."""
    if module.split(".")[0] == PACKAGE:
        at = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
        there = [path for path in (at.with_suffix(".py"), at / "__init__.py") if path.is_file()]
        return SourceFile(module, there[0]) if there else None
    spec = _spec(module)
    path = Path(spec.origin) if spec and spec.has_location and spec.origin else None
    return SourceFile(module, path) if path and path.is_file() else None


@cache
def _spec(module: str) -> ModuleSpec | None:
    """The spec by which Python would find a module, without importing anything; None where there is none."""
    parent, _, _ = module.rpartition(".")
    try:
        if not parent:
            return find_spec(module)
        above = _spec(parent)
        places = above.submodule_search_locations if above else None
        return PathFinder.find_spec(module, places) if places else None
    except (ImportError, ValueError, AttributeError, KeyError, OSError):
        return None


@cache
def _is_library(top: str) -> bool:
    """Installed as a distribution, built in, or not there at all: known by its version."""
    spec = _spec(top)
    if spec is None:
        return True
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    return not places or any(part in INSTALLED for place in places for part in Path(place).parts)


@cache
def _imports(source: SourceFile) -> tuple[Import, ...]:
    facts = parsed(source.path)
    return tuple(Import(_absolute(module, source), name) for module, name in sorted(facts.imports)) if facts else ()


def _absolute(name: str, source: SourceFile) -> str:
    """A module's full name; one that begins with dots is relative to the package of the source."""
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    package = source.module.split(".") if source.is_package else source.module.split(".")[:-1]
    above = package[: len(package) - level + 1]
    return ".".join([*above, *([name[level:]] if name[level:] else [])])


@cache
def _passed_on(package: SourceFile) -> dict[str, Import]:
    """Names that the `__init__` of a package imports from elsewhere → where from."""
    facts = parsed(package.path)
    return {here: Import(_absolute(module, package), name) for module, name, here in (facts.passed_on if facts else ())}
