"""pydantic's complaints about a config as sentences: path, what came, what was wanted, the nearest known name."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.component import Component
from numerai_lab.core.errors import nearest
from numerai_lab.data import SOURCES
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS

FAMILIES: dict[str, Mapping[str, type[Component]]] = {
    "sources": SOURCES,
    "generators": GENERATORS,
    "augmenters": AUGMENTERS,
    "models": MODELS,
}
KINDS = {name: cls for family in FAMILIES.values() for name, cls in family.items()}
TAGS = {*KINDS, "override"}
"""What stands in pydantic's locations for the members of unions."""


def sentence(detail: ErrorDetails, raw: Any, root: type[BaseModel], sections: Mapping[str, type[BaseModel]]) -> str:
    """One pydantic error as: path: what came, what was wanted and the nearest known name."""
    path, known = _walk(detail["loc"], raw, root, sections)
    kind, came = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return f"{path}: unknown key, {nearest(detail['loc'][-1], known)}"
    if kind == "missing":
        return f"{path}: missing"
    key = "source" if path == "data" else "kind"
    family = {"data": "sources", "model": "models"}.get(path, path.split(".")[0])
    if kind == "union_tag_not_found":
        if not isinstance(came, Mapping):
            return f"{path}: got {came!r}, wanted a mapping with the key {key}"
        return f"{path}.{key}: missing, known: {', '.join(FAMILIES[family])}"
    if kind == "union_tag_invalid":
        tag = detail["ctx"]["tag"]
        return f"{path}.{key}: unknown {tag!r}, {nearest(tag, FAMILIES[family])}; `nlab list {family}` lists all"
    if kind == "string_pattern_mismatch":
        return f"{path}: got {came!r}, wanted letters, digits and _ . + - after the first"
    wanted = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    said = "" if kind == "value_error" else f"got {came!r}, wanted "
    if kind == "literal_error" and isinstance(came, str):
        options = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
        wanted += f"; {nearest(came, options)}" if nearest(came, options).startswith("did") else ""
    return f"{path}: {said}{wanted}"


def _walk(
    loc: Sequence[int | str], raw: Any, root: type[BaseModel], sections: Mapping[str, type[BaseModel]]
) -> tuple[str, list[str]]:
    """The path of an error in the user's file, and the keys known there.

    pydantic's locations also hold the tags of unions, which are no keys of the file: they only name the model.
    """
    model = root
    path, node = "", raw
    for i, key in enumerate(loc):
        inside = isinstance(node, Mapping) or (isinstance(node, list) and isinstance(key, int))
        if i < len(loc) - 1:
            model = sections.get(str(key)) or KINDS.get(str(key)) or model
        if not inside or (key in TAGS and isinstance(node, Mapping) and key not in node):
            continue
        path += f"[{key}]" if isinstance(key, int) else f".{key}" if path else str(key)
        node = node.get(key) if isinstance(node, Mapping) else node[int(key)]
    return path, list(model.model_fields)
