"""Pydantic models of the YAML config of a run; unknown keys are errors."""

from collections import ChainMap
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from numerai_lab.augmenters import AUGMENTERS, Augmenter
from numerai_lab.config.default_variants import RAW
from numerai_lab.config.one_of import OneOf
from numerai_lab.core.component import Component
from numerai_lab.core.folds import CrossValidation
from numerai_lab.core.split_config import Embargo, SplitsConfig
from numerai_lab.core.walk_forward import Retrain
from numerai_lab.data import SOURCES, Source
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.select import Select
from numerai_lab.models import MODELS, Model
from numerai_lab.models.era_boost import EraBoost
from numerai_lab.target_transforms import TARGET_TRANSFORMS, TargetTransform

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"

KIND_KEYS: Mapping[str, Mapping[str, type[Component]]] = {
    "source": SOURCES,
    "kind": ChainMap(TARGET_TRANSFORMS, MODELS, AUGMENTERS, GENERATORS),  # type: ignore[arg-type]
}

AnySource = Annotated[Source, OneOf(SOURCES, "sources", "source")]
AnyGenerator = Annotated[Generator, OneOf(GENERATORS, "generators")]
AnyAugmenter = Annotated[Augmenter, OneOf(AUGMENTERS, "augmenters")]
AnyModel = Annotated[Model, OneOf(MODELS, "models")]
AnyTargetTransform = Annotated[TargetTransform, OneOf(TARGET_TRANSFORMS, "target_transforms")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Neutralize(_Strict):
    """Takes out of a variant's predictions, era by era, what a feature set explains linearly."""

    features: str = Field(description="the feature set to neutralise against")
    proportion: float = Field(1.0, gt=0, le=1, description="how much of the linear fit is taken out")


class Variant(_Strict):
    """Raw features, generators and augmenters that a model is trained with, or a mean of other variants.

    Lists are sorted, whatever their order in the config: `raw` first, then by name. Models read columns and rows in it.
    """

    features: list[str] | None = Field(
        None, min_length=1, description="`raw`, generators, and `oracle` of data with it, by name; default [raw]"
    )
    augment: list[str] = Field(default_factory=list, description="augmenters, by name; several that weigh rows multiply")
    model: AnyModel | None = Field(None, description="a model of this variant's own; default that of the run")
    ensemble: list[str] | None = Field(None, min_length=2, description="variants whose per-era ranks are averaged")
    neutralize: Neutralize | None = Field(None, description="neutralise the predictions of this variant")
    after: list[str] = Field(
        default_factory=list,
        description="generators of the scheme `early`, by name: train on the eras they leave to models, without reading them",
    )

    targets: list[str] | None = Field(
        None,
        min_length=1,
        description="what models learn: the run's target and `data.auxiliary_targets`, by name; one model each, or one for all "
        "with `multi_strategy: multi_output_tree`; per-era ranks are averaged; default the run's target, which alone is scored",
    )
    target_transform: AnyTargetTransform | None = Field(
        None, description="changes the target that models learn, within each training era; scores stay against the run's target"
    )

    refit: Literal["all"] | None = Field(
        None,
        description="all: before going live, `nlab live` trains the variant again on all resolved eras, validation included. "
        "That model is never scored",
    )

    @field_validator("features", "augment", "ensemble", "after", "targets")
    @classmethod
    def _in_canonical_order(cls, names: list[str] | None) -> list[str] | None:
        return None if names is None else sorted(names, key=lambda name: (name != RAW, name))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The inputs of the model: `raw` and names of generators."""
        return tuple(self.features or [RAW])

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the generators that decide which training eras are left to the model."""
        return (*self.inputs, *self.after)


class Payout(_Strict):
    """Weights of the scores in the tournament's payout."""

    corr: float = Field(description="multiplier of corr")
    mmc: float = Field(description="multiplier of mmc")


class ScoringConfig(_Strict):
    """Settings of scoring: the reference, other models, payout, and thresholds of warnings and verdicts."""

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
        """ISO text of a date; YAML reads a date without quotes as one."""
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
    retrain: Retrain | None = Field(
        None, description="walk-forward validation: fit again as validation moves on, scored apart from the one fit"
    )
    generators: dict[str, AnyGenerator] = Field(default_factory=dict, description="columns to learn, by name")
    augmenters: dict[str, AnyAugmenter] = Field(default_factory=dict, description="rows to make, or weights of rows, by name")
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

    def model_of(self, variant: str) -> Model:
        """The model of a variant: its own, or that of the run."""
        return self.variants[variant].model or self.model

    def generators_of(self, variant: str) -> tuple[str, ...]:
        """Names of the generators whose fits a variant needs: for their columns, or for the encoder its network begins with."""
        names = (*self.variants[variant].inputs, self.model_of(variant).encoder_of)
        return tuple(name for name in dict.fromkeys(names) if name in self.generators)

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the variants that have a model: all but ensembles."""
        return tuple(name for name, variant in self.variants.items() if variant.ensemble is None)

    @property
    def fnc_features(self) -> str:
        """The feature set of FNC and exposures."""
        return self.scoring.fnc_features or str(self.data.feature_set)

    def targets_of(self, name: str) -> tuple[str, ...]:
        """The targets that the models of a variant learn."""
        return tuple(self.variants[name].targets or (self.data.target,))

    def targets_by_model(self, name: str) -> tuple[tuple[str, ...], ...]:
        """The targets of each model of a variant: one each, or all of them where the model learns them jointly."""
        targets = self.targets_of(name)
        return (targets,) if self.model_of(name).learns_jointly else tuple((target,) for target in targets)

    def number_of(self, name: str, targets: tuple[str, ...]) -> int | None:
        """The place of the model of these targets among those of a variant, from 1; None where it is the only one."""
        models = self.targets_by_model(name)
        return models.index(targets) + 1 if len(models) > 1 else None

    def learns_own_target(self, name: str) -> bool:
        """Whether the model of a variant learns the run's target as it is."""
        return self.targets_of(name) == (self.data.target,) and self.variants[name].target_transform is None

    @property
    def input_sets(self) -> tuple[str, ...]:
        """Feature sets beyond the models' own that some variant reads by name."""
        read = {name for variant in self.variants.values() for name in variant.inputs}
        return tuple(name for name in self.data.input_sets if name in read)

    @property
    def extra_sets(self) -> tuple[str, ...]:
        """Feature sets that scoring, neutralisation and variants read beyond those of the models."""
        neutralized = [v.neutralize.features for v in self.variants.values() if v.neutralize]
        learned = [name for v in self.variants.values() if v.target_transform for name in v.target_transform.feature_sets]
        named = [self.fnc_features, *neutralized, *learned, *self.input_sets]
        return tuple(name for name in dict.fromkeys(named) if name != self.data.feature_set)

    def resolved(self) -> dict[str, Any]:
        """Plain values with every default; loading them gives an equal config."""
        dumped = self.model_dump()
        dumped["scoring"] |= {"reference": self.reference, "fnc_features": self.fnc_features}
        return dumped

    def to_yaml(self) -> str:
        """`resolved` as YAML."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True, width=120)


def read_registries() -> None:
    """Builds the types of configs again, after a registry has got another kind."""
    for model in (Variant, Config):
        model.model_rebuild(force=True)


SECTIONS: dict[str, type[BaseModel]] = {
    "splits": SplitsConfig,
    "cv": CrossValidation,
    "retrain": Retrain,
    "embargo": Embargo,
    "scoring": ScoringConfig,
    "payout": Payout,
    "variants": Variant,
    "neutralize": Neutralize,
    "select": Select,
    "era_boost": EraBoost,
}
"""The models of keys that have no kind."""
