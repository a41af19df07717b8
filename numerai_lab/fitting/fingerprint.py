"""The code and libraries that computed a run. Runs that differ in them need not agree."""

from pathlib import Path
from types import ModuleType

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

TRAINING = (fit_plan, fitted, feature_selection, materialized, training_stream, folds, splits)


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
