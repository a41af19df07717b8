"""Stages of augmenters and models: a fit, materialized rows, a trained model, and its predictions."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.augmenters import AMOUNTS, Augmenter
from numerai_lab.config.default_variants import RAW
from numerai_lab.core import training_stream as streaming
from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes, n_not_finite
from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting import materialized
from numerai_lab.fitting.gang import trained_in_parts
from numerai_lab.fitting.generator_stages import Fitted
from numerai_lab.fitting.other_models import other_model_facts, shown_predictions
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.set_columns import InputColumns
from numerai_lab.fitting.stage_facts import STATE, component_facts, read_array, training_facts
from numerai_lab.runs.layout import augmenter_file, model_file, model_name
from numerai_lab.storage.code_version import code_version
from numerai_lab.storage.folders import key_of
from numerai_lab.storage.resumable import fit_context
from numerai_lab.storage.stage_cache import Entry, Stage

log = logging.getLogger("nlab")
PREDICTIONS = "predictions.npy"


def fitted_augmenter(context: RunContext, name: str, seed: int) -> Augmenter:
    """Stage: an augmenter that learns, fitted on the training eras and their targets alone; any other as it is.

    Augmenters that differ only in name, in how many rows they make or in the weight of a row share a fit. The run folder keeps
    those that learned the run's own target.
    """
    template, train = context.config.augmenters[name], context.train
    if not template.learns:
        return template

    def fit(work: Path) -> None:
        with context.display.task(f"fit {name}@{seed}") as progress:
            shown = context.panel.labelled(train).only(train).for_fitting()
            fitted = template.fresh().fit(shown, rng_for(seed, "augmenter", template.seed_key), fit_context(work, progress))
        (work / STATE).write_bytes(arrays_to_bytes(fitted.state()))

    facts = {
        **component_facts(Path(__file__), template),
        **training_facts(context),
        "fitted on": ranges_text(train),
        "seed": seed,
    }
    facts["parameters"] = template.model_dump(exclude=set(AMOUNTS))
    state = (context.stages.obtain(Stage("fit", f"fit {name}@{seed}", facts), fit).folder / STATE).read_bytes()
    if not context.labels:
        context.save(augmenter_file(name, seed, context.since), state)
    return template.restored(arrays_from_bytes(state))


def with_materialized_rows(context: RunContext, stream: TrainingStream, seed: int) -> TrainingStream:
    """Stages: the stream with the rows of expensive or `materialize: true` augmenters read from files, one stage for each."""
    sources = {}
    for name in stream.augmenters:
        template = context.config.augmenters[name]
        if template.keeps_rows:
            facts = {**component_facts(Path(__file__), template), **training_facts(context), "seed": seed}
            facts["parameters"] = template.recipe
            facts["trained on"] = ranges_text(context.train)
            facts["eras"] = ranges_text(origin.era for origin in stream.origins_of(name))
            facts["rows by"] = code_version(materialized, streaming)

            def make(work: Path, name: str = name) -> None:
                with context.display.task(f"rows of {name}@{seed}") as progress:
                    materialized.make(work, stream, name, progress)

            entry = context.stages.obtain(Stage("rows", f"rows of {name}@{seed}", facts), make)
            sources[name] = materialized.MaterializedRows.of(entry.folder, stream, name)
    return replace(stream, kept=sources)


def trained(
    name: str, context: RunContext, future: Panel, fitted: Mapping[str, InputColumns], encoder: Fitted | None, seed: int
) -> Float32:
    """Two stages: the trained model of a variant, and its predictions for the rows of `future`.

    They are rows × targets where the model learned several. The context must be that of the variant and of the targets to
    learn (`learning`). encoder: the generator whose encoder the model begins with. Raises NlabFailure for predictions that
    are not finite.
    """
    inputs, label = context.config.variants[name].inputs, model_name(name, seed, _number(context))
    model = fitted_model(name, context, fitted, encoder, seed)
    (path,) = model.folder.glob("model.*")

    def predict(work: Path) -> None:
        with context.display.task(f"predict {label}"):
            loaded = context.config.model_of(name).loaded(path.read_bytes())
            seen = _with_columns(future, inputs, fitted)
            values = np.concatenate([loaded.predict(block.matrix(inputs)) for block in seen.blocks()])
        if n_wrong := n_not_finite(values):
            raise NlabFailure(f"variants.{name}: the model predicted NaN or infinity for {n_wrong} rows")
        np.save(work / PREDICTIONS, values, allow_pickle=False)

    eras = future.eras.tolist()
    facts = {
        "model": model.folder.name,
        "inputs": _input_facts(inputs, fitted, eras),
        "data": context.content.rows_of(eras),
        "predicts": ranges_text(eras),
    }
    entry = context.stages.obtain(Stage("predictions", f"predict {label}", facts), predict)
    return np.array(read_array(entry, PREDICTIONS, future.n_rows))


def fitted_model(name: str, context: RunContext, fitted: Mapping[str, InputColumns], encoder: Fitted | None, seed: int) -> Entry:
    """Stage: the model of a variant, in its own format, which the run folder keeps; the context is as for `trained`."""
    variant, model = context.config.variants[name], context.config.model_of(name)
    rows = _row_facts(context, name, fitted)
    drawn = any(context.config.augmenters[augmenter].reads_seed for augmenter in variant.augment)
    context.matrices.keep_for(key_of(rows, seed if drawn else None))
    augmenters = {augmenter: fitted_augmenter(context, augmenter, seed) for augmenter in variant.augment}
    label = f"train {model_name(name, seed, _number(context))}"

    def make(work: Path) -> None:
        if context.together is not None and model.n_parts > 1:
            path = trained_in_parts(context, context.together, seed, work)
            (work / f"model{path.suffix}").write_bytes(path.read_bytes())
            return
        stream = training_stream(context, fitted, seed)
        with context.display.task(label) as progress:
            untrained = model.fresh() if encoder is None else model.begun_with(encoder.encoder)
            aids = replace(fit_context(work, progress), matrix=partial(_matrix, context, augmenters))
            done = untrained.fit(stream, rng_for(seed, "model"), aids)
        suffix, content = done.saved()
        (work / f"model{suffix}").write_bytes(content)

    facts = {
        **component_facts(Path(__file__), model, *augmenters.values()),
        **rows,
        **other_model_facts(context, model),
        "seed": seed,
        **({} if encoder is None else {"begins with": encoder.recipe}),
    }
    entry = context.stages.obtain(Stage("models", label, facts), make)
    (path,) = entry.folder.glob("model.*")
    context.save(model_file(name, seed, path.suffix, _number(context)), path.read_bytes())
    return entry


def training_stream(context: RunContext, fitted: Mapping[str, InputColumns], seed: int) -> TrainingStream:
    """What the model of the context's variant learns from, with materialized rows and predictions of other models."""
    assert context.variant is not None
    variant, model = context.config.variants[context.variant], context.config.model_of(context.variant)
    augmenters = {augmenter: fitted_augmenter(context, augmenter, seed) for augmenter in variant.augment}
    stream = with_materialized_rows(context, _stream(context, variant.inputs, fitted, augmenters, seed), seed)
    return replace(stream, panel=replace(stream.panel, extras=shown_predictions(context, model)))


def _matrix(context: RunContext, augmenters: Mapping[str, Augmenter], cuts: str, make: Callable[[], Any]) -> Any:
    """The binned matrix of the rows that the run is at, which another model may have made."""
    states = [arrays_to_bytes(augmenter.state()) for augmenter in augmenters.values() if augmenter.learns]
    return context.matrices.obtain(f"{cuts} {[hashlib.sha256(state).hexdigest() for state in states]}", make)


def _row_facts(context: RunContext, name: str, fitted: Mapping[str, InputColumns]) -> dict[str, Any]:
    """The facts that the training rows of a variant depend on, beside the seed and what augmenters learn by it."""
    train, variant = context.train, context.config.variants[name]
    augmenters = [context.config.augmenters[augmenter] for augmenter in variant.augment]
    return {
        **training_facts(context),
        "inputs": _input_facts(variant.inputs, fitted, train),
        "augmenters": [augmenter.recipe for augmenter in augmenters],
        "rows by": code_version(materialized, streaming),
        "trained on": ranges_text(train),
        "invented eras": _first_invented(context) if any(augmenter.invents_eras for augmenter in augmenters) else None,
    }


def _number(context: RunContext) -> int | None:
    """The place of the model among those of its variant, from 1; None where it is the only one."""
    assert context.variant is not None
    return context.config.number_of(context.variant, context.targets)


def _first_invented(context: RunContext) -> int:
    """The smallest id that an invented era may have."""
    return int(10 ** len(str(context.panel.eras[-1])))


def _input_facts(inputs: Iterable[str], fitted: Mapping[str, InputColumns], eras: Iterable[int]) -> list[Any]:
    """The facts of a model's inputs of these eras: raw, or those of the generator's columns."""
    eras = list(eras)
    return [RAW if name == RAW else fitted[name].facts_for(eras) for name in inputs]


def rows_stream(context: RunContext, augmenters: Mapping[str, Augmenter], seed: int) -> TrainingStream:
    """The training rows of a variant with these augmenters, without generated columns."""
    return with_materialized_rows(context, _stream(context, (RAW,), {}, augmenters, seed), seed)


def _stream(
    context: RunContext,
    inputs: tuple[str, ...],
    fitted: Mapping[str, InputColumns],
    augmenters: Mapping[str, Augmenter],
    seed: int,
) -> TrainingStream:
    eras = context.train
    train = _with_columns(context.panel.labelled(eras, context.targets[1:]).only(eras).for_fitting(), inputs, fitted)
    generators = {name: fitted[name] for name in inputs if name != RAW}
    names = {RAW: train.raw_names, **{n: tuple(f"{n}_{c}" for c in g.names) for n, g in generators.items()}}
    return TrainingStream(
        panel=train,
        inputs=inputs,
        input_names=tuple(column for name in inputs for column in names[name]),
        seed=seed,
        augmenters=augmenters,
        generators=generators,
        array_cache=context.scratch,
        last_era=int(context.panel.eras[-1]),
        labels=context.labels,
    )


def _with_columns(panel: Panel, inputs: tuple[str, ...], fitted: Mapping[str, InputColumns]) -> Panel:
    for name in inputs:
        if name != RAW:
            panel = panel.with_columns(name, fitted[name].columns)
    return panel
