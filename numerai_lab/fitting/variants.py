"""Variants: fits each generator and model once, and puts predictions together. Validation targets reach none of it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from numerai_lab.config.installed import lacking
from numerai_lab.config.schema import Config, Neutralize
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import embargo_eras
from numerai_lab.fitting.feature_selection import outline
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.generator_stages import Fitted, fitted_generator
from numerai_lab.fitting.learned_targets import learning, with_learned_rows
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.set_columns import InputColumns, set_columns
from numerai_lab.fitting.stages import fitted_model, trained
from numerai_lab.metrics.era import gauss, rank
from numerai_lab.metrics.exposures import Exposures
from numerai_lab.metrics.scoring import Column, Predictions
from numerai_lab.runs.layout import generator_file

log = logging.getLogger("nlab")


def resolved_config(config: Config, panel: Panel, plan: FitPlan) -> Config:
    """The config with every `auto` decided that depends on the data: embargoes and modes of generators.

    Folds and exports take these decisions too.
    """
    generators = {}
    for name, template in config.generators.items():
        n_rows = panel.only(plan.fitted_on(name)).n_rows
        generator = generators[name] = template.settled(n_rows)
        chosen = {key: value for key, value in generator.model_dump().items() if value != getattr(template, key, value)}
        if chosen:
            choices = ", ".join(f"{key} {value}" for key, value in chosen.items())
            log.info("generators.%s: %s, for %s rows to learn from", name, choices, f"{n_rows:,}")
    changes: dict[str, Any] = {"generators": generators}
    if config.splits.embargo == "auto":
        changes["splits"] = config.splits.model_copy(update={"embargo": plan.splits.embargo_eras})
    if config.cv is not None and config.cv.embargo == "auto":
        eras, _ = embargo_eras("auto", panel.reach_days, "cv.embargo", panel.days_per_era)
        changes["cv"] = config.cv.model_copy(update={"embargo": eras})
    return config.model_copy(update=changes)


def fit_generators(context: RunContext, seeds: Sequence[int] | None = None) -> dict[tuple[str, int], Fitted]:
    """(generator name, seed) → fitted generator and its columns. seeds: some of the config's; None = all.

    A generator sees training eras, and with `fit_on: all` also the features of validation eras. Only a generator that uses
    labels sees targets, as the fit plan allows; `select` may see the targets of training eras. A generator that draws
    nothing at random is fitted once for all seeds.
    """
    config = context.config
    used = {name for variant in config.trained for name in config.generators_of(variant)}
    out: dict[tuple[str, int], Fitted] = {}
    widths: dict[str, int] = {}
    for name, template in config.generators.items():
        if name not in used:
            log.info("generator %s: no variant uses it, not fitted", name)
            continue
        for seed in seeds or config.seeds:
            drawn = seed if template.stochastic else config.seeds[0]
            if (name, drawn) not in out:
                sized = config.model_copy(update={"generators": {**config.generators, name: template.sized(widths)}})
                out[name, drawn] = fitted_generator(replace(context, config=sized), name, drawn)
                context.save(generator_file(name, drawn), out[name, drawn].state)
            out[name, seed] = out[name, drawn]
            widths[name] = len(out[name, seed].names)
    return out


def check_methods(config: Config, panel: Panel, plan: FitPlan) -> None:
    """Raises NlabError for a model, generators and augmenters in use that can't be fitted on this data, all of them at once."""
    problems: dict[str, None] = {}
    for variant_name in config.trained:
        variant = config.variants[variant_name]
        where = f"variants.{variant_name}.model" if variant.model else "model"
        message = config.model_of(variant_name).refusal(panel.only(plan.models[variant_name]))
        problems |= {f"{where}: {message}": None} if message else {}
        for name in config.generators_of(variant_name):
            template = config.generators[name]
            for part in plan.generators[name]:
                try:
                    visible = outline(template, panel, part.fitted_on)
                    settled = template.settled(visible.n_rows)
                    message = lacking(f"with {visible.n_rows:,} rows", settled) or settled.refusal(visible)
                except NlabError as error:
                    message = str(error)
                problems |= {f"generators.{name}: {message}": None} if message else {}
        left = plan.models[variant_name]
        for targets in config.targets_by_model(variant_name) if variant.augment else ():
            learned = with_learned_rows(panel, config, variant_name, targets, left).labelled(left).only(left).for_fitting()
            messages = {name: config.augmenters[name].refusal(learned) for name in variant.augment}
            problems |= {f"augmenters.{name}: {message}": None for name, message in messages.items() if message}
    if problems:
        raise NlabError("\n".join(problems))


def train_and_predict(context: RunContext, fitted: Mapping[tuple[str, int], Fitted]) -> Predictions:
    """Predictions of every variant and seed for every validation era; targets of those eras are hidden from all of it."""
    config = context.config
    future = context.panel.only(context.splits.validation).without_target()
    inputs = inputs_of(context, fitted)

    def values_of(name: str, seed: int, targets: tuple[str, ...]) -> Float32:
        return trained(name, learning(context, name, targets), future, *inputs(name, seed), seed)

    return predicted(config, context.plan.shared_models, future, values_of)


def train_models(context: RunContext, fitted: Mapping[tuple[str, int], Fitted]) -> None:
    """Trains and saves the models of every variant and seed; nothing is predicted."""
    inputs = inputs_of(context, fitted)
    for name, seed, targets in trainings(context.config, context.plan.shared_models):
        fitted_model(name, learning(context, name, targets), *inputs(name, seed), seed)


def inputs_of(
    context: RunContext, fitted: Mapping[tuple[str, int], Fitted]
) -> Callable[[str, int], tuple[dict[str, InputColumns], Fitted | None]]:
    """The columns that the model of a variant and seed may read, and the generator whose encoder it begins with."""
    given = {name: set_columns(context.panel, name, context.scratch) for name in context.config.input_sets}

    def inputs(name: str, seed: int) -> tuple[dict[str, InputColumns], Fitted | None]:
        generators = {generator: fit for (generator, of_seed), fit in fitted.items() if of_seed == seed}
        start = context.config.model_of(name).encoder_of
        return {**generators, **given}, None if start is None else generators[start]

    return inputs


def trainings(config: Config, shared: Mapping[str, str]) -> list[tuple[str, int, tuple[str, ...]]]:
    """Variant, seed and targets of every model, those that may learn from the same rows one after another.

    shared: variant → the variant whose models it shares.
    """
    users: dict[str, str] = {}
    for name, variant in config.variants.items():
        if variant.ensemble is None:
            users.setdefault(shared[name], name)
    groups: dict[str, list[tuple[str, int, tuple[str, ...]]]] = {}
    for model, user in users.items():
        variant = config.variants[user]
        for targets, seed in product(config.targets_by_model(user), config.seeds):
            of_seed = seed if _reads_seed(config, user) else None
            rows = repr((variant.inputs, variant.augment, variant.target_transform, targets, of_seed))
            groups.setdefault(rows, []).append((model, seed, targets))
    return [training for group in groups.values() for training in group]


def _reads_seed(config: Config, variant: str) -> bool:
    """Whether another seed may give the models of a variant other rows or columns."""
    drawn = any(config.generators[name].stochastic for name in config.generators_of(variant))
    return drawn or any(config.augmenters[name].reads_seed for name in config.variants[variant].augment)


def predicted(
    config: Config, shared: Mapping[str, str], future: Panel, values_of: Callable[[str, int, tuple[str, ...]], Float32]
) -> Predictions:
    """Predictions of every variant and seed for the rows of `future`: those of models, neutralised and averaged.

    shared: variant → the variant whose models it shares. values_of: what the model of a variant predicts, by variant, seed and
    targets; called once a model, in the order of `trainings`. What is predicted of several targets is averaged by its per-era
    ranks.
    """
    values: dict[Column, Float32] = {}
    of_models = {training: values_of(*training) for training in trainings(config, shared)}
    for seed in config.seeds:
        by_model: dict[str, Float32] = {}
        for name, variant in config.variants.items():
            if variant.ensemble is None:
                model = shared[name]
                if model not in by_model:
                    of_targets = np.column_stack([of_models.pop((model, seed, t)) for t in config.targets_by_model(name)])
                    by_model[model] = of_targets[:, 0] if of_targets.shape[1] == 1 else _rank_average(future, of_targets)
                values[Column(name, seed)] = _neutralised(future, by_model[model], variant.neutralize)
        for name, variant in config.variants.items():
            if variant.ensemble is not None:
                mean = _rank_average(future, np.column_stack([values[Column(member, seed)] for member in variant.ensemble]))
                values[Column(name, seed)] = _neutralised(future, mean, variant.neutralize)
    columns = tuple(Column(name, seed) for name in config.variants for seed in config.seeds)
    rows = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    return Predictions(columns, rows, np.column_stack([values[column] for column in columns]))


def _by_era(future: Panel, values: Float32) -> list[Float32]:
    """Predictions cut into eras."""
    return np.split(values, np.cumsum(future.bounds[:, 1] - future.bounds[:, 0])[:-1])


def _rank_average(future: Panel, members: Float32) -> Float32:
    """The mean of the members' per-era ranks. members: rows × members."""
    parts = [rank(part.astype(np.float64)).mean(1) for part in _by_era(future, members)]
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
