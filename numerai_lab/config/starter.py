"""A starter config, and the JSON schema of configs for editors, both read from the registries."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.config.kinds import family, says
from numerai_lab.config.messages import FAMILIES, KINDS
from numerai_lab.config.other_names import unknown_method
from numerai_lab.config.schema import Config
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.split_config import SplitsConfig
from numerai_lab.data import SOURCES
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.models import MODELS
from numerai_lab.target_transforms import TARGET_TRANSFORMS

WIDTH = 118
SCHEMA_LINE = "# yaml-language-server: $schema=schema.json"
"""The first line of a config beside whose folder's files `schema.json` lies, by which editors find it."""
PLACEHOLDER = "FILL_IN"


def starter(names: Sequence[str]) -> str:
    """A config of these generators, augmenters, model and source, every parameter with its default and description.

    Target transforms get a variant each. Raises NlabError for an unknown name, for several models or sources, and for target
    transforms beside generators or augmenters.
    """
    for name in names:
        if name not in KINDS:
            raise NlabError(f"new: {unknown_method(name, FAMILIES)}")
    sources, models = ([name for name in names if name in registry] for registry in (SOURCES, MODELS))
    if len(sources) > 1 or len(models) > 1:
        raise NlabError(f"new: a config has one source and one model; got {', '.join((*sources, *models))}")
    methods = {
        key: [name for name in names if name in registry]
        for key, registry in (("generators", GENERATORS), ("augmenters", AUGMENTERS))
    }
    transforms = [name for name in names if name in TARGET_TRANSFORMS]
    if transforms and any(methods.values()):
        raise NlabError(
            f"new: {transforms[0]} changes the target of a variant, and a config of generators and augmenters is printed without "
            "variants; print two configs, and write the variant of one into the other"
        )
    title = "_".join([*methods["generators"], *methods["augmenters"]] or names) or "experiment"
    lines = [f"# Made by `nlab new {' '.join(names)}`; every value is the default.", f"name: {title}", "seeds: [0]"]
    lines += ["data:", *_slice(SOURCES[(sources or ["synthetic"])[0]], "source", 1)]
    lines += ["splits:", *_parameters(SplitsConfig, list(SplitsConfig.model_fields), 1)]
    for key, kinds in methods.items():
        lines += [f"{key}:"] * bool(kinds)
        for kind in kinds:
            about = _first_line(family(KINDS[kind]))
            lines += [*_comment(about, 1), f"  {kind}:", *_slice(KINDS[kind], "kind", 2)]
    lines += ["model:", *_slice(MODELS[(models or ["xgboost"])[0]], "kind", 1)]
    if transforms:
        return "\n".join([*lines, *_variants(transforms), ""])
    variants = "variants: left out here: baseline, each method with and without raw features, and its placebo"
    return "\n".join([*lines, *_comment(f"{variants}; `nlab run --dry-run` writes them out.", 0), ""])


def schema() -> dict[str, Any]:
    """The JSON schema of a config.

    Keys that choose a class are required: `kind`, `source`, and `mode` or `method` where it is not the default.
    """
    document = Config.model_json_schema()
    for registered in KINDS.values():
        for cls in registered.algorithms().values() or [registered]:
            part = document["$defs"][cls.__name__]
            key = "source" if "source" in part["properties"] else "kind"
            keys = [key] if cls is registered else [key, cls.chosen_by]
            part["required"] = [*keys, *(name for name in part.get("required", []) if name not in keys)]
            for name, values in part["properties"].items():
                if cls is registered and "description" in values:
                    values["description"] = says(cls, name)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}


def _variants(transforms: Sequence[str]) -> Iterator[str]:
    """Lines of a baseline, and of a variant for each target transform."""
    yield from ("variants:", "  baseline:", "    features: [raw]")
    for kind in transforms:
        yield from _comment(_first_line(KINDS[kind]), 1)
        yield from (f"  {kind}:", "    features: [raw]", "    target_transform:", *_slice(KINDS[kind], "kind", 3))


def _slice(cls: type[Component], key: str, depth: int) -> list[str]:
    """Lines of a component's own parameters, then of those that its whole family has."""
    base = next((base for base in (Generator, Augmenter) if issubclass(cls, base)), None)
    shared = set(base.model_fields) if base else set()
    names = [name for name in cls.model_fields if name != key]
    ordered = sorted(names, key=lambda name: (name in shared) - (name == cls.chosen_by))
    return [f"{'  ' * depth}{key}: {cls.model_fields[key].default}", *_parameters(cls, ordered, depth)]


def _parameters(cls: type[BaseModel], names: Sequence[str], depth: int) -> Iterator[str]:
    for name in names:
        field = cls.model_fields[name]
        line = f"{'  ' * depth}{name}: {_value(field)}"
        comment = ("required: " if field.is_required() else "") + says(cls, name)
        if len(line) + len(comment) + 4 <= WIDTH:
            yield f"{line}  # {comment}" if comment else line
        else:
            yield from _comment(comment, depth)
            yield line


def _value(field: FieldInfo) -> str:
    """The default as YAML on one line."""
    if field.is_required():
        return PLACEHOLDER
    default = field.get_default(call_default_factory=True)
    plain = default.model_dump() if isinstance(default, BaseModel) else default
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()


def _comment(text: str, depth: int) -> list[str]:
    indent = f"{'  ' * depth}# "
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _first_line(cls: type[Component]) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]
