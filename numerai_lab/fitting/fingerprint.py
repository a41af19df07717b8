"""The code and libraries that computed a run. Runs that differ in them need not agree."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from numerai_lab.augmenters import Augmenter
from numerai_lab.config.schema import Config
from numerai_lab.core import folds, splits, training_stream
from numerai_lab.data import reader
from numerai_lab.fitting import (
    feature_selection,
    fit_plan,
    fitted,
    generator_stages,
    learned_targets,
    materialized,
    other_models,
    stage_facts,
    stages,
    variants,
)
from numerai_lab.generators import Generator
from numerai_lab.metrics import changes, scoring
from numerai_lab.models import Model
from numerai_lab.storage.code_version import code_version, library_versions, source_version
from numerai_lab.target_transforms import TargetTransform

FINGERPRINT = "fingerprint"
"""Its key in the manifest."""
TRAINING = (fit_plan, fitted, feature_selection, materialized, training_stream, folds, splits)
UNKNOWN = "older: it does not record the code and libraries that computed it"


def fingerprint(config: Config) -> dict[str, dict[str, str]]:
    """A version of the code of each component in use, of reading data, of training and of scoring; and libraries."""
    parts = _parts(config)
    code = {name: code_version(*sources) for name, sources in parts.items()}
    own = (stages, generator_stages, stage_facts, variants, learned_targets, other_models)
    code["training"] += "-" + "-".join(source_version(Path(str(module.__file__))) for module in own)
    return {
        "code": code,
        "libraries": library_versions(*(source for sources in parts.values() for source in sources)),
    }


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """By kind (code, libraries), what differs between two fingerprints, of components that both have."""
    reasons = {}
    for kind in ("code", "libraries"):
        own, other = mine.get(kind, {}), theirs.get(kind, {})
        names = [name for name in own if name in other and own[name] != other[name]]
        changed = [f"{name} {own[name]} against {other[name]}" if kind == "libraries" else name for name in names]
        if changed:
            reasons[kind] = ", ".join(changed)
    return reasons


def mismatch(manifest: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Why a finished run is not what a run with the fingerprint `now` would give; empty where it is."""
    recorded = manifest.get(FINGERPRINT)
    if not isinstance(recorded, Mapping):
        return UNKNOWN
    return "; ".join(f"other {kind}: {names}" for kind, names in differences(recorded, now).items())


def _parts(config: Config) -> dict[str, tuple[type | ModuleType, ...]]:
    """Name → classes and modules. Components are named by kind: their own names mean nothing."""
    trained = [config.variants[name] for name in config.trained]
    generators = [config.generators[name] for variant in config.trained for name in config.generators_of(variant)]
    augmenters = [config.augmenters[name] for variant in trained for name in variant.augment]
    transforms = [variant.target_transform for variant in trained if variant.target_transform is not None]
    named: list[tuple[str, Generator | Augmenter | TargetTransform | Model]] = [
        *(("generator", generator) for generator in generators),
        *(("augmenter", augmenter) for augmenter in augmenters),
        *(("target transform", transform) for transform in transforms),
        *(("model", config.model_of(name)) for name in config.trained),
    ]
    source = (type(config.data), reader)
    kinds = {f"{family} {component.kind}": (type(component),) for family, component in named}
    return {"data": source, **kinds, "training": TRAINING, "scoring": (scoring, changes)}
