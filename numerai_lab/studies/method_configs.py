"""The config of each method that `nlab methods` runs: one method, with the data, splits and model of all."""

from collections.abc import Iterator, Sequence
from typing import Any

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.default_variants import NOISE, SAME_ROWS, UNTRAINED
from numerai_lab.config.loading import parse_config
from numerai_lab.config.schema import Config
from numerai_lab.generators import GENERATORS

CONTROLS = (NOISE, SAME_ROWS, UNTRAINED)
"""Kinds that methods are compared with."""


def weighers_left_out(config: Config) -> list[str]:
    """Names of the augmenters that give rows weights, where the model takes none."""
    if config.model.takes_weights:
        return []
    own = {name: augmenter for name, augmenter in config.augmenters.items() if augmenter.weighs or augmenter.weight != 1}
    kinds = {augmenter.kind for augmenter in config.augmenters.values()}
    return [*own, *(kind for kind, augmenter in AUGMENTERS.items() if augmenter.weighs and kind not in kinds)]


def left_out_line(config: Config, names: Sequence[str]) -> str:
    """Names the methods that were left out, and why."""
    return f"Left out: {', '.join(names)}: they give rows weights, and the model {config.model.kind} takes none."


def method_configs(config: Config) -> Iterator[tuple[str, str, Config]]:
    """(family, name, config) of every method that the model can learn with, with the default variants of a config."""
    shared, left_out = without_methods(config), weighers_left_out(config)
    for family, registry, own in (
        ("generators", GENERATORS, config.generators),
        ("augmenters", AUGMENTERS, config.augmenters),
    ):
        dumped = {name: method.model_dump() for name, method in own.items()}
        listed = {name: values for name, values in dumped.items() if values["kind"] not in CONTROLS}  # those of all of them
        kinds = {values["kind"] for values in listed.values()}
        listed |= {kind: {"kind": kind} for kind in registry if kind not in kinds}
        for name in [name for name in listed if name not in left_out]:
            values = listed[name]
            raw = {**shared, "name": f"{config.name}_{name}"[:80], family: {name: values}}
            yield family, name, parse_config(raw, f"methods: {name}")


def without_methods(config: Config) -> dict[str, Any]:
    """The resolved values of a config without generators, augmenters, variants and the reference among these."""
    shared = {key: value for key, value in config.resolved().items() if key not in ("generators", "augmenters", "variants")}
    return {**shared, "scoring": {**shared["scoring"], "reference": None}}
