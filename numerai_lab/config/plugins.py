"""Generators and augmenters from a Python file of the user's, registered beside the built-in ones."""

import inspect
import re
import sys
import traceback
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.core.errors import NlabError
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.models import MODELS
from numerai_lab.target_transforms import TARGET_TRANSFORMS

TYPES_OF_CONFIGS = "numerai_lab.config.schema"
"""The module that builds the types of configs from the registries when it is imported."""
KIND = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Method = type[Generator] | type[Augmenter]


def load_plugin(path: Path) -> tuple[str, ...]:
    """Registers the generators and augmenters that a file defines and returns their kinds.

    Call it before a config is read: the types of configs are built from the registries.
    Raises NlabError, with the line, where the file does not run or a class is no whole method.
    """
    if TYPES_OF_CONFIGS in sys.modules:
        raise RuntimeError("plug-ins are loaded before configs")
    methods = _methods_in(_imported(path))
    if not methods:
        raise NlabError(f"{path}: defines no subclass of Generator or Augmenter with a `kind`")
    for method in methods:
        kind = _checked_kind(path, method)
        if issubclass(method, Generator):
            GENERATORS[kind] = method
        else:
            AUGMENTERS[kind] = method
    return tuple(str(method.model_fields["kind"].default) for method in methods)


def plugin_error(path: Path, error: BaseException) -> NlabError | None:
    """An exception that a line of the file raised, as one sentence; None where no line of it was running."""
    file = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename == file:
        return _at(path, error.lineno, f"SyntaxError: {error.msg}")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return _at(path, frames[-1].lineno, f"{type(error).__name__}: {_first_line(error)}") if frames else None


def _imported(path: Path) -> ModuleType:
    """The module that the file makes, under a name of its own among the modules of the process."""
    if not path.is_file():
        raise NlabError(f"{path}: no such file; a plug-in is a Python file with classes in it")
    name = f"nlab_plugin_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    spec = spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise NlabError(f"{path}: no Python file; its name must end in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        if message := plugin_error(path, error):
            raise message from error
        raise
    return module


def _methods_in(module: ModuleType) -> list[Method]:
    """The classes with a `kind` that the module itself defines, in its order."""
    classes = dict.fromkeys(value for value in vars(module).values() if isinstance(value, type))
    own = [cls for cls in classes if cls.__module__ == module.__name__]
    return [cls for cls in own if issubclass(cls, Generator | Augmenter) and "kind" in cls.model_fields]


def _checked_kind(path: Path, method: Method) -> str:
    """The kind of a class that can be used as it is. Raises NlabError with the line of the class."""
    line = inspect.getsourcelines(method)[1]
    kind = method.model_fields["kind"].default
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise _at(path, line, f'{method.__name__}: wanted kind: Literal["name"] = "name" with letters, digits and _')
    if kind in {**GENERATORS, **AUGMENTERS, **MODELS, **TARGET_TRANSFORMS}:
        raise _at(path, line, f"{method.__name__}: the kind {kind!r} is taken; choose another name")
    if missing := sorted(getattr(method, "__abstractmethods__", ())):
        raise _at(path, line, f"{method.__name__} lacks {', '.join(missing)}")
    if method.algorithms():
        raise _at(path, line, f"{method.__name__} extends a kind of several classes; let its `algorithms` return {{}}")
    try:
        method()
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "its parameters"
        raise _at(path, line, f"{method.__name__} can't be made with its defaults: {where}: {problem['msg']}") from None
    return kind


def _at(path: Path, line: int | None, message: str) -> NlabError:
    return NlabError(f"{path}, line {line}: {message}")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or ["no message"])[0]
