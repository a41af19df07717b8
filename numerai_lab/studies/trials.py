"""Runs of a config on intact and broken data for audits, each in a fresh process."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from numerai_lab.config.installed import packages_of
from numerai_lab.config.schema import Config, Variant
from numerai_lab.core.arrays import Float64
from numerai_lab.core.folds import Fold
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.splits import Splits
from numerai_lab.experiment import out_of_fold
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.generator_stages import Fitted
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.learned_targets import plan_for
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.stages import fitted_augmenter, rows_stream
from numerai_lab.fitting.variants import fit_generators, resolved_config, train_and_predict
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.metrics.single_features import known_target
from numerai_lab.storage.scratch import Scratch, scratch
from numerai_lab.studies.broken import permuted_targets, reordered_rows, replaced_features, without_block
from numerai_lab.studies.fresh_process import in_fresh_process
from numerai_lab.studies.twins import Twins, twins

Break = Callable[[Panel, Splits, Scratch, np.random.Generator], Panel]
BREAKS: Mapping[str, Break] = {
    "as it is": lambda panel, splits, space, rng: panel,
    "targets permuted": lambda panel, splits, space, rng: permuted_targets(panel, rng),
    "rows reordered": reordered_rows,
    "features replaced": lambda panel, splits, space, rng: replace(panel, features=replaced_features(panel, splits, space, rng)),
    "validation targets permuted": lambda panel, splits, space, rng: permuted_targets(panel, rng, splits.validation),
}


@dataclass(frozen=True)
class AuditTrial:
    """Results of one run of the config, with its first seed, on intact or broken data.

    corr: variant → corr of every scored era; true_corr: the same against the targets of the intact data. in_training,
    everywhere: digests of columns by generator. rows: digests of rows or weights by augmenter. column_corr: mean corr of each
    column, by generator. copies: synthetic rows that copy validation rows, by augmenter that makes rows.
    """

    corr: Mapping[str, Float64]
    true_corr: Mapping[str, Float64]
    in_training: Mapping[str, str]
    everywhere: Mapping[str, str]
    rows: Mapping[str, str]
    column_corr: Mapping[str, Float64]
    copies: Mapping[str, Twins]


def run_trial(config: Config, broken: str, display: ProgressDisplay) -> AuditTrial:
    """Runs the config on data broken by one of BREAKS, in a fresh process that reads the data again."""
    return in_fresh_process(display, _trial, config, broken, packages=packages_of(config))


def fold_digests(config: Config, fold: Fold, broken: bool, display: ProgressDisplay) -> tuple[dict[str, str], int]:
    """Digests of a fold's predictions by variant, and the number of broken eras, from a fresh process."""
    return in_fresh_process(display, _fold, config, fold, broken, packages=packages_of(config))


def label_digests(config: Config, name: str, display: ProgressDisplay) -> tuple[str, str]:
    """Digests of a generator's columns before and after permuting the targets that its fit must not see."""
    return (
        in_fresh_process(display, _columns_of_part, config, name, False),
        in_fresh_process(display, _columns_of_part, config, name, True),
    )


def _trial(display: ProgressDisplay, config: Config, broken: str) -> AuditTrial:
    loaded, splits = load_sealed(config)
    true = loaded.panel
    with scratch() as space:
        panel = BREAKS[broken](true, splits, space, rng_for(config.seeds[0], "audit", broken))
        with _temporary_context(config, panel, plan_for(config, splits, panel), display) as context:
            fitted = fit_generators(context)
            corr: dict[str, Float64] = {}
            true_corr: dict[str, Float64] = {}
            if broken != "validation targets permuted":
                predictions = train_and_predict(context, fitted)
                corr = _corr_by_variant(panel, splits, predictions)
                true_corr = _corr_by_variant(true, splits, predictions)
            augmented_rows = {name: _digest_and_copies(context, name) for name in _augmenters(config, weigh=False)}
            weights = {name: _digest_of_weights(context, name) for name in _augmenters(config, weigh=True)}
            return AuditTrial(
                corr=corr,
                true_corr=true_corr,
                in_training=_digests(panel, splits.train, fitted),
                everywhere=_digests(panel, (*splits.train, *splits.validation), fitted),
                rows={**{name: digest for name, (digest, _) in augmented_rows.items()}, **weights},
                column_corr={name: _mean_corr(panel, splits, fit) for (name, _), fit in fitted.items()},
                copies={name: copies for name, (_, copies) in augmented_rows.items()},
            )


@contextmanager
def _temporary_context(config: Config, panel: Panel, plan: FitPlan, display: ProgressDisplay) -> Iterator[RunContext]:
    """A run context in a temporary folder, without a cache."""
    with scratch() as space:
        yield RunContext(config, panel, plan, space, display, lambda name, content: None)


def _augmenters(config: Config, weigh: bool) -> list[str]:
    """Names of the augmenters in use that weigh, or of those that make rows."""
    used = dict.fromkeys(name for variant in config.variants.values() for name in variant.augment)
    return [name for name in used if config.augmenters[name].weighs == weigh]


def _digest_of_weights(context: RunContext, name: str) -> str:
    seed = context.config.seeds[0]
    weights = rows_stream(context, {name: fitted_augmenter(context, name, seed)}, seed).weights()
    return hashlib.sha256(b"" if weights is None else weights.tobytes()).hexdigest()


def _digest_and_copies(context: RunContext, name: str) -> tuple[str, Twins]:
    """A digest of the rows that an augmenter makes, and the copies of validation rows among them."""
    seed = context.config.seeds[0]
    stream = rows_stream(context, {name: fitted_augmenter(context, name, seed)}, seed)
    digest = hashlib.sha256()

    def blocks() -> Iterator[Block]:
        for block in map(stream.rows_of, stream.origins_of(name)):
            assert block.target is not None
            digest.update(block.features.tobytes() + block.target.tobytes())
            yield block
            stream.panel.release()

    copies = twins(context.panel, blocks(), context.splits.scored)
    return digest.hexdigest(), copies


def _corr_by_variant(panel: Panel, splits: Splits, predictions: Predictions) -> dict[str, Float64]:
    scores = []
    for era in splits.scored:
        known, target = known_target(panel, era)
        scores.append(numerai_corr(predictions.at(panel, era)[known].astype(np.float64), target))
    by_variant = np.array(scores).T
    return {column.variant: by_variant[i] for i, column in enumerate(predictions.columns)}


def _digests(panel: Panel, eras: tuple[int, ...], fitted: Mapping[tuple[str, int], Fitted]) -> dict[str, str]:
    out = {}
    for (name, _), fit in fitted.items():
        digest = hashlib.sha256()
        for era in eras:
            digest.update(np.ascontiguousarray(fit.columns[panel.rows(era)]).tobytes())
        out[name] = digest.hexdigest()
    return out


def _mean_corr(panel: Panel, splits: Splits, fitted: Fitted) -> Float64:
    """Mean corr of each column with the target over scored eras."""
    scores = []
    for era in splits.scored:
        known, target = known_target(panel, era)
        columns = fitted.columns[panel.rows(era)][known].astype(np.float64)
        scores.append(np.nan_to_num(numerai_corr(columns, target)))
    mean: Float64 = np.array(scores).mean(0)
    return mean


def _fold(display: ProgressDisplay, config: Config, fold: Fold, broken: bool) -> tuple[dict[str, str], int]:
    loaded, splits = load_sealed(config)
    panel = loaded.panel
    plan, n_eras = plan_for(config, splits, panel), 0
    resolved = resolved_config(config, panel, plan)
    with scratch() as space:
        if broken:
            rng = rng_for(config.seeds[0], "audit", "fold")
            panel, n_eras = without_block(panel, fold, later=max(fold.train) < fold.val1[0], space=space, rng=rng)
        with _temporary_context(resolved, panel, plan, display) as context:
            predictions = out_of_fold(context, plan_for(config, fold, panel))
    columns = enumerate(predictions.columns)
    return {column.variant: hashlib.sha256(predictions.values[:, i].tobytes()).hexdigest() for i, column in columns}, n_eras


def _columns_of_part(display: ProgressDisplay, config: Config, name: str, permuted: bool) -> str:
    loaded, splits = load_sealed(config)
    panel, generator = loaded.panel, config.generators[name]
    part = FitPlan.of(config, splits).generators[name][0]
    if permuted:
        unseen = tuple(era for era in splits.train if era not in part.fitted_on)
        panel = permuted_targets(panel, rng_for(config.seeds[0], "audit", "labels", name), unseen)
    only = config.model_copy(update={"generators": {name: generator}, "variants": {"only": Variant(features=[name])}})
    with _temporary_context(only, panel, FitPlan.of(only, splits), display) as context:
        return _digests(panel, part.serves, fit_generators(context))[name]
