"""Turns a plain class of a plug-in into a component: its constructor's parameters become keys of a config."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from pydantic import create_model

from numerai_lab.augmenters.arrays import ArrayAugmenter
from numerai_lab.core.array_method import COMPONENTS, ArrayMethod
from numerai_lab.core.component import Component
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.data.worlds import WORLDS
from numerai_lab.generators.arrays import ArrayGenerator
from numerai_lab.models.arrays import ArrayModel


@dataclass(frozen=True)
class ArrayContract:
    """The methods of a plain class of one family, and the arguments that the program passes to each."""

    family: str
    base: type[ArrayMethod]
    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """The required methods as text: `fit(X, eras, rng) and transform(X)`."""
        return " and ".join(f"{name}({', '.join(arguments)})" for name, arguments in self.required.items())


_create_model: Any = create_model  # whose types know no computed fields

CONTRACTS = (
    ArrayContract("generator", ArrayGenerator, {"fit": ("X", "eras", "rng"), "transform": ("X",)}, {"names_out": ()}),
    ArrayContract("augmenter", ArrayAugmenter, {"augment": ("X", "y", "rng")}, {"fit": ("X", "y", "eras", "rng")}),
    ArrayContract("model", ArrayModel, {"fit": ("X", "y", "eras", "rng"), "predict": ("X",)}, {"importance": ()}),
)
DECLARED = ("stochastic", "within_era", "binned", "portable", "invents_rows")
"""Class variables that a plain class may set, beside `control`."""


def is_plain(cls: type) -> bool:
    """Whether a class follows the small contract: `kind` is a text, and it is no component."""
    return not issubclass(cls, Component) and isinstance(getattr(cls, "kind", None), str)


def component_class(cls: type) -> type[Component]:
    """The component of a plain class. Raises NlabError, in words that follow the name of the class."""
    contract = _contract_of(cls)
    fields = _parameters(cls)
    reserved = {"kind", *contract.base.model_fields, *dir(contract.base)}
    if taken := sorted(fields.keys() & reserved):
        raise NlabError(f"the parameter {taken[0]!r} is one of every {contract.family}'s; choose another name")
    kind = cls.kind  # type: ignore[attr-defined]
    method: Any = _create_model(
        cls.__name__,
        __base__=contract.base,
        __module__=cls.__module__,
        __doc__=inspect.getdoc(cls) or f"The class {cls.__name__} of a plug-in.",
        kind=(Literal[kind], kind),
        **fields,
    )
    method.wraps, method.passed = cls, tuple(fields)
    method.__qualname__ = cls.__qualname__  # its source, by which stages are named, is that of the plain class
    if "__firstlineno__" in vars(cls):
        method.__firstlineno__ = vars(cls)["__firstlineno__"]
    for name in DECLARED:
        if hasattr(cls, name):
            setattr(method, name, getattr(cls, name))
    if hasattr(cls, "control"):
        method.control = _control(cls.control)
    if contract.family == "augmenter":
        method.learns = hasattr(cls, "fit")
    COMPONENTS[cls] = method
    component: type[Component] = method
    return component


def _control(given: object) -> Control:
    """The control that a class states by the name of a world. Raises NlabError where there is no such world."""
    if isinstance(given, Control):
        return given
    if given not in list(WORLDS):
        raise NlabError(f"states the control {given!r}, wanted the name of a synthetic world: {nearest(given, WORLDS)}")
    return Control(str(given), "the plug-in says so")


def _contract_of(cls: type) -> ArrayContract:
    """The one contract whose methods a class has. Raises NlabError where there is none, or where arguments differ."""
    having = [contract for contract in CONTRACTS if all(callable(getattr(cls, name, None)) for name in contract.required)]
    if len(having) != 1:
        wanted = "; ".join(f"{contract.text} ({contract.family})" for contract in CONTRACTS)
        raise NlabError(f"has the methods of {len(having)} families, wanted those of one: {wanted}")
    for name, arguments in {**having[0].required, **having[0].optional}.items():
        if not hasattr(cls, name):
            continue
        try:
            inspect.signature(getattr(cls, name)).bind(None, *arguments)
        except TypeError as error:
            wanted = ", ".join(("self", *arguments))
            raise NlabError(f"{name} of a {having[0].family} is called as {name}({wanted}): {error}") from error
    return having[0]


def _parameters(cls: type) -> dict[str, Any]:
    """pydantic's fields for the constructor's parameters: type and default. Raises NlabError for one without a default."""
    constructor = inspect.getattr_static(cls, "__init__")
    if constructor is object.__init__:
        return {}
    hints = get_type_hints(constructor, include_extras=True)
    fields: dict[str, Any] = {}
    for name, parameter in list(inspect.signature(constructor).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise NlabError(f"its constructor takes *{name}; name every parameter, so that a config can")
        if parameter.default is parameter.empty:
            raise NlabError(f"the parameter {name!r} has no default; give it one that somebody would use")
        if name.strip("_") != name:
            raise NlabError(f"the parameter {name!r} begins or ends with _; choose another name")
        guess = Any if parameter.default is None else type(parameter.default)
        fields[name] = (hints.get(name, guess), parameter.default)
    return fields
