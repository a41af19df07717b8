"""What a run computes once and keeps: a generator's fit, its columns, and a model with its predictions."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.augmenters import AMOUNTS, Augmenter
from numerai_lab.config.default_variants import RAW
from numerai_lab.core import training_stream as streaming
from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.component import Component
from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block, Panel, release_pages
from numerai_lab.core.progress import Progress
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting import feature_selection, materialized
from numerai_lab.fitting import fit_plan as fit_plans
from numerai_lab.fitting import fitted as fitted_generators
from numerai_lab.fitting.feature_selection import adopted, shown_to
from numerai_lab.fitting.fit_plan import GeneratorFit
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.generators import Generator
from numerai_lab.runs.layout import augmenter_file, model_file
from numerai_lab.storage.code_version import code_version, library_versions, source_version
from numerai_lab.storage.folders import key_of
from numerai_lab.storage.resumable import fit_context, journaled
from numerai_lab.storage.stage_cache import Entry, Stage

log = logging.getLogger("nlab")
STATE, COLUMNS, PREDICTIONS = "state.safetensors", "columns.npy", "predictions.npy"


@dataclass(frozen=True)
class Fitted:
    """A generator fitted with a seed, and its columns for every row that one of its fits speaks for (NaN elsewhere).

    recipe: what the columns of a row depend on beside the row.
    """

    fits: FittedGenerator
    columns: Float32
    recipe: Mapping[str, Any]

    def facts_for(self, eras: Iterable[int]) -> dict[str, Any]:
        """What the columns of these eras depend on beside their rows."""
        return {**self.recipe, "fit of era": [self.fits.of_era.get(era, -1) for era in eras]}

    @cached_property
    def state(self) -> bytes:
        """Of all fits together, as the run folder keeps it."""
        return arrays_to_bytes(self.fits.state())

    def transform(self, block: Block) -> Float32:
        """Columns for rows that no memory-map holds."""
        return self.fits.columns_for(block)


def fitted_generator(context: RunContext, name: str, seed: int) -> Fitted:
    """Stages: each fit, which sees targets only where its generator uses labels (`select` may too), and the columns."""
    template, parts = context.config.generators[name], context.plan.generators[name]
    keys, states = [], []
    for i, part in enumerate(parts):
        label = f"fit {name}@{seed}" + (f", {i + 1} of {len(parts)}" if len(parts) > 1 else "")
        entry = _fitted_part(context, name, seed, part, label)
        keys.append(entry.folder.name)
        states.append(arrays_from_bytes((entry.folder / STATE).read_bytes()))
    of_era = {era: i for i, part in enumerate(parts) for era in part.serves}
    fits = FittedGenerator(template, tuple(states), of_era)

    def columns(work: Path) -> None:
        with context.display.task(f"columns {name}@{seed}") as progress:
            _write_columns(work, name, fits, context, progress)

    recipe = {**_facts(template), "fits": keys, "by": code_version(fit_plans, fitted_generators)}
    places = {"eras": context.panel.eras.tolist(), "bounds": context.panel.bounds.tolist()}
    facts = {
        **recipe,
        "data": context.content.rows_of(sorted(of_era)),
        "columns for": [ranges_text(part.serves) for part in parts],
        "places": key_of(places),
    }
    entry = context.stages.obtain(Stage("columns", f"columns {name}@{seed}", facts), columns)
    return Fitted(fits, _array(entry, COLUMNS, len(context.panel.ids)), recipe)


def _fitted_part(context: RunContext, name: str, seed: int, part: GeneratorFit, label: str) -> Entry:
    """Stage: one fit. Every part draws the same random numbers."""
    template, train = context.config.generators[name], context.splits.train

    def fit(work: Path) -> None:
        shown = shown_to(
            template, context.panel, part.fitted_on if template.uses_labels else train, part.fitted_on, context.scratch
        )
        with context.display.task(label) as progress:
            fitted = template.fresh().fit(shown, rng_for(seed, "generator", template.seed_key), fit_context(work, progress))
        (work / STATE).write_bytes(arrays_to_bytes(adopted(fitted, shown, context.panel).state()))

    facts = {
        **_facts(template),
        "data": context.content.rows_of(part.fitted_on),
        "fitted on": ranges_text(part.fitted_on),
        "seed": seed if template.stochastic else None,
        **_shown_facts(context, template, part),
    }
    return context.stages.obtain(Stage("fit", label, facts), fit)


def _shown_facts(context: RunContext, template: Generator, part: GeneratorFit) -> dict[str, Any]:
    """What a fit depends on beside its own rows: targets, feature_selection, feature sets."""
    facts: dict[str, Any] = {}
    content, select = context.content, template.select
    train = part.fitted_on if template.uses_labels else context.splits.train
    sets = {name: at[at < context.panel.n_raw].tolist() for name, at in context.panel.feature_sets.items()}
    if template.uses_labels:
        facts["labels"] = content.labels_of(part.fitted_on)
    if template.uses_labels or select is not None:
        facts["shown by"] = code_version(feature_selection)
    if template.several_targets and context.panel.auxiliary:
        facts["auxiliary"] = content.auxiliary_of(part.fitted_on)
    if template.reads_feature_sets:
        facts["feature sets"] = sets
    if select is not None:
        facts["selected from"] = {name: sets.get(name) for name in select.features or ()}
        by_labels = select.by is not None
        facts["selected on"] = [content.rows_of(train), content.labels_of(train), ranges_text(train)] if by_labels else None
    return facts


def _write_columns(work: Path, name: str, fits: FittedGenerator, context: RunContext, progress: Progress) -> None:
    """A generator's columns, era by era: the way live data arrives, for training eras too. Goes on where a killed try stopped."""
    panel = context.panel.without_target()
    columns, journal = journaled(work / COLUMNS, (len(panel.ids), len(fits.names)))
    done = journal.read(lambda era: columns[panel.rows(era)])
    with journal.writing() as note:
        for i, era in enumerate(panel.eras.tolist(), start=1):
            rows = panel.rows(era)
            if era not in fits.of_era:
                columns[rows] = np.nan
            elif era not in done:
                columns[rows] = _finite(name, fits, panel.block(era))
                note(era, columns[rows])
            panel.release()
            release_pages(columns)
            progress(i, len(panel.eras))


def _finite(name: str, fits: FittedGenerator, block: Block) -> Float32:
    values, width = fits.columns_for(block), len(fits.names)
    if values.shape != (len(block), width) or not np.isfinite(values).all():
        raise NlabFailure(
            f"generators.{name}: gave {values.shape[0]} rows × {values.shape[1]} columns with "
            f"{int((~np.isfinite(values)).sum())} not finite for era {block.era}; wanted {len(block)} × {width}, all finite"
        )
    return values


def fitted_augmenter(context: RunContext, name: str, seed: int) -> Augmenter:
    """An augmenter that learns is fitted, on the training eras and their targets alone; any other is taken as it is.

    Those that differ in name, in how many rows they make, or in what these weigh, share a fit.
    """
    template, train = context.config.augmenters[name], context.train
    if not template.learns:
        return template

    def fit(work: Path) -> None:
        with context.display.task(f"fit {name}@{seed}") as progress:
            shown = context.panel.labelled(train).only(train).for_fitting()
            fitted = template.fresh().fit(shown, rng_for(seed, "augmenter", template.seed_key), fit_context(work, progress))
        (work / STATE).write_bytes(arrays_to_bytes(fitted.state()))

    facts = {**_facts(template), **_training_facts(context), "fitted on": ranges_text(train), "seed": seed}
    facts["parameters"] = template.model_dump(exclude=set(AMOUNTS))
    state = (context.stages.obtain(Stage("fit", f"fit {name}@{seed}", facts), fit).folder / STATE).read_bytes()
    context.save(augmenter_file(name, seed, context.since), state)
    return template.restored(arrays_from_bytes(state))


def with_materialized_rows(context: RunContext, stream: TrainingStream, seed: int) -> TrainingStream:
    """The same stream, which reads the rows of its augmenters from files where they are to be kept: one stage each."""
    found = {}
    for name in stream.augmenters:
        template = context.config.augmenters[name]
        if template.keeps_rows:
            facts = {**_facts(template), **_training_facts(context), "seed": seed}
            facts["parameters"] = template.recipe
            facts["trained on"] = ranges_text(context.train)
            facts["eras"] = ranges_text(origin.era for origin in stream.origins_of(name))
            facts["rows by"] = code_version(materialized, streaming)

            def make(work: Path, name: str = name) -> None:
                with context.display.task(f"rows of {name}@{seed}") as progress:
                    materialized.make(work, stream, name, progress)

            entry = context.stages.obtain(Stage("rows", f"rows of {name}@{seed}", facts), make)
            found[name] = materialized.MaterializedRows.of(entry.folder, stream, name)
    return replace(stream, kept=found)


def trained(name: str, context: RunContext, future: Panel, fitted: Mapping[str, Fitted], seed: int) -> Float32:
    """Two stages: a variant's model, fitted on the stream of its training eras and saved, and its predictions of the future.

    The context must be that of the variant (`RunContext.for_variant`).
    """
    inputs = context.config.variants[name].inputs
    model = _fitted_model(name, context, fitted, seed)
    (path,) = model.folder.glob("model.*")
    context.save(model_file(name, seed, path.suffix), path.read_bytes())

    def predict(work: Path) -> None:
        with context.display.task(f"predict {name}@{seed}"):
            loaded = context.config.model.loaded(path.read_bytes())
            seen = _with_columns(future, inputs, fitted)
            values = np.concatenate([loaded.predict(block.matrix(inputs)) for block in seen.blocks()])
        if not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise NlabFailure(f"variants.{name}: the model predicted NaN or infinity for {wrong} rows")
        np.save(work / PREDICTIONS, values, allow_pickle=False)

    eras = future.eras.tolist()
    facts = {
        "model": model.folder.name,
        "inputs": _input_facts(inputs, fitted, eras),
        "data": context.content.rows_of(eras),
        "predicts": ranges_text(eras),
    }
    entry = context.stages.obtain(Stage("predictions", f"predict {name}@{seed}", facts), predict)
    return np.array(_array(entry, PREDICTIONS, future.n_rows))


def _fitted_model(name: str, context: RunContext, fitted: Mapping[str, Fitted], seed: int) -> Entry:
    """Stage: the model of a variant, in its own format."""
    variant, model = context.config.variants[name], context.config.model
    augmenters = {augmenter: fitted_augmenter(context, augmenter, seed) for augmenter in variant.augment}

    def make(work: Path) -> None:
        stream = with_materialized_rows(context, _stream(context, variant.inputs, fitted, augmenters, seed), seed)
        with context.display.task(f"train {name}@{seed}") as progress:
            done = model.fresh().fit(stream, rng_for(seed, "model"), fit_context(work, progress))
        suffix, content = done.saved()
        (work / f"model{suffix}").write_bytes(content)

    train = context.train
    facts = {
        **_facts(model, *augmenters.values()),
        **_training_facts(context),
        "inputs": _input_facts(variant.inputs, fitted, train),
        "augmenters": [context.config.augmenters[name].recipe for name in variant.augment],
        "rows by": code_version(materialized, streaming),
        "trained on": ranges_text(train),
        "invented eras": _first_invented(context) if any(each.invents_eras for each in augmenters.values()) else None,
        "seed": seed,
    }
    return context.stages.obtain(Stage("models", f"train {name}@{seed}", facts), make)


def _first_invented(context: RunContext) -> int:
    """The smallest id that an invented era may have."""
    return int(10 ** len(str(context.panel.eras[-1])))


def _input_facts(inputs: Iterable[str], fitted: Mapping[str, Fitted], eras: Iterable[int]) -> list[Any]:
    """What a model's inputs of these eras depend on beside the raw features."""
    eras = list(eras)
    return [RAW if name == RAW else fitted[name].facts_for(eras) for name in inputs]


def _training_facts(context: RunContext) -> dict[str, Any]:
    """What stages that see all training rows with their targets depend on."""
    train = context.train
    return {"data": context.content.rows_of(train), "labels": context.content.labels_of(train)}


def _facts(*components: Component) -> dict[str, Any]:
    """What every stage depends on beside rows: parameters, and code down to the libraries."""
    kinds = [type(component) for component in components]
    return {
        "parameters": components[0].model_dump(),
        "code": [code_version(*kinds), source_version(Path(__file__))],
        "libraries": library_versions(*kinds),
    }


def _array(entry: Entry, name: str, n_rows: int) -> Float32:
    try:
        array: Float32 = np.load(entry.folder / name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # whatever a foreign file makes numpy raise
        raise _foreign(entry, f"{name} is no array of numbers ({error})") from error
    if array.dtype != np.float32 or array.ndim == 0 or len(array) != n_rows:
        raise _foreign(entry, f"{name} holds {array.shape} of {array.dtype}, wanted {n_rows} rows of float32")
    return array


def _foreign(entry: Entry, what: str) -> NlabFailure:
    return NlabFailure(f"cache entry {entry.folder}: {what}; somebody else's? `nlab cache verify --repair`, or --no-cache")


def rows_stream(context: RunContext, augmenters: Mapping[str, Augmenter], seed: int) -> TrainingStream:
    """The training rows of a variant with these augmenters, without generated columns."""
    return with_materialized_rows(context, _stream(context, (RAW,), {}, augmenters, seed), seed)


def _stream(
    context: RunContext, inputs: tuple[str, ...], fitted: Mapping[str, Fitted], augmenters: Mapping[str, Augmenter], seed: int
) -> TrainingStream:
    eras = context.train
    train = _with_columns(context.panel.labelled(eras).only(eras).for_fitting(), inputs, fitted)
    generators = {name: fitted[name] for name in inputs if name != RAW}
    names = {RAW: train.raw_names, **{n: tuple(f"{n}_{c}" for c in g.fits.names) for n, g in generators.items()}}
    return TrainingStream(
        panel=train,
        inputs=inputs,
        input_names=tuple(column for name in inputs for column in names[name]),
        seed=seed,
        augmenters=augmenters,
        generators=generators,
        array_cache=context.scratch,
        last_era=int(context.panel.eras[-1]),
    )


def _with_columns(panel: Panel, inputs: tuple[str, ...], fitted: Mapping[str, Fitted]) -> Panel:
    for name in inputs:
        if name != RAW:
            panel = panel.with_columns(name, fitted[name].columns)
    return panel
