"""Variants: fits each generator and model once, and puts predictions together. Validation targets reach none of it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from numerai_lab.augmenters import Augmenter
from numerai_lab.basics import Aid, Float32, NlabFailure, Tick, arrays_to_bytes, rng_for
from numerai_lab.config import RAW, Config, Neutralize, Variant
from numerai_lab.generators import Generator
from numerai_lab.metrics.era import gauss, rank
from numerai_lab.metrics.exposures import Exposures
from numerai_lab.metrics.scoring import Column, Predictions
from numerai_lab.panel import Panel
from numerai_lab.splits import Splits
from numerai_lab.store import Scratch
from numerai_lab.stream import BlockStream

log = logging.getLogger("nlab")

Save = Callable[[str, bytes], None]
"""Keeps a fitted component: file name in the run folder, content."""


class Show(Protocol):
    """Where progress goes."""

    def task(self, label: str) -> AbstractContextManager[Tick]: ...


@dataclass(frozen=True)
class Fitted:
    """A generator fitted with a seed, and its columns for every row of train and validation (NaN elsewhere)."""

    generator: Generator
    columns: Float32


@dataclass(frozen=True)
class Setting:
    """What variants are made from, where generated columns lie, and where progress and fitted components go."""

    config: Config
    panel: Panel
    splits: Splits
    space: Scratch
    show: Show
    save: Save


def fit_generators(setting: Setting) -> dict[tuple[str, int], Fitted]:
    """(generator name, seed) → fitted generator and its columns. No fit sees a target.

    A generator sees training eras, or with `fit_on: all` also the features of validation eras. One that draws nothing
    at random is fitted once for all seeds.
    """
    config, splits, blind = setting.config, setting.splits, setting.panel.without_target()
    used = {name for variant in config.variants.values() for name in variant.inputs if variant.ensemble is None}
    out: dict[tuple[str, int], Fitted] = {}
    for name, template in config.generators.items():
        if name not in used:
            log.info("generator %s: no variant uses it, not fitted", name)
            continue
        for seed in config.seeds:
            if not template.stochastic and seed != config.seeds[0]:
                out[name, seed] = out[name, config.seeds[0]]
                continue
            eras = (*splits.train, *splits.validation) if template.fit_on == "all" else splits.train
            with setting.show.task(f"fit {name}@{seed}") as tick:
                generator = template.fresh().fit(blind.only(eras), rng_for(seed, "generator", name), Aid(tick))
            setting.save(f"models/generator-{name}@{seed}.npz", arrays_to_bytes(generator.state()))
            with setting.show.task(f"columns {name}@{seed}") as tick:
                out[name, seed] = Fitted(generator, _columns(name, generator, setting, tick))
    return out


def _columns(name: str, generator: Generator, setting: Setting, tick: Tick) -> Float32:
    """A generator's columns, era by era: the way live data arrives, for training eras too."""
    width = len(generator.names_out())
    panel = setting.panel.without_target()
    columns = setting.space.columns(len(panel.ids), width)
    eras = (*setting.splits.train, *setting.splits.validation)
    for done, era in enumerate(eras, start=1):
        block = panel.block(era)
        values = generator.transform(block)
        if values.shape != (len(block), width) or not np.isfinite(values).all():
            raise NlabFailure(
                f"generators.{name}: gave {values.shape[0]} rows × {values.shape[1]} columns with "
                f"{int((~np.isfinite(values)).sum())} not finite for era {era}; wanted {len(block)} × {width}, all finite"
            )
        columns[panel.rows(era)] = values
        panel.release()
        tick(done, len(eras))
    return columns


def train_and_predict(setting: Setting, fitted: Mapping[tuple[str, int], Fitted]) -> Predictions:
    """Predictions of every variant and seed for every validation era; targets of those eras are hidden from all of it.

    Variants that differ in post-processing alone share one trained model.
    """
    config, panel = setting.config, setting.panel
    future = panel.only(setting.splits.validation).without_target()
    values: dict[Column, Float32] = {}
    for seed in config.seeds:
        generators = {name: fit for (name, of_seed), fit in fitted.items() if of_seed == seed}
        augmenters = fit_augmenters(setting, seed)
        made: dict[tuple[object, ...], Float32] = {}
        for name, variant in config.variants.items():
            recipe = (variant.inputs, tuple(variant.augment))
            if variant.ensemble is None:
                if recipe not in made:
                    made[recipe] = _trained(name, setting, future, generators, augmenters, seed)
                values[Column(name, seed)] = _neutralised(future, made[recipe], variant.neutralize)
        for name, variant in config.variants.items():
            if variant.ensemble is not None:
                mean = _rank_average(future, [values[Column(member, seed)] for member in variant.ensemble])
                values[Column(name, seed)] = _neutralised(future, mean, variant.neutralize)
    columns = tuple(Column(name, seed) for name in config.variants for seed in config.seeds)
    rows = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    return Predictions(columns, rows, np.column_stack([values[column] for column in columns]))


def fit_augmenters(setting: Setting, seed: int) -> dict[str, Augmenter]:
    """Every augmenter that a variant uses; those that learn are fitted, on the training eras and their targets only."""
    config, train = setting.config, setting.panel.only(setting.splits.train)
    used = {name for variant in config.variants.values() for name in variant.augment}
    out: dict[str, Augmenter] = {}
    for name in (name for name in config.augmenters if name in used):
        out[name] = config.augmenters[name]
        if out[name].learns:
            with setting.show.task(f"fit {name}@{seed}") as tick:
                out[name] = out[name].fresh().fit(train, rng_for(seed, "augmenter", name), Aid(tick))
            setting.save(f"models/augmenter-{name}@{seed}.npz", arrays_to_bytes(out[name].state()))
    return out


def _trained(
    name: str, setting: Setting, future: Panel, fitted: Mapping[str, Fitted], augmenters: Mapping[str, Augmenter], seed: int
) -> Float32:
    """Trains a variant's model on the stream of its training eras, saves it, and predicts the future."""
    variant = setting.config.variants[name]
    stream = _stream(setting, variant, fitted, augmenters, seed)
    with setting.show.task(f"train {name}@{seed}") as tick:
        model = setting.config.model.fresh().fit(stream, rng_for(seed, "model"), Aid(tick))
    suffix, content = model.saved()
    setting.save(f"models/{name}@{seed}{suffix}", content)
    seen = _with_columns(future, variant.inputs, fitted)
    values = np.concatenate([model.predict(block.matrix(variant.inputs)) for block in seen.blocks()])
    if not np.isfinite(values).all():
        raise NlabFailure(f"variants.{name}: the model predicted NaN or infinity for {int((~np.isfinite(values)).sum())} rows")
    return values


def _stream(
    setting: Setting, variant: Variant, fitted: Mapping[str, Fitted], augmenters: Mapping[str, Augmenter], seed: int
) -> BlockStream:
    train = _with_columns(setting.panel.only(setting.splits.train), variant.inputs, fitted)
    generators = {name: fitted[name].generator for name in variant.inputs if name != RAW}
    names = {RAW: train.raw_names, **{n: tuple(f"{n}_{c}" for c in g.names_out()) for n, g in generators.items()}}
    return BlockStream(
        panel=train,
        inputs=variant.inputs,
        input_names=tuple(column for name in variant.inputs for column in names[name]),
        seed=seed,
        augmenters={name: augmenters[name] for name in variant.augment},
        generators=generators,
        shelf=setting.space,
        last_era=int(setting.panel.eras[-1]),
    )


def _with_columns(panel: Panel, inputs: tuple[str, ...], fitted: Mapping[str, Fitted]) -> Panel:
    for name in inputs:
        if name != RAW:
            panel = panel.with_columns(name, fitted[name].columns)
    return panel


def _by_era(future: Panel, values: Float32) -> list[Float32]:
    """Predictions cut into eras."""
    return np.split(values, np.cumsum(future.bounds[:, 1] - future.bounds[:, 0])[:-1])


def _rank_average(future: Panel, members: list[Float32]) -> Float32:
    """The mean of the members' per-era ranks."""
    parts = [rank(part.astype(np.float64)).mean(1) for part in _by_era(future, np.column_stack(members))]
    return np.concatenate(parts).astype(np.float32)


def _neutralised(future: Panel, values: Float32, how: Neutralize | None) -> Float32:
    """Gaussianised predictions less `proportion` of their per-era fit on a feature set; a constant where nothing is left."""
    if how is None:
        return values
    parts = []
    for era, part in zip(future.eras.tolist(), _by_era(future, values), strict=True):
        exposures = Exposures.of(future.set_of(how.features, era))
        rest = exposures.neutralised(gauss(part[:, None].astype(np.float64)), how.proportion)
        parts.append(np.nan_to_num(rest[:, 0]))
    return np.concatenate(parts).astype(np.float32)
