"""Loads configs from YAML files and `--set`; errors list every problem with its path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from numerai_lab.config.checks import cross_checks, scope_checks
from numerai_lab.config.default_variants import mapping, with_variants
from numerai_lab.config.kinds import class_for, without_foreign
from numerai_lab.config.messages import sentence
from numerai_lab.config.random_starts import with_random_starts
from numerai_lab.config.schema import KIND_KEYS, SECTIONS, Config
from numerai_lab.config.stand_ins import StandIn, ways_out
from numerai_lab.config.yaml_file import parse_yaml, read_yaml
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import printable
from numerai_lab.data import SOURCES, Source
from numerai_lab.data.files import Files
from numerai_lab.generators import GENERATORS

MOST_PROBLEMS = 100
"""That an error lists."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, list[str]]:
    """The config in a YAML file with `a.b=c` overrides, and remarks on keys that the overrides dropped.

    Raises NlabError with every problem, each with its path in the file.
    """
    raw = _checked_mapping(read_yaml(path), str(path))
    remarks = [remark for override in overrides for remark in _override(raw, override)]
    return parse_config(raw, str(path)), remarks


def load_recorded(path: Path) -> Config:
    """The config that a run wrote into its folder.

    An older run may have written parameters of algorithms that it did not use, such as `steps` of a
    `umap` with `mode: exact`. They are left out. Stand-ins take the place of methods whose plug-in is not loaded. Raises
    NlabError as `load_config` does.
    """
    return _recorded(read_yaml(path), str(path), ways_out(path.parent))


def load_resumed(path: Path, asked: str = "") -> Config:
    """The config of a run that is to go on. asked: the text of the one that it was asked for; "" takes what stands in the file.

    Raises NlabError as `load_config` does, and for a plug-in that is not loaded.
    """
    config = _recorded(parse_yaml(asked, str(path)), str(path), ways_out(path.parent)) if asked else load_recorded(path)
    models = (config.model_of(name) for name in config.trained)
    for component in (config.data, *config.generators.values(), *config.augmenters.values(), *models):
        if isinstance(component, StandIn):
            component.refuse()
    return config


def parse_recorded(text: str, where: str) -> Config:
    """The config in a recorded YAML text. Raises NlabError as `load_config` does."""
    return _recorded(parse_yaml(text, where), where)


def _recorded(raw: Any, where: str, missing: Mapping[str, Mapping[str, str]] | None = None) -> Config:
    generators = mapping(raw, "generators") if isinstance(raw, dict) else {}
    if generators:
        raw = {**raw, "generators": {name: _own(values) for name, values in generators.items()}}
    return parse_config(_checked_mapping(raw, where), where, missing)


def load_data(path: Path | None, overrides: Sequence[str], default: str = "synthetic") -> Source:
    """The data of a config, or of `overrides` on a default source. Raises NlabError as `load_config` does."""
    return load_part(path, overrides, ("data",), default).data


def load_part(path: Path | None, overrides: Sequence[str], keys: Sequence[str], default: str = "synthetic") -> Config:
    """A config from these keys of a file, or from `overrides` on a default source; ignores all other keys.

    Raises NlabError as `load_config` does.
    """
    raw = read_yaml(path) if path else {"data": {"source": default}}
    raw = {key: raw[key] for key in keys if key in raw} if isinstance(raw, dict) else {}
    for override in overrides:
        _override(raw, override)
    reference = mapping(raw, "scoring").get("reference") or "baseline"  # the variants of the file are not loaded
    return parse_config({"name": "part", "model": {"kind": "ridge"}, "variants": {reference: {}}, **raw}, str(path or "--set"))


def load_on_file(source: Config | Path | Mapping[str, Any], path: Path) -> Config:
    """A config with one file as its data: `files` takes the place of its source.

    Of its own `data` those keys stay that say how a file is read: target, columns of ids and eras, feature set and the like.
    Raises NlabError as `load_config` does, and for a `data` that is no mapping.
    """
    if isinstance(source, Config):
        raw: dict[str, Any] = {**source.resolved(), "data": source.data.model_dump(exclude_unset=True)}
    else:
        raw = {**source} if isinstance(source, Mapping) else _checked_mapping(read_yaml(source), str(source))
    where = str(source) if isinstance(source, Path) else "config"
    own = raw.get("data") or {}
    if not isinstance(own, Mapping):
        raise NlabError(f"{where}: data is {own!r}, wanted a mapping")
    kind = own.get("source")
    registered = SOURCES.get(kind) if isinstance(kind, str) else None
    foreign = registered.model_fields.keys() - Files.model_fields.keys() if registered else set()
    reading = {key: value for key, value in own.items() if key not in foreign}
    return parse_config({**raw, "data": {**reading, "source": "files", "path": str(path)}}, where)


def parse_config(raw: dict[str, Any], where: str, missing: Mapping[str, Mapping[str, str]] | None = None) -> Config:
    """A config from plain values. Raises NlabError with every problem.

    missing: family → kind → a sentence, for kinds of plug-ins that are not loaded: stand-ins take their place.
    """
    if not raw.get("variants"):
        if mapping(raw, "model").get("start_from") is not None:
            raise NlabError(
                f"{where}: model.start_from: without variants, all of them would begin with this encoder, those of generated "
                "columns too; write variants, and start_from into the model of one: variants.NAME.model"
            )
        raw = with_variants(raw)
    problems: list[str] = []
    config = None
    try:
        config = Config.model_validate(raw, context=missing)
    except ValidationError as error:
        problems = [sentence(detail, raw, Config, SECTIONS) for detail in error.errors()]
    problems += cross_checks(raw) + (scope_checks(config) if config else [])
    if problems or config is None:
        count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        more = [f"  and {len(problems) - MOST_PROBLEMS} more"] if len(problems) > MOST_PROBLEMS else []
        listed = (f"  {printable(problem)}" for problem in problems[:MOST_PROBLEMS])
        raise NlabError("\n".join([f"{where}: {count}", *listed, *more]))
    return with_random_starts(config)


def _checked_mapping(raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise NlabError(f"{where}: a config is a mapping with keys such as name, data and model; got {type(raw).__name__}")
    return raw


def _own(values: Any) -> Any:
    """The parameters of a generator without those of other algorithms; anything else as it is."""
    kind = values.get("kind") if isinstance(values, Mapping) else None
    registered = GENERATORS.get(kind) if isinstance(kind, str) else None
    return values if registered is None else without_foreign(registered, values)


def _override(raw: dict[str, Any], text: str) -> list[str]:
    """Sets `a.b=c` in place (c is YAML). A new `source`, `kind` or `mode` drops the file's keys that do not apply to it."""
    path, equals, value = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise NlabError(f"--set {text!r}: wanted key=value with dots between keys, such as data.size=tiny")
    at = raw
    for depth, key in enumerate(keys[:-1], start=1):
        at = at.setdefault(key, {})
        if not isinstance(at, dict):
            raise NlabError(f"--set {text!r}: {'.'.join(keys[:depth])} is {at!r}, not a mapping")
    last, parsed = keys[-1], parse_yaml(value, f"--set {text!r}")
    changed = at.get(last) != parsed
    at[last] = parsed
    chosen = _chosen_class(at, last) if changed else None
    if chosen is None:
        return []
    foreign = [key for key in at if key not in chosen.model_fields]
    for key in foreign:
        del at[key]
    return [f"{'.'.join([*keys[:-1], key])}: left out, {last} {parsed} has no such parameter" for key in foreign]


def _chosen_class(values: Mapping[str, Any], key: str) -> type[Component] | None:
    """The class that parameters choose, where `key` chooses a class: `source`, `kind`, `mode` …"""
    names = KIND_KEYS.get(key) or KIND_KEYS["kind"]
    name = values.get(key if key in KIND_KEYS else "kind")
    registered = names.get(name) if isinstance(name, str) else None
    if registered is None or key not in (*KIND_KEYS, registered.chosen_by):
        return None
    return class_for(registered, values)
