"""The YAML of a run as strict pydantic models: every problem of a config at once, each with its path."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, field_validator

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import CrossValidation
from numerai_lab.core.splits import Embargo, SplitsConfig
from numerai_lab.crosschecks import NAME, cross_checks
from numerai_lab.crossfit import unfit_augmenters
from numerai_lab.data import SOURCES, Source
from numerai_lab.defaults import RAW as RAW
from numerai_lab.defaults import mapping, with_variants
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.select import Select
from numerai_lab.models import MODELS, Model
from numerai_lab.sentences import sentence
from numerai_lab.yamlfile import parse_yaml, read_yaml

KIND_KEYS: dict[str, dict[str, type[Component]]] = {"source": {**SOURCES}, "kind": {**GENERATORS, **AUGMENTERS, **MODELS}}


def _one_of(registry: Mapping[str, type[Component]], key: str) -> Any:
    """The union of a registry's classes, told apart by `key`."""
    members = tuple(Annotated[cls, Tag(name)] for name, cls in registry.items())
    union: Any = members[0]
    for member in members[1:]:
        union = union | member

    def tag(value: Any) -> Any:
        return value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)

    return Annotated[union, Discriminator(tag)]


if TYPE_CHECKING:
    AnySource = Source
    AnyGenerator = Generator
    AnyAugmenter = Augmenter
    AnyModel = Model
else:
    AnySource, AnyModel = _one_of(SOURCES, "source"), _one_of(MODELS, "kind")
    AnyGenerator, AnyAugmenter = _one_of(GENERATORS, "kind"), _one_of(AUGMENTERS, "kind")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Neutralize(_Strict):
    """Takes out of a variant's predictions, era by era, what a feature set explains linearly."""

    features: str = Field(description="the feature set to neutralise against")
    proportion: float = Field(1.0, gt=0, le=1, description="how much of the linear fit is taken out")


class Variant(_Strict):
    """One way to put raw features, generators and augmenters together, or a mean of other variants.

    Lists are put into one order, whatever the config's is: `raw` first, then by name. Models read columns and rows in it.
    """

    features: list[str] | None = Field(None, min_length=1, description="`raw` and generators, by name; default [raw]")
    augment: list[str] = Field(default_factory=list, description="augmenters, by name")
    ensemble: list[str] | None = Field(None, min_length=2, description="variants whose per-era ranks are averaged")
    neutralize: Neutralize | None = Field(None, description="neutralise the predictions of this variant")
    after: list[str] = Field(
        default_factory=list,
        description="generators of the scheme `early`, by name: train on the eras they leave to models, without reading them",
    )

    @field_validator("features", "augment", "ensemble", "after")
    @classmethod
    def _in_canonical_order(cls, names: list[str] | None) -> list[str] | None:
        return None if names is None else sorted(names, key=lambda name: (name != RAW, name))

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the model reads: `raw` and generator names."""
        return tuple(self.features or [RAW])

    @property
    def reads(self) -> tuple[str, ...]:
        """Names that decide which training eras are left to the model."""
        return (*self.inputs, *self.after)


class Payout(_Strict):
    """What the tournament multiplies scores by."""

    corr: float = Field(description="multiplier of corr")
    mmc: float = Field(description="multiplier of mmc")


class ScoringConfig(_Strict):
    """What scores are computed against."""

    reference: str | None = Field(
        None, description="the variant that others are compared with; default `baseline`, else the first"
    )
    fnc_features: str | None = Field(None, description="feature set of FNC and exposures; default the one that models read")
    meta_model: str = Field("numerai_meta_model", description="column of the meta model among the data's extras")
    benchmark: str | None = Field(None, description="column of the benchmark model for BMC; default the first there is")
    payout: Payout | None = Field(
        None,
        description="multipliers of payout_proxy; default 3 and 15 for 60-day targets (Numerai's since 2026-08-28), "
        "else 0.75 and 2.25 (20-day targets in 2026 before that; 2024 and 2025 had 0.5 and 2: see payout_date)",
    )
    payout_date: str | None = Field(
        None, description="take the multipliers that held on this day, such as 2025-06-30; default the newest for the target"
    )
    smallest_effect: float = Field(
        0.002, gt=0, description="the smallest gain of mean corr worth acting on: below it a verdict says that there is none"
    )
    implausible_corr: float = Field(
        0.15, gt=0, description="a run warns of a leak where a mean corr is beyond it, either side of 0"
    )
    implausible_sharpe: float = Field(
        5.0, gt=0, description="a run warns of a leak where a sharpe is beyond it, either side of 0"
    )
    least_rows: int = Field(20, ge=2, description="eras with fewer rows that have a target and predictions are not scored")
    legacy: bool = Field(False, description="show the forum's set of scores first: rank_corr, compound drawdown, max exposure")

    @field_validator("payout_date", mode="before")
    @classmethod
    def _a_day(cls, value: Any) -> Any:
        """ISO text; YAML reads a day without quotes as a date."""
        try:
            return None if value is None else date.fromisoformat(str(value)).isoformat()
        except ValueError:
            raise ValueError(f"got {str(value)!r}, wanted a day such as 2025-06-30") from None


class Config(_Strict):
    """A run: data, splits, generators, augmenters, a model, and the variants to compare."""

    name: str = Field(pattern=f"^{NAME}$", max_length=80, description="the run folder's name ends with it")
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        default_factory=lambda: [0], min_length=1, description="every variant is trained once a seed; 0 to 4294967295"
    )
    data: AnySource
    splits: SplitsConfig = Field(default_factory=SplitsConfig, description="which eras train and validate")
    cv: CrossValidation | None = Field(
        None, description="cross-validation inside the training eras, scored apart from validation"
    )
    generators: dict[str, AnyGenerator] = Field(default_factory=dict, description="columns to learn, by name")
    augmenters: dict[str, AnyAugmenter] = Field(default_factory=dict, description="rows to make, by name")
    model: AnyModel
    variants: dict[str, Variant] = Field(
        default_factory=dict,
        description="default: baseline, each generator alone and with raw, each augmenter, placebos",
    )
    scoring: ScoringConfig = Field(default_factory=ScoringConfig, description="what scores are computed against")

    @property
    def reference(self) -> str:
        """The variant that others are compared with."""
        return self.scoring.reference or ("baseline" if "baseline" in self.variants else next(iter(self.variants)))

    @property
    def fnc_features(self) -> str:
        """The feature set of FNC and exposures."""
        return self.scoring.fnc_features or str(self.data.feature_set)

    @property
    def extra_sets(self) -> tuple[str, ...]:
        """Feature sets that scoring and neutralisation read beyond the models' own."""
        named = [self.fnc_features, *(v.neutralize.features for v in self.variants.values() if v.neutralize)]
        return tuple(name for name in dict.fromkeys(named) if name != self.data.feature_set)

    def resolved(self) -> dict[str, Any]:
        """Plain values with every default written out; loading them gives this config again."""
        dumped = self.model_dump()
        dumped["scoring"] |= {"reference": self.reference, "fnc_features": self.fnc_features}
        return dumped

    def to_yaml(self) -> str:
        """`resolved` as YAML."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True, width=120)


SECTIONS: dict[str, type[BaseModel]] = {
    "splits": SplitsConfig,
    "cv": CrossValidation,
    "embargo": Embargo,
    "scoring": ScoringConfig,
    "payout": Payout,
    "variants": Variant,
    "neutralize": Neutralize,
    "select": Select,
}
"""The models under keys that have no kind of their own."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, list[str]]:
    """The config in a YAML file with `a.b=c` overrides, and remarks on what the overrides left out.

    Raises NlabError with every problem, each with its path in the file.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise NlabError(f"{path}: a config is a mapping with keys such as name, data and model; got {type(raw).__name__}")
    remarks = [remark for override in overrides for remark in _override(raw, override)]
    return parse_config(raw, str(path)), remarks


def load_data(path: Path | None, overrides: Sequence[str], default: str = "synthetic") -> Source:
    """The data of a config, or of `overrides` alone on top of a default source."""
    return load_part(path, overrides, ("data",), default).data


def load_part(path: Path | None, overrides: Sequence[str], keys: Sequence[str], default: str = "synthetic") -> Config:
    """A config of these keys of a file, or of `overrides` alone on top of a default source; the rest is of no account."""
    raw = read_yaml(path) if path else {"data": {"source": default}}
    raw = {key: raw[key] for key in keys if key in raw} if isinstance(raw, dict) else {}
    for override in overrides:
        _override(raw, override)
    reference = mapping(raw, "scoring").get("reference") or "baseline"  # names a variant, and these are not known here
    return parse_config({"name": "part", "model": {"kind": "ridge"}, "variants": {reference: {}}, **raw}, str(path or "--set"))


def parse_config(raw: dict[str, Any], where: str) -> Config:
    """A config from plain values. Raises NlabError with every problem."""
    raw = raw if raw.get("variants") else with_variants(raw)
    problems: list[str] = []
    config = None
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        problems = [sentence(detail, raw, Config, SECTIONS) for detail in error.errors()]
    problems += cross_checks(raw) + (_scope_checks(config) if config else [])
    if problems or config is None:
        count = f"{len(problems)} problem{'s' * (len(problems) != 1)}"
        raise NlabError("\n".join([f"{where}: {count}", *(f"  {problem}" for problem in problems)]))
    return config


def _override(raw: dict[str, Any], text: str) -> list[str]:
    """Sets `a.b=c` in place (c is YAML). A new `source` or `kind` drops the file's keys that it has no use for."""
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
    if not changed or last not in KIND_KEYS or parsed not in KIND_KEYS[last]:
        return []
    fields = KIND_KEYS[last][parsed].model_fields
    foreign = [key for key in at if key not in fields]
    for key in foreign:
        del at[key]
    return [f"{'.'.join([*keys[:-1], key])}: left out, {last} {parsed} has no such parameter" for key in foreign]


def _scope_checks(config: Config) -> list[str]:
    """What generators that use labels ask of the variants around them."""
    problems = []
    for name, variant in config.variants.items():
        used = [config.generators[g] for g in variant.inputs if g in config.generators]
        chosen = {a: config.augmenters[a] for a in variant.augment if a in config.augmenters}
        problems += _same_twice(config, name, variant)
        problems += [
            f"variants.{name}.augment: rows of {other!r} come from several eras, and no fit of a cross-fit generator may speak "
            "for them; give that generator scheme: early"
            for other in unfit_augmenters(used, chosen)
        ]
        problems += [
            f"variants.{name}.after: {g!r} takes no training eras from models; only generators of the scheme early do"
            for g in variant.after
            if g in config.generators and config.generators[g].fit_scope.kind != "early"
        ]
    return problems


def _same_twice(config: Config, name: str, variant: Variant) -> list[str]:
    """Two entries of equal kind and parameters are one component: its columns or rows would stand twice."""
    generators = [(g, config.generators[g].seed_key) for g in variant.inputs if _is_own(config.generators.get(g))]
    augmenters = [(a, config.augmenters[a].seed_key) for a in variant.augment if a in config.augmenters]
    columns = "the same columns would stand twice; leave one out"
    rows = "(copies, ratio, weight aside); the same rows would be made twice; leave one out, or raise copies of the other"
    return [
        f"variants.{name}.{key}: {a!r} and {b!r} have the same kind and parameters{message}"
        for key, message, named in (("features", f"; {columns}", generators), ("augment", f" {rows}", augmenters))
        for (a, of_a), (b, of_b) in itertools.combinations(named, 2)
        if of_a == of_b
    ]


def _is_own(generator: Generator | None) -> bool:
    """Not a placebo whose number of columns another generator decides."""
    return generator is not None and not generator.model_dump().get("like")
