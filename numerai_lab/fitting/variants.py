"""Variants: fits each generator and model once, and puts predictions together. Validation targets reach none of it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from numerai_lab.config.schema import Config, Neutralize, Variant
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.feature_selection import outline
from numerai_lab.fitting.fit_plan import parts_of, training_eras
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.stages import Fitted, fitted_generator, trained
from numerai_lab.metrics.era import gauss, rank
from numerai_lab.metrics.exposures import Exposures
from numerai_lab.metrics.scoring import Column, Predictions
from numerai_lab.runs.layout import generator_file

log = logging.getLogger("nlab")


def settled(config: Config, panel: Panel, splits: Splits) -> Config:
    """The config with every choice made that hangs on the number of rows to learn from: folds and exports do as the run does."""
    generators = {}
    for name, template in config.generators.items():
        n_rows = panel.only(parts_of(template, splits, f"generators.{name}")[-1].fitted_on).n_rows
        generator = generators[name] = template.settled(n_rows)
        chosen = {key: value for key, value in generator.model_dump().items() if value != getattr(template, key)}
        if chosen:
            told = ", ".join(f"{key} {value}" for key, value in chosen.items())
            log.info("generators.%s: %s, for %s rows to learn from", name, told, f"{n_rows:,}")
    return config.model_copy(update={"generators": generators})


def fit_generators(context: RunContext) -> dict[tuple[str, int], Fitted]:
    """(generator name, seed) → fitted generator and its columns.

    A generator sees training eras, or with `fit_on: all` also the features of validation eras. Only those that use labels
    see targets, by the fits of `parts_of`, and `select` may see that of training eras. One that draws nothing at random is
    fitted once for all seeds. Raises NlabError, before anything is fitted, when too few eras are left for one of them.
    """
    config = context.config
    check_scopes(config, context.splits)
    used = {name for variant in config.variants.values() for name in variant.inputs if variant.ensemble is None}
    out: dict[tuple[str, int], Fitted] = {}
    widths: dict[str, int] = {}
    for name, template in config.generators.items():
        if name not in used:
            log.info("generator %s: no variant uses it, not fitted", name)
            continue
        for seed in config.seeds:
            if not template.stochastic and seed != config.seeds[0]:
                out[name, seed] = out[name, config.seeds[0]]
                continue
            sized = config.model_copy(update={"generators": {**config.generators, name: template.sized(widths)}})
            out[name, seed] = fitted_generator(replace(context, config=sized), name, seed)
            context.save(generator_file(name, seed), out[name, seed].state)
        widths[name] = len(out[name, config.seeds[0]].fits.names)
    return out


def check_scopes(config: Config, splits: Splits) -> None:
    """Raises NlabError for every generator whose labelled fits, and every variant whose model, would have too few eras."""
    for name, generator in config.generators.items():
        parts_of(generator, splits, f"generators.{name}")
    for name, variant in config.variants.items():
        if len(left := training_eras(config.generators, variant.reads, splits)) < 2:
            raise NlabError(
                f"variants.{name}: its generators leave {len(left)} of {len(splits.train)} training eras to its model"
            )


def check_methods(config: Config, panel: Panel, splits: Splits) -> None:
    """Raises NlabError for generators and augmenters in use that can't be fitted on this data, all of them at once."""
    problems: dict[str, None] = {}
    for variant in config.variants.values():
        if variant.ensemble is not None:
            continue
        for name in (each for each in variant.inputs if each in config.generators):
            template = config.generators[name]
            for part in parts_of(template, splits, f"generators.{name}"):
                try:
                    shown = outline(template, panel, part.fitted_on)
                    message = template.settled(shown.n_rows).refusal(shown)
                except NlabError as error:
                    message = str(error)
                problems |= {f"generators.{name}: {message}": None} if message else {}
        left = training_eras(config.generators, variant.reads, splits)
        for name in variant.augment:
            message = config.augmenters[name].refusal(panel.labelled(left).only(left).for_fitting())
            problems |= {f"augmenters.{name}: {message}": None} if message else {}
    if problems:
        raise NlabError("\n".join(problems))


def for_variant(context: RunContext, variant: Variant) -> RunContext:
    """The setting with the training eras that the variant's generators leave to its model."""
    left = training_eras(context.config.generators, variant.reads, context.splits)
    since = None if left == context.splits.train else left[0]
    return replace(context, splits=replace(context.splits, train=left), since=since)


def train_and_predict(context: RunContext, fitted: Mapping[tuple[str, int], Fitted]) -> Predictions:
    """Predictions of every variant and seed for every validation era; targets of those eras are hidden from all of it."""
    config = context.config
    future = context.panel.only(context.splits.validation).without_target()

    def values_of(name: str, seed: int) -> Float32:
        generators = {generator: fit for (generator, of_seed), fit in fitted.items() if of_seed == seed}
        return trained(name, for_variant(context, config.variants[name]), future, generators, seed)

    return predicted(config, sharing(config, context.splits), future, values_of)


def sharing(config: Config, splits: Splits) -> dict[str, str]:
    """Variant → the first variant of the same inputs, augmenters and training eras, whose trained model it shares.

    Such variants differ in post-processing alone. Ensembles, which have no model, are left out.
    """
    firsts: dict[tuple[object, ...], str] = {}
    return {
        name: firsts.setdefault((v.inputs, tuple(v.augment), training_eras(config.generators, v.reads, splits)), name)
        for name, v in config.variants.items()
        if v.ensemble is None
    }


def predicted(config: Config, shared: Mapping[str, str], future: Panel, values_of: Callable[[str, int], Float32]) -> Predictions:
    """Predictions of every variant and seed for the rows of `future`: those of models, neutralised and averaged.

    shared: as `sharing` gives it. values_of: by name and seed of a variant, what its model predicts; called once a model.
    """
    values: dict[Column, Float32] = {}
    for seed in config.seeds:
        made: dict[str, Float32] = {}
        for name, variant in config.variants.items():
            if variant.ensemble is None:
                model = shared[name]
                made[model] = made[model] if model in made else values_of(model, seed)
                values[Column(name, seed)] = _neutralised(future, made[model], variant.neutralize)
        for name, variant in config.variants.items():
            if variant.ensemble is not None:
                mean = _rank_average(future, [values[Column(member, seed)] for member in variant.ensemble])
                values[Column(name, seed)] = _neutralised(future, mean, variant.neutralize)
    columns = tuple(Column(name, seed) for name in config.variants for seed in config.seeds)
    rows = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    return Predictions(columns, rows, np.column_stack([values[column] for column in columns]))


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
