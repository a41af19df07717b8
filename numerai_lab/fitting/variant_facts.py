"""What a run folder says of each variant of a config beside its scores."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from numerai_lab.config.default_variants import NOISE, SAME_ROWS, UNTRAINED
from numerai_lab.config.schema import Config
from numerai_lab.config.variant_words import variant_words
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.runs.layout import model_name
from numerai_lab.runs.variant_facts import VariantFacts


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
