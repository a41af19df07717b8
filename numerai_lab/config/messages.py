"""Turns pydantic errors about a config into sentences: path, value, what is valid, the nearest known name."""

import re
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.kinds import algorithms_of, members, named, owners
from numerai_lab.config.other_names import help_with
from numerai_lab.core.component import Component
from numerai_lab.core.errors import nearest
from numerai_lab.core.formatting import brief
from numerai_lab.data import SOURCES
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS, Model
from numerai_lab.target_transforms import TARGET_TRANSFORMS

FAMILIES: dict[str, Mapping[str, type[Component]]] = {
    "sources": SOURCES,
    "generators": GENERATORS,
    "augmenters": AUGMENTERS,
    "models": MODELS,
    "target_transforms": TARGET_TRANSFORMS,
}
KINDS: Mapping[str, type[Component]] = ChainMap(*reversed(FAMILIES.values()))  # type: ignore[arg-type]
"""Every kind, of plug-ins too, once they are loaded."""
LENGTH = re.compile(r"^\w+ should have ((?:at least|at most) \d+ \w+).*")
"""What pydantic says of a list or text that is too short or too long."""


def _members() -> dict[str, type[Component]]:
    """Every class by the name that pydantic's locations have for it as a member of a union."""
    return {name: cls for family in FAMILIES.values() for name, cls in members(family).items()}


def sentence(detail: ErrorDetails, raw: Any, root: type[BaseModel], sections: Mapping[str, type[BaseModel]]) -> str:
    """A pydantic error as one sentence: the path, the value, what is valid there, and the nearest known name."""
    path, model = _walk(detail["loc"], raw, root, sections)
    kind, came = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{path}: {_why_unknown(str(detail['loc'][-1]), model)}"
    if kind == "missing":
        return f"{path}: missing"
    key = "source" if path == "data" else "kind"
    families = {"data": "sources", "model": "models", "target_transform": "target_transforms"}
    family = families.get(path.rpartition(".")[2], re.split(r"[.[]", path)[0])
    if kind == "union_tag_not_found":
        if not isinstance(came, Mapping):
            return f"{path}: got {brief(came)}, wanted a mapping with the key {key}"
        return f"{path}.{key}: missing, known: {', '.join(FAMILIES[family])}"
    if kind == "union_tag_invalid":
        tag = detail["ctx"]["tag"]
        registered = KINDS.get(tag.split(" ")[0])
        if registered is not None and registered.algorithms():
            return _unknown_algorithm(path, registered, came[registered.chosen_by])
        near = help_with(tag, FAMILIES[family])
        own = "" if near.startswith(("did", "here")) or family == "target_transforms" else "; --plugin FILE adds one of your own"
        return f"{path}.{key}: unknown {brief(tag)}, {near}; `nlab list {family}` lists all{own}"
    if kind == "string_pattern_mismatch":
        return f"{path}: got {brief(came)}, wanted letters, digits and _ . + - after the first"
    expected = LENGTH.sub(r"\1", detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    prefix = "" if kind == "value_error" else f"got {brief(came)}, wanted "
    if kind == "literal_error" and isinstance(came, str):
        options = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        expected += f"; {nearest(came, options)}" if nearest(came, options).startswith("did") else ""
        expected += _elsewhere(path.rpartition(".")[2], came, model)
    return f"{path}: {prefix}{expected}"


def _why_unknown(key: str, model: type[BaseModel]) -> str:
    """The reason why a model does not have a key, and what to do."""
    removed = model.removed if issubclass(model, Component) else {}
    if key in removed:
        return f"this parameter was removed, its value is always {removed[key]!r}; leave it out"
    registered = _registered(model)
    if registered is not None and (having := owners(registered, key)):
        chosen = registered.chosen_by
        own = model.model_fields[chosen].default
        whose = " or ".join(having) if len(having) < 4 else named(registered, having)
        return f"a parameter of {chosen}: {whose}, and this is {chosen}: {own}; leave it out"
    if key == "workers" and issubclass(model, Model):
        own = model.model_fields["kind"].default
        return f"{own} trains in one process; take kind: xgboost for training in several, or leave it out"
    return f"unknown key, {nearest(key, model.model_fields)}"


def _registered(model: type[BaseModel]) -> type[Component] | None:
    """The registered class of a component whose kind is several classes; None for other models."""
    several = issubclass(model, Component) and model.chosen_by
    return KINDS[model.model_fields["kind"].default] if several else None


def _elsewhere(name: str, value: str, model: type[BaseModel]) -> str:
    """The algorithms of the component's kind that accept this value of a parameter, as the end of a sentence."""
    registered = _registered(model)
    if registered is None:
        return ""
    fields = {of: other.model_fields.get(name) for of, other in algorithms_of(registered).items()}
    knowing = [of for of, field in fields.items() if field is not None and value in get_args(field.annotation)]
    return f"; {value!r} is of {registered.chosen_by}: {' or '.join(knowing)}" if knowing else ""


def _unknown_algorithm(path: str, registered: type[Component], came: Any) -> str:
    known = list(registered.algorithms())
    close = nearest(came, known)
    near = f"; {close}" if close.startswith("did") else ""
    return f"{path}.{registered.chosen_by}: got {brief(came)}, wanted one of {', '.join(known)}{near}"


def _walk(
    loc: Sequence[int | str], raw: Any, root: type[BaseModel], sections: Mapping[str, type[BaseModel]]
) -> tuple[str, type[BaseModel]]:
    """The path of an error in the user's file, and the model that is wanted there.

    pydantic's locations also hold the tags of unions, which are no keys of the file and only name the model.
    """
    model, classes = root, _members()
    path, node = "", raw
    for i, key in enumerate(loc):
        inside = isinstance(node, Mapping) or (isinstance(node, list) and isinstance(key, int))
        if i < len(loc) - 1:
            model = sections.get(str(key)) or classes.get(str(key)) or model
        if not inside or (key in {*classes, "override"} and isinstance(node, Mapping) and key not in node):
            continue
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else str(key)
        node = node.get(key) if isinstance(node, Mapping) else node[int(key)]
    return path, model
