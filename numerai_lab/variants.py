"""Variants: fits each generator and model once, and puts predictions together. Validation targets reach none of it."""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from numerai_lab.augmenters import Augmenter
from numerai_lab.basics import Float32, NlabFailure, Tick, arrays_to_bytes, rng_for
from numerai_lab.config import Config, Neutralize
from numerai_lab.generators import Generator
from numerai_lab.metrics.era import Exposures, gauss, rank
from numerai_lab.metrics.scoring import Column, Predictions
from numerai_lab.models import Model
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


def fit_generators(
    config: Config, panel: Panel, splits: Splits, space: Scratch, show: Show, save: Save
) -> dict[tuple[str, int], Fitted]:
    """(generator name, seed) → fitted generator and its columns. No fit sees a target.

    A generator sees training eras, or with `fit_on: all` also the features of validation eras. One that draws nothing
    at random is fitted once for all seeds.
    """
    used = {name for variant in config.variants.values() for name in variant.inputs if variant.ensemble is None}
    out: dict[tuple[str, int], Fitted] = {}
    blind = panel.without_target()
    for name, template in config.generators.items():
        if name not in used:
            log.info("generator %s: no variant uses it, not fitted", name)
            continue
        for seed in config.seeds:
            if not template.stochastic and seed != config.seeds[0]:
                out[name, seed] = out[name, config.seeds[0]]
                continue
            eras = (*splits.train, *splits.validation) if template.fit_on == "all" else splits.train
            with show.task(f"fit {name}@{seed}"):
                generator = template.fresh().fit(blind.only(eras), rng_for(seed, "generator", name))
            save(f"models/generator-{name}@{seed}.npz", arrays_to_bytes(generator.state()))
            with show.task(f"columns {name}@{seed}") as tick:
                out[name, seed] = Fitted(generator, _columns(name, generator, blind, splits, space, tick))
    return out


def _columns(name: str, generator: Generator, panel: Panel, splits: Splits, space: Scratch, tick: Tick) -> Float32:
    """A generator's columns, era by era: the way live data arrives, for training eras too."""
    width = len(generator.names_out())
    columns = space.columns(len(panel.ids), width)
    eras = (*splits.train, *splits.validation)
    for done, era in enumerate(eras, start=1):
        block = panel.block(era)
        values = generator.transform(block)
        if values.shape != (len(block), width) or not np.isfinite(values).all():
            raise NlabFailure(
                f"generators.{name}: gave {values.shape[0]} rows × {values.shape[1]} columns with "
                f"{int((~np.isfinite(values)).sum())} not finite for era {era}; wanted {len(block)} × {width}, all finite"
            )
        columns[panel.rows(era)] = values
        tick(done, len(eras))
    return columns


def train_and_predict(
    config: Config,
    panel: Panel,
    splits: Splits,
    fitted: Mapping[tuple[str, int], Fitted],
    space: Scratch,
    show: Show,
    save: Save,
) -> Predictions:
    """Predictions of every variant and seed for every validation era; targets of those eras are hidden from all of it.

    Variants that differ in post-processing alone share one trained model.
    """
    future = panel.only(splits.validation).without_target()
    rows = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    made: dict[tuple[object, ...], Float32] = {}
    values: dict[Column, Float32] = {}
    for seed in config.seeds:
        generators = {name: fit for (name, of_seed), fit in fitted.items() if of_seed == seed}
        for name, variant in config.variants.items():
            if variant.ensemble is not None:
                continue
            recipe = (variant.inputs, tuple(variant.augment), seed)
            if recipe not in made:
                augmenters = {a: config.augmenters[a] for a in variant.augment}
                stream = _stream(panel.only(splits.train), variant.inputs, seed, augmenters, generators, space)
                with show.task(f"train {name}@{seed}") as tick:
                    model = config.model.fresh().fit(stream, rng_for(seed, "model"), tick)
                made[recipe] = _predicted(name, model, _with_columns(future, variant.inputs, generators), variant.inputs)
                suffix, content = model.saved()
                save(f"models/{name}@{seed}{suffix}", content)
            values[Column(name, seed)] = _neutralised(panel, future, made[recipe], variant.neutralize)
        for name, variant in config.variants.items():
            if variant.ensemble is not None:
                mean = _rank_average(future, [values[Column(member, seed)] for member in variant.ensemble])
                values[Column(name, seed)] = _neutralised(panel, future, mean, variant.neutralize)
    columns = tuple(Column(name, seed) for name in config.variants for seed in config.seeds)
    return Predictions(columns, rows, np.column_stack([values[column] for column in columns]))


def _stream(
    train: Panel,
    inputs: tuple[str, ...],
    seed: int,
    augmenters: Mapping[str, Augmenter],
    fitted: Mapping[str, Fitted],
    space: Scratch,
) -> BlockStream:
    names = [
        n for i in inputs for n in (train.raw_names if i == "raw" else [f"{i}_{c}" for c in fitted[i].generator.names_out()])
    ]
    return BlockStream(
        panel=_with_columns(train, inputs, fitted),
        inputs=inputs,
        input_names=tuple(names),
        seed=seed,
        augmenters=augmenters,
        generators={name: fitted[name].generator for name in inputs if name != "raw"},
        shelf=space,
    )


def _with_columns(panel: Panel, inputs: tuple[str, ...], fitted: Mapping[str, Fitted]) -> Panel:
    for name in inputs:
        if name != "raw":
            panel = panel.with_columns(name, fitted[name].columns)
    return panel


def _predicted(name: str, model: Model, future: Panel, inputs: tuple[str, ...]) -> Float32:
    values = np.concatenate([model.predict(block.matrix(inputs)) for block in future.blocks()])
    if not np.isfinite(values).all():
        raise NlabFailure(f"variants.{name}: the model predicted NaN or infinity for {int((~np.isfinite(values)).sum())} rows")
    return values


def _by_era(future: Panel, values: Float32) -> list[Float32]:
    """Predictions cut into eras."""
    return np.split(values, np.cumsum(future.bounds[:, 1] - future.bounds[:, 0])[:-1])


def _rank_average(future: Panel, members: list[Float32]) -> Float32:
    """The mean of the members' per-era ranks."""
    parts = [rank(part.astype(np.float64)).mean(1) for part in _by_era(future, np.column_stack(members))]
    return np.concatenate(parts).astype(np.float32)


def _neutralised(panel: Panel, future: Panel, values: Float32, how: Neutralize | None) -> Float32:
    """Gaussianised predictions less `proportion` of their per-era fit on a feature set; a constant where nothing is left."""
    if how is None:
        return values
    parts = []
    for era, part in zip(future.eras.tolist(), _by_era(future, values), strict=True):
        exposures = Exposures.of(panel.set_of(how.features, era))
        rest = exposures.neutralised(gauss(part[:, None].astype(np.float64)), how.proportion)
        parts.append(np.nan_to_num(rest[:, 0]))
    return np.concatenate(parts).astype(np.float32)
