"""The modules of plug-ins: importing one, its methods, and what is wrong with it as one sentence with file and line."""

import inspect
import re
import sys
import traceback
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from numerai_lab.augmenters import Augmenter
from numerai_lab.config.adapters import component_class, is_plain
from numerai_lab.config.messages import FAMILIES, KINDS
from numerai_lab.core.array_method import COMPONENTS, ArrayMethod
from numerai_lab.core.component import Component
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.data import Source
from numerai_lab.generators import Generator
from numerai_lab.models import Model

KIND = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
BASES: dict[str, type[Component]] = {"generators": Generator, "augmenters": Augmenter, "models": Model, "sources": Source}
"""The base class of each family that a plug-in may add to."""


def imported_file(path: Path) -> ModuleType:
    """The module that a file makes, under a name of its own among the modules of the process.

    Raises NlabError, with the line, where the file does not run.
    """
    if not path.is_file():
        raise NlabError(f"{path}: no such file; a plug-in is a Python file with classes in it, or an installed module")
    name = f"nlab_plugin_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    if name in sys.modules:
        raise NlabError(f"{path}: another plug-in's file has this name; rename one of them")
    spec = spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise NlabError(f"{path}: no Python file; its name must end in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if not isinstance(error, KeyboardInterrupt) and (message := error_at(path, error)):
            raise message from error
        raise
    return module


def imported_module(name: str) -> ModuleType:
    """An importable module. Raises NlabError where there is none, or where it fails."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise NlabError(f"--plugin {name}: no such file, and no installed module of this name") from error
        raise NlabError(f"--plugin {name}: {first_line(error)}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise NlabError(f"--plugin {name}: {type(error).__name__}: {first_line(error)}") from error


def methods_of(module: ModuleType, where: str) -> dict[str, tuple[str, type[Component]]]:
    """Kind → family and class of every method that a module, or a part of its package, defines.

    where: names the module in errors. Raises NlabError, with the line, for a class that is no whole method, and where there
    is none.
    """
    classes = dict.fromkeys(value for value in vars(module).values() if isinstance(value, type))
    own = [cls for cls in classes if f"{cls.__module__}.".startswith(f"{module.__name__}.")]
    methods: dict[str, tuple[str, type[Component]]] = {}
    for cls in own:
        if is_plain(cls) or _is_named(cls):
            kind, family, method = method_of(cls)
            if kind in methods:
                raise error_in(cls, f"two classes have the kind {kind!r}; choose another name")
            methods[kind] = family, method
    if not methods:
        raise NlabError(
            f"{where}: defines no method; wanted a class with `kind` and fit and transform, augment, or fit and predict, or a "
            "subclass of Generator, Augmenter, Model or Source"
        )
    return methods


def _is_named(cls: type) -> bool:
    """Whether a class is a component with a `kind` or `source`, and no base class of such."""
    return issubclass(cls, tuple(BASES.values())) and bool({"kind", "source"} & getattr(cls, "model_fields", {}).keys())


def method_of(cls: type) -> tuple[str, str, type[Component]]:
    """Kind, family and component of a class that can be used as it is. Raises NlabError with the line of the class."""
    try:
        method = cls if issubclass(cls, Component) else COMPONENTS.get(cls) or component_class(cls)
    except NlabError as error:
        raise error_in(cls, f"{cls.__name__} {error}") from error
    except Exception as error:  # whatever pydantic raises of types that no config can hold
        message = f"{cls.__name__} has a parameter that no config can hold: {first_line(error)}"
        raise error_in(cls, message) from error
    family = next(family for family, base in BASES.items() if issubclass(method, base))
    key = "source" if family == "sources" else "kind"
    kind = method.model_fields[key].default if key in method.model_fields else None
    if not isinstance(kind, str) or not KIND.fullmatch(kind):
        raise error_in(cls, f'{cls.__name__}: wanted {key}: Literal["name"] = "name" with letters, digits and _')
    taken = FAMILIES["sources"] if family == "sources" else KINDS
    if taken.get(kind, method) is not method:  # an installed package may be named as a module too
        raise error_in(cls, f"{cls.__name__}: the {key} {kind!r} is taken; choose another name")
    if missing := sorted(getattr(method, "__abstractmethods__", ())):
        raise error_in(cls, f"{cls.__name__} lacks {', '.join(missing)}")
    if method.algorithms():
        raise error_in(cls, f"{cls.__name__} extends a kind of several classes; let its `algorithms` return {{}}")
    if not isinstance(getattr(method, "control", Control()), Control):
        raise error_in(cls, f'{cls.__name__}: wanted control: ClassVar[Control] = Control("world", "why", "source")')
    _check_defaults(cls, method)
    return kind, family, method


def error_at(path: Path, error: BaseException) -> NlabError | None:
    """An exception that a line of the file raised, as one sentence; None where no line of it was running."""
    file = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename == file:
        return _in_line(path, error.lineno, f"SyntaxError: {error.msg}")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return _in_line(path, frames[-1].lineno, f"{type(error).__name__}: {first_line(error)}") if frames else None


def error_in(cls: type, message: str) -> NlabError:
    """The error of a class, with its file and its line where it has one."""
    try:
        return _in_line(Path(inspect.getsourcefile(cls) or "?"), inspect.getsourcelines(cls)[1], message)
    except (OSError, TypeError):  # a class without source text, such as one made by `type`
        return NlabError(f"{getattr(sys.modules.get(cls.__module__), '__file__', cls.__module__)}: {message}")


def first_line(error: object) -> str:
    """The first line of a message."""
    return (str(error).splitlines() or ["no message"])[0]


def _check_defaults(cls: type, method: type[Component]) -> None:
    """Raises NlabError where a method, of sources apart, can't be made with the defaults of its parameters."""
    if issubclass(method, Source):
        return
    try:
        component = method()
        if isinstance(component, ArrayMethod):
            component.unfitted()
        component.model_dump(mode="json")
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"])) or "its parameters"
        raise error_in(cls, f"{cls.__name__} can't be made with its defaults: {where}: {problem['msg']}") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise error_in(cls, f"{cls.__name__} can't be made with its defaults: {first_line(error)}") from error


def _in_line(path: Path, line: int | None, message: str) -> NlabError:
    return NlabError(f"{path}, line {line}: {message}")
