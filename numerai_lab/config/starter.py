"""A config to begin with, and the schema that editors complete it by: both read off the registries."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.config.messages import KINDS
from numerai_lab.config.schema import Config
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.splits import SplitsConfig
from numerai_lab.data import SOURCES
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.models import MODELS

WIDTH = 118
SCHEMA_LINE = "# yaml-language-server: $schema=schema.json"
"""The first line of a config: where editors find what `nlab schema` prints."""
PLACEHOLDER = "FILL_IN"


def starter(names: Sequence[str]) -> str:
    """A config of these generators, augmenters, a model and a source, every parameter with its default and what it does."""
    for name in names:
        if name not in KINDS:
            raise NlabError(f"new: nothing is called {name!r}; {nearest(name, KINDS)}")
    sources, models = ([name for name in names if name in family] for family in (SOURCES, MODELS))
    if len(sources) > 1 or len(models) > 1:
        raise NlabError(f"new: a config has one source and one model; got {', '.join((*sources, *models))}")
    methods = {
        key: [name for name in names if name in family]
        for key, family in (("generators", GENERATORS), ("augmenters", AUGMENTERS))
    }
    title = "_".join([*methods["generators"], *methods["augmenters"]] or names) or "experiment"
    lines = [SCHEMA_LINE, f"# Made by `nlab new {' '.join(names)}`; every value is the default.", f"name: {title}", "seeds: [0]"]
    lines += ["data:", *_slice(SOURCES[(sources or ["synthetic"])[0]], "source", 1)]
    lines += ["splits:", *_parameters(SplitsConfig, list(SplitsConfig.model_fields), 1)]
    for key, kinds in methods.items():
        lines += [f"{key}:"] * bool(kinds)
        for kind in kinds:
            lines += [*_comment(_first_line(KINDS[kind]), 1), f"  {kind}:", *_slice(KINDS[kind], "kind", 2)]
    lines += ["model:", *_slice(MODELS[(models or ["xgboost"])[0]], "kind", 1)]
    variants = "variants: left out here: baseline, each method with and without raw features, and its placebo"
    return "\n".join([*lines, *_comment(f"{variants}; `nlab run --dry-run` writes them out.", 0), ""])


def schema() -> dict[str, Any]:
    """The JSON schema of a config; what tells components apart (`kind`, `source`) has to be written."""
    found = Config.model_json_schema()
    for cls in KINDS.values():
        part = found["$defs"][cls.__name__]
        key = "source" if "source" in part["properties"] else "kind"
        part["required"] = [key, *(name for name in part.get("required", []) if name != key)]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _slice(cls: type[Component], key: str, depth: int) -> list[str]:
    """A component's own parameters, then those that its whole family has."""
    family = next((base for base in (Generator, Augmenter) if issubclass(cls, base)), None)
    shared = set(family.model_fields) if family else set()
    names = [name for name in cls.model_fields if name != key]
    ordered = sorted(names, key=lambda name: name in shared)
    return [f"{'  ' * depth}{key}: {cls.model_fields[key].default}", *_parameters(cls, ordered, depth)]


def _parameters(cls: type[BaseModel], names: Sequence[str], depth: int) -> Iterator[str]:
    for name in names:
        field = cls.model_fields[name]
        line, says = f"{'  ' * depth}{name}: {_value(field)}", _says(field)
        if len(line) + len(says) + 4 <= WIDTH:
            yield f"{line}  # {says}" if says else line
        else:
            yield from _comment(says, depth)
            yield line


def _value(field: FieldInfo) -> str:
    """The default as YAML on one line."""
    if field.is_required():
        return PLACEHOLDER
    default = field.get_default(call_default_factory=True)
    plain = default.model_dump() if isinstance(default, BaseModel) else default
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()


def _says(field: FieldInfo) -> str:
    return ("required: " if field.is_required() else "") + (field.description or "")


def _comment(text: str, depth: int) -> list[str]:
    indent = f"{'  ' * depth}# "
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _first_line(cls: type[Component]) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
