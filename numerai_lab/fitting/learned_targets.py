"""The targets that models learn: the run's own or further ones of a variant, transformed within each training era."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from numerai_lab.config.schema import Config, Variant
from numerai_lab.core.arrays import Float32
from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.fit_plan import FitPlan, folds_of, steps_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.target_transforms import TargetTransform

FEWEST_ERAS = 2
"""Training eras that a model needs."""


def plan_for(config: Config, splits: Splits, panel: Panel) -> FitPlan:
    """The fit plan of a config on its data: models learn from no era in which their transform can't read what it needs.

    Raises NlabError as `FitPlan.of` does, for transforms that the data refuse, and where too few eras are left to a model.
    """
    plan = FitPlan.of(config, splits)
    models = dict(plan.models)
    for name, variant in config.variants.items():
        transform = variant.target_transform
        if transform is None:
            continue
        if message := transform.refusal(panel):
            raise NlabError(f"variants.{name}.target_transform.{message}")
        models[name] = tuple(era for era in plan.models[name] if transform.covers(panel, era).any())
        if len(models[name]) < FEWEST_ERAS:
            raise NlabError(
                f"variants.{name}.target_transform: {len(models[name])} of {len(plan.models[name])} training eras have what "
                f"{transform.kind} reads, and a model needs {FEWEST_ERAS}; take another column, or other training eras"
            )
    return replace(plan, models=models)


def plans_of(config: Config, splits: Splits, panel: Panel) -> tuple[FitPlan, ...]:
    """The fit plans of a run: that of validation, then of each fold of cross-validation and step of walk-forward validation.

    Raises NlabError as `plan_for`, `folds_of` and `steps_of` do.
    """
    parts = (splits, *folds_of(config, panel, splits), *steps_of(config, panel, splits))
    return tuple(plan_for(config, part, panel) for part in parts)


def remarks_of(plan: FitPlan, panel: Panel) -> Iterator[str]:
    """Remarks on training rows that are left out: the data lack what a transform reads, or one of the targets learned jointly."""
    config, every = plan.config, FitPlan.of(plan.config, plan.splits).models
    for name in config.trained:
        yield from _jointly_left_out(config, name, panel.only(plan.models[name]))
    for name, variant in config.variants.items():
        if variant.target_transform is None:
            continue
        transform, n_eras = variant.target_transform, len(every[name]) - len(plan.models[name])
        n_rows = sum(int((~transform.covers(panel, era)).sum()) for era in every[name])
        if n_rows:
            yield f"variants.{name} learns from {n_rows:,} fewer rows than others ({n_eras} eras as a whole): {transform.lacks}"


def _jointly_left_out(config: Config, name: str, panel: Panel) -> Iterator[str]:
    """A remark on the training rows that a variant leaves out because one of its targets is unknown there."""
    for targets in config.targets_by_model(name):
        if len(targets) == 1:
            continue
        known = np.array([np.isfinite(target_values(panel, config, target)) for target in targets])
        rows = np.concatenate([np.arange(first, last) for first, last in panel.bounds])
        n_known = known[:, rows].sum(0)
        n_any, n_all = int((n_known > 0).sum()), int((n_known == len(targets)).sum())
        if n_all < n_any:
            yield (
                f"variants.{name} leaves out {n_any - n_all:,} of {n_any:,} training rows, where some of {' and '.join(targets)} "
                "is unknown: one model learns them together"
            )


def learning(context: RunContext, name: str, targets: tuple[str, ...]) -> RunContext:
    """The context in which a variant's model of some of its targets, and its augmenters, are fitted.

    The target of its panel is what the model learns in the training eras of the variant, and NaN elsewhere. Further targets
    are its auxiliary ones; all are NaN where one of them is. Raises NlabError where too little of the targets is known, or
    left by the transform.
    """
    config, context = context.config, replace(context.for_variant(name), targets=targets)
    if config.learns_own_target(name):
        return context
    variant, eras = config.variants[name], context.train
    transform = variant.target_transform
    key = repr(("labels", targets, transform and transform.seed_key, ranges_text(eras)))
    labels = context.scratch.fetch(key)
    if labels is None:
        values = [_labels(context.panel, target_values(context.panel, config, target), transform, eras) for target in targets]
        labels = np.array(values)
        labels[:, ~np.isfinite(labels).all(0)] = np.nan
        context.scratch.keep(key, labels)
    first, *further = labels
    auxiliary = {target: Auxiliary(values) for target, values in zip(targets[1:], further, strict=True)}
    panel = replace(context.panel, target=first, auxiliary=auxiliary)
    n_left = sum(np.isfinite(first[panel.rows(era)]).any() for era in eras)
    if n_left < FEWEST_ERAS:
        raise NlabError(
            f"variants.{name}: {n_left} of {len(eras)} training eras have anything of {_named(targets)} left to learn"
            + (f" after {transform.kind}; lower its proportion, or let it read fewer features" if transform else "")
        )
    return replace(context, panel=panel, labels=hashlib.sha256(np.ascontiguousarray(labels).data).hexdigest())


def _named(targets: tuple[str, ...]) -> str:
    return " and ".join(map(repr, targets)) + (" together" if len(targets) > 1 else "")


def target_values(panel: Panel, config: Config, target: str) -> Float32:
    """The values of one of the targets that are read: float32, one a row, NaN where unknown."""
    if target != config.data.target:
        return panel.auxiliary[target].values
    assert panel.target is not None
    return panel.target


def with_learned_rows(panel: Panel, config: Config, name: str, targets: tuple[str, ...], eras: Iterable[int]) -> Panel:
    """The panel with the first target of a model, untransformed; NaN in rows of these eras that it does not learn from."""
    every = np.array([target_values(panel, config, target) for target in targets])
    values, transform = np.where(np.isfinite(every).all(0), every[0], np.float32(np.nan)), config.variants[name].target_transform
    for era in eras if transform is not None else ():
        assert transform is not None
        values[panel.rows(era)][~transform.covers(panel, era)] = np.nan
    return replace(panel, target=values, auxiliary={})


def learns_note(config: Config, variant: Variant) -> str:
    """The note in tables on what the models of a variant learn; empty where it is the run's target as it is."""
    targets = variant.targets or []
    together = " in one model" if len(targets) > 1 and (variant.model or config.model).learns_jointly else ""
    parts = [f"learns {' and '.join(targets)}{together}"] if targets and targets != [config.data.target] else []
    return "; ".join([*parts, *([variant.target_transform.note] if variant.target_transform else [])])


def _labels(panel: Panel, values: Float32, transform: TargetTransform | None, eras: Iterable[int]) -> Float32:
    """What a model learns: float32, one a row; NaN in other eras, and where nothing is known or left."""
    labels, shown = np.full(len(values), np.nan, np.float32), panel.without_target()
    for era in eras:
        rows = panel.rows(era)
        labels[rows] = values[rows] if transform is None else _transformed(transform, shown.only([era]), era, values[rows])
        panel.release()
    return labels


def _transformed(transform: TargetTransform, panel: Panel, era: int, target: Float32) -> Float32:
    known: NDArray[np.bool_] = np.isfinite(target) & transform.covers(panel, era)
    labels = np.full(len(target), np.nan, np.float32)
    if known.any():
        labels[known] = transform.transform(target[known].astype(np.float64), transform.covariates(panel, era)[known])
    return labels
