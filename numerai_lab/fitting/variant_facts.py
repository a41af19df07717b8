"""What a run folder says of each variant beside its scores: words, role, seconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

from numerai_lab.config.default_variants import NOISE, SAME_ROWS, UNTRAINED
from numerai_lab.config.placebos import Placebos
from numerai_lab.config.schema import Config
from numerai_lab.config.variant_words import variant_words
from numerai_lab.runs.layout import model_name

Role = Literal["reference", "method", "placebo"]


@dataclass(frozen=True)
class VariantFacts:
    """words: what the variant is. seconds: of its fits, rows, columns, models and predictions, all seeds; None: not known.

    What several variants share counts for each of them.
    """

    words: str = ""
    role: Role = "method"
    seconds: float | None = None

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> dict[str, Self]:
        """Variant → its facts. Of older runs without this record, roles alone."""
        scoring = manifest.get("scoring")
        reference = scoring.get("reference") if isinstance(scoring, Mapping) else None
        placebos = {name for pairs in Placebos.of_manifest(manifest).as_dict().values() for name in pairs.values()}
        older: dict[Any, Any] = {name: {"role": "placebo"} for name in placebos} | {reference: {"role": "reference"}}
        recorded = manifest.get("variants")
        recorded = older if not isinstance(recorded, Mapping) else recorded
        return {name: cls.of(facts) for name, facts in recorded.items() if isinstance(name, str) and isinstance(facts, Mapping)}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """From plain values; those of a wrong type are left out."""
        words, role, seconds = (facts.get(name) for name in ("words", "role", "seconds"))
        known = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        return cls(
            words if isinstance(words, str) else "",
            next((value for value in get_args(Role) if value == role), "method"),
            seconds if known else None,
        )


def variant_facts(config: Config, placebos: Placebos) -> dict[str, VariantFacts]:
    """Variant → its words and role. A placebo is compared with a method, or has no method that the reference lacks."""
    compared = {name for pairs in placebos.as_dict().values() for name in pairs.values()}
    out = {}
    for name in config.variants:
        placebo = name in compared or _only_placebos(config, name)
        out[name] = VariantFacts(variant_words(config, name), "placebo" if placebo else "method")
    out[config.reference] = VariantFacts(variant_words(config, config.reference), "reference")
    return out


def with_seconds(
    facts: Mapping[str, VariantFacts], config: Config, shared: Mapping[str, str], costs: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, Any]]:
    """Plain values for the manifest, with the seconds of each variant.

    shared: variant → the variant whose models it shares. costs: label of a stage → what its making took.
    """
    out = {}
    for name, own in facts.items():
        labels = _labels(config, name, shared)
        seconds = [cost["seconds"] for label, cost in costs.items() if "seconds" in cost and label.split(", ")[0] in labels]
        out[name] = {**asdict(own), "seconds": round(sum(seconds), 3) if seconds else None}
    return out


def _labels(config: Config, name: str, shared: Mapping[str, str]) -> set[str]:
    """Labels of the stages that a variant needs, without the number of a fit."""
    variant = config.variants[name]
    if variant.ensemble is not None:
        return {label for member in variant.ensemble for label in _labels(config, member, shared)}
    out = set()
    for seed in config.seeds:
        of_generators = {f"{work} {used}@{seed}" for used in config.generators_of(name) for work in ("fit", "columns")}
        of_augmenters = {f"{work} {used}@{seed}" for used in variant.augment for work in ("fit", "rows of")}
        numbers = [config.number_of(shared[name], targets) for targets in config.targets_by_model(shared[name])]
        models = {f"{work} {model_name(shared[name], seed, number)}" for number in numbers for work in ("train", "predict")}
        out |= of_generators | of_augmenters | models
    return out


def _only_placebos(config: Config, name: str) -> bool:
    """Whether all that a variant has beyond the reference are placebos, and it has something."""
    variant, reference = config.variants[name], config.variants[config.reference]
    if variant.ensemble is not None or variant.neutralize != reference.neutralize or variant.model != reference.model:
        return False
    inputs = [config.generators.get(block) for block in variant.inputs if block not in reference.inputs]
    augment = [config.augmenters[block] for block in variant.augment if block not in reference.augment]
    kinds = [part is not None and part.kind in (NOISE, UNTRAINED) for part in inputs]
    kinds += [part.kind == SAME_ROWS or part.shuffles for part in augment]
    return bool(kinds) and all(kinds)
