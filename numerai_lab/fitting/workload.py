"""The stages that a run will go through and how much work each is, from its plan."""

from collections.abc import Iterator
from dataclasses import dataclass

from numerai_lab.config.schema import Config
from numerai_lab.core.component import Component
from numerai_lab.fitting.estimate import EstimateInputs
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.variants import trainings
from numerai_lab.runs.layout import model_name
from numerai_lab.storage.folders import key_of

LENGTHS = ("n_estimators", "n_epochs", "epochs", "max_steps", "steps")
"""Parameters to which the time of a fit is proportional."""
SCORE, REPORT, REALISM = "score", "report", "realism"


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a run before it runs.

    label: as in the log. family: such as `train xgboost`; kind: the same with all parameters. amount: of work, proportional to
    its time among stages of a kind, and roughly so among those of a family.
    """

    label: str
    family: str
    kind: str
    amount: float


def planned_stages(inputs: EstimateInputs) -> list[PlannedStage]:
    """Every stage of a run in its order, those that the cache has included."""
    stages = [*_stages(inputs, inputs.plan)]
    if any(augmenter.invents_rows for augmenter in inputs.config.augmenters.values()):
        stages.append(_plain(REALISM, inputs.rows_of(inputs.plan.splits.train) * inputs.n_features))
    for fold in inputs.folds:
        stages += _stages(inputs, fold)
    n_columns = len(inputs.config.variants) * len(inputs.config.seeds)
    n_scored = sum(inputs.rows_of(plan.splits.validation) for plan in (inputs.plan, *inputs.folds))
    return [*stages, _plain(SCORE, n_scored * n_columns), _plain(REPORT, n_columns)]


def _stages(inputs: EstimateInputs, plan: FitPlan) -> Iterator[PlannedStage]:
    yield from _of_generators(inputs, plan)
    config, sizes = plan.config, dict(zip(plan.config.trained, inputs.trainings(plan), strict=True))
    n_predicted = inputs.rows_of(plan.splits.validation)
    fitted: set[str] = set()
    for name, seed, targets in trainings(config, plan.shared_models):
        model, n_rows, n_columns = sizes[name].model, sizes[name].n_rows, sizes[name].n_columns
        variant = config.variants[name]
        for augmenter in variant.augment:
            template, label = config.augmenters[augmenter], f"fit {augmenter}@{seed}"
            key = f"{label} {targets} {plan.models[name]}"
            if template.learns and key not in fitted:
                fitted.add(key)
                yield _stage(label, "fit", template, inputs.rows_of(plan.models[name]) * inputs.n_features)
        beside = key_of([config.augmenters[augmenter].recipe for augmenter in variant.augment])
        label = model_name(name, seed, config.number_of(name, targets))
        yield _stage(f"train {label}", "train", model, n_rows * n_columns, beside)
        yield _stage(f"predict {label}", "predict", model, n_predicted * n_columns)


def _of_generators(inputs: EstimateInputs, plan: FitPlan) -> Iterator[PlannedStage]:
    config = plan.config
    n_rows = sum(inputs.n_rows.values())
    for name in _used(config):
        template, parts = config.generators[name], plan.generators[name]
        for seed in config.seeds if template.stochastic else config.seeds[:1]:
            for i, part in enumerate(parts, start=1):
                label = f"fit {name}@{seed}" + (f", {i} of {len(parts)}" if len(parts) > 1 else "")
                yield _stage(label, "fit", template, inputs.rows_of(part.fitted_on) * inputs.n_features)
            yield _stage(f"columns {name}@{seed}", "columns", template, n_rows * inputs.n_features)


def _used(config: Config) -> list[str]:
    used = {name for variant in config.trained for name in config.generators_of(variant)}
    return [name for name in config.generators if name in used]


def _stage(label: str, what: str, component: Component, amount: float, beside: str = "") -> PlannedStage:
    parameters = component.model_dump()
    family = f"{what} {parameters.get('kind', type(component).__name__)}"
    lengths = [parameters[name] for name in LENGTHS if what != "columns" and isinstance(parameters.get(name), int)]
    return PlannedStage(label, family, f"{family} {key_of(parameters, beside)}", float(amount * next(iter(lengths), 1)))


def _plain(what: str, amount: float) -> PlannedStage:
    return PlannedStage(what, what, what, float(amount))
