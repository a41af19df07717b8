"""Plug-ins: methods from files, modules and installed packages, registered beside the built-in ones.

Only what the user names is imported: `--plugin`, NLAB_PLUGINS, and installed packages with entry points. A config names kinds
and imports nothing.
"""

import hashlib
import inspect
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, entry_points, packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.plugin_modules import (
    BASES,
    error_at,
    error_in,
    first_line,
    imported_file,
    imported_module,
    method_of,
    methods_of,
)
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.data import SOURCES
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.storage.folders import user_path

if TYPE_CHECKING:
    from numerai_lab.config.schema import Config

log = logging.getLogger("nlab")
VARIABLE = "NLAB_PLUGINS"
"""The environment variable with files or modules, separated as in PATH."""
GROUPS = {f"numerai_lab.{family}": family for family in BASES}
"""Entry-point group → family."""
TYPES_OF_CONFIGS = "numerai_lab.config.schema"
"""The module that builds the types of configs from the registries when it is imported."""
REGISTRIES: Mapping[str, dict[str, Any]] = {
    "generators": GENERATORS,
    "augmenters": AUGMENTERS,
    "models": MODELS,
    "sources": SOURCES,
}
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Plugin:
    """A plug-in that is loaded.

    name: of the file, module or package. given: what `--plugin` was given; "" for an entry point. version: of its package; ""
    for a file. path: its source; None where there is none. digest: of the source. methods: kind → family and class.
    """

    name: str
    given: str
    version: str
    path: Path | None
    digest: str
    methods: Mapping[str, tuple[str, type[Component]]] = field(repr=False)

    def kinds_of(self, *families: str) -> list[str]:
        """Its kinds of some families."""
        return [kind for kind, (family, _) in self.methods.items() if family in families]

    def record(self, used: Iterable[type]) -> dict[str, Any]:
        """What a run folder says of the plug-in, with the kinds of these classes."""
        used = set(used)
        kinds: dict[str, list[str]] = {}
        for kind, (family, method) in self.methods.items():
            if method in used:
                kinds.setdefault(family, []).append(kind)
        give = f"--plugin {shlex.quote(self.given)}" if self.given else f"pip install {self.name}"
        return {"name": self.name, "version": self.version, "sha256": self.digest, "give": give, "kinds": kinds}


_LOADED: dict[str, Plugin] = {}
"""Plug-ins of this process, by the resolved file, the module, or the entry point."""


def load_plugins(named: Sequence[str] = ()) -> tuple[Plugin, ...]:
    """Loads the plug-ins of installed packages, of NLAB_PLUGINS, and those that are named, once a process; returns the last.

    named: Python files or importable modules. Raises NlabError, with file and line, where one does not run or holds a class
    that is no whole method. An installed package that fails is left out with a warning.
    """
    before = len(_LOADED)
    try:
        _load_entry_points()
        for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
            _load(name)
        return tuple(_load(name) for name in named)
    finally:
        if len(_LOADED) > before and (types := sys.modules.get(TYPES_OF_CONFIGS)):
            types.read_registries()


def given_plugins() -> tuple[str, ...]:
    """Files and modules that were loaded by name, for `load_plugins` in another process."""
    return tuple(plugin.given for plugin in _LOADED.values() if plugin.given)


def plugin_of(cls: type) -> Plugin | None:
    """The plug-in that a component's class comes from; None for the built-in ones."""
    return next((plugin for plugin in _LOADED.values() if cls in {method for _, method in plugin.methods.values()}), None)


def plugins_in(config: "Config") -> list[dict[str, Any]]:
    """The records of the plug-ins whose methods a config names, for the run folder."""
    models = [config.model, *(variant.model for variant in config.variants.values() if variant.model is not None)]
    components = (config.data, *config.generators.values(), *config.augmenters.values(), *models)
    used = {type(component) for component in components}
    records = [plugin.record(used) for plugin in _LOADED.values()]
    return _one_a_package([record for record in records if record["kinds"]])


def _one_a_package(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, those of entry points of one package as one. Where its methods have several files, it has a hash of theirs."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    digests: dict[tuple[str, str], set[str]] = {}
    for record in records:
        key = (record["name"], record["give"])
        kinds = merged.setdefault(key, {**record, "kinds": {}})["kinds"]
        for family, names in record["kinds"].items():
            kinds[family] = sorted({*kinds.get(family, []), *names})
        digests.setdefault(key, set()).add(record["sha256"])
    for key, of_files in digests.items():
        if len(of_files) > 1:
            merged[key]["sha256"] = hashlib.sha256("".join(sorted(of_files)).encode()).hexdigest()
    return list(merged.values())


def plugin_error(error: BaseException) -> NlabError | None:
    """An exception that a line of a plug-in raised, as one sentence; None for any other."""
    paths = [plugin.path for plugin in _LOADED.values() if plugin.path]
    return next((message for path in paths if (message := error_at(path, error))), None)


def explained(cls: type, what: object) -> str:
    """A sentence on what is broken in a method, with file and line where it comes from a plug-in.

    what: the exception that it raised, or a sentence. An exception of another file is told with the line of the class.
    """
    if isinstance(what, BaseException) and (message := plugin_error(what)):
        return str(message)
    plain = isinstance(what, NlabError | ValueError) or not isinstance(what, BaseException)
    sentence = first_line(what) if plain else f"{type(what).__name__}: {first_line(what)}"
    return sentence if plugin_of(cls) is None else str(error_in(cls, sentence))


def _load(name: str) -> Plugin:
    """Loads a file or a module, unless it is there."""
    path = user_path(name)
    is_file = path.suffix == ".py" or path.exists() or not MODULE.fullmatch(name)
    key = str(path.resolve()) if is_file else name
    if key in _LOADED:
        if _LOADED[key].digest != _digest(_LOADED[key].path):
            raise NlabError(f"{name}: changed since this process loaded it; begin a new one (in a notebook, restart the kernel)")
        return _LOADED[key]
    module = imported_file(path) if is_file else imported_module(name)
    try:
        methods = methods_of(module, str(path) if is_file else name)
    except NlabError:
        if is_file:
            del sys.modules[module.__name__]  # so that the mended file can be loaded by the same process
        raise
    source = path.resolve() if is_file else Path(inspect.getsourcefile(module) or "")
    return _registered(
        key,
        Plugin(
            name=path.name if is_file else name,
            given=key,
            version="" if is_file else _version_of(module),
            path=source,
            digest=_digest(source),
            methods=methods,
        ),
    )


def _load_entry_points() -> None:
    """Loads the methods of installed packages; warns of one that fails."""
    for group in GROUPS:
        for point in entry_points(group=group):
            key = f"{group}:{point.name}={point.value}"
            if key in _LOADED:
                continue
            distribution = point.dist.name if point.dist else point.module
            try:
                loaded = point.load()
                kind, family, method = method_of(loaded)
                source = Path(inspect.getsourcefile(loaded) or "")
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                log.warning("plug-in %s of the package %s is left out: %s", point.name, distribution, error)
                continue
            release = point.dist.version if point.dist else ""
            _registered(key, Plugin(distribution, "", release, source, _digest(source), {kind: (family, method)}))


def _registered(key: str, plugin: Plugin) -> Plugin:
    for kind, (family, method) in plugin.methods.items():
        REGISTRIES[family][kind] = method
    _LOADED[key] = plugin
    return plugin


def _version_of(module: ModuleType) -> str:
    """The version of the package that a module comes from; empty where it is not installed as one."""
    top = module.__name__.split(".")[0]
    try:
        return version(packages_distributions().get(top, [top])[0])
    except PackageNotFoundError:
        return ""


def _digest(path: Path | None) -> str:
    """SHA-256 of a file; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path and path.is_file() else ""
