"""Kinds that are several classes: umap by its `mode`, contrastive by its `method`.

`registered` is the class under the kind's name in a registry.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from numerai_lab.core.component import Component

C = TypeVar("C", bound=Component)


def members(registry: Mapping[str, type[Component]]) -> dict[str, type[Component]]:
    """Every class of a registry by its kind, or by `kind value` where a kind is several classes."""
    return {
        f"{kind} {value}".strip(): member
        for kind, registered in registry.items()
        for value, member in (registered.algorithms() or {"": registered}).items()
    }


def member_name(registry: Mapping[str, type[Component]], key: str, value: Any) -> Any:
    """The name in `members` of a component or of its parameters; key: `kind` or `source`."""
    if not isinstance(value, Mapping):
        value = {key: getattr(value, key, None), **_choice(value)}
    kind = value.get(key)
    registered = registry.get(kind) if isinstance(kind, str) else None
    if registered is None or not registered.algorithms():
        return kind
    return f"{kind} {value.get(registered.chosen_by, next(iter(registered.algorithms())))}"


def class_for(registered: type[C], values: Mapping[str, Any]) -> type[C] | None:
    """The class that parameters choose; None where they name an unknown algorithm."""
    classes = registered.algorithms()
    if not classes:
        return registered
    chosen = classes.get(str(values.get(registered.chosen_by, next(iter(classes)))))
    return cast("type[C] | None", chosen)


def component_of(registered: type[C], values: Mapping[str, Any]) -> C:
    """The component with these parameters. Raises pydantic's ValidationError where they are invalid."""
    chosen = class_for(registered, values) or registered
    return chosen.model_validate(without_idle(registered, values))


def without_idle(registered: type[Component], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without idle ones: those of other algorithms, and removed ones, at their defaults.

    The config.yaml of an older run has such parameters. With other values they stay, and
    validation refuses them.
    """
    chosen = class_for(registered, values)
    if chosen is None:
        return dict(values)
    idle: dict[str, list[Any]] = {name: [value] for name, value in chosen.removed.items()}
    for other in registered.algorithms().values():
        for name, field in other.model_fields.items():
            idle.setdefault(name, []).append(field.get_default(call_default_factory=True))
    return {name: value for name, value in values.items() if name in chosen.model_fields or value not in idle.get(name, [])}


def without_foreign(registered: type[Component], values: Mapping[str, Any]) -> dict[str, Any]:
    """Drops the parameters that belong only to other algorithms of the kind, whatever their values."""
    chosen = class_for(registered, values)
    if chosen is None:
        return dict(values)
    parameters = {name for other in registered.algorithms().values() for name in other.model_fields}
    return {name: value for name, value in values.items() if name in chosen.model_fields or name not in parameters}


def family(registered: type[Component]) -> type[Component]:
    """The class whose docstring describes the kind: its only class, or the common base."""
    if not registered.algorithms():
        return registered
    return next(base for base in registered.__mro__ if vars(base).get("chosen_by"))


def algorithms_of(registered: type[Component]) -> dict[str, type[Component]]:
    """The algorithms of a kind that is several classes.

    A choice among them, such as `mode: auto`, is left out: the registered class where it has the
    parameters of all others.
    """
    every = {name for member in registered.algorithms().values() for name in member.model_fields}
    return {
        value: member
        for value, member in registered.algorithms().items()
        if member is not registered or {*member.model_fields} != every
    }


def owners(registered: type[Component], name: str) -> list[str]:
    """The algorithms that have a parameter; empty where all have it or the kind is one class."""
    classes = algorithms_of(registered)
    having = [value for value, member in classes.items() if name in member.model_fields]
    return [] if len(having) == len(classes) else having


def says(cls: type[BaseModel], name: str) -> str:
    """The description of a parameter, with the algorithms that have it where not all do."""
    description = cls.model_fields[name].description or ""
    if not issubclass(cls, Component) or not cls.algorithms():
        return description
    if name == cls.chosen_by:
        alternatives = [value for value, member in cls.algorithms().items() if member is not cls]
        return f"{description}; others: {', '.join(alternatives)}"
    having = named(cls, owners(cls, name))
    return f"{having}: {description}" if having else description


def named(registered: type[Component], algorithms: Sequence[str]) -> str:
    """Algorithms of a kind as text: `scarf, era` or `all but lfr`; empty for all and for none."""
    lacking = [value for value in algorithms_of(registered) if value not in algorithms]
    if not lacking:
        return ""
    fewer = 0 < len(lacking) < len(algorithms) - 1
    return f"all but {', '.join(lacking)}" if fewer else ", ".join(algorithms)


def _choice(component: Any) -> dict[str, Any]:
    name = getattr(component, "chosen_by", "")
    return {name: getattr(component, name)} if name else {}
