"""The fit plan: the eras that each generator, augmenter and model of a run sees, decided once after the splits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import Fold, blocked, make_folds
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.core.walk_forward import Step, make_steps
from numerai_lab.generators import Generator

if TYPE_CHECKING:  # the code of a stage counts what this module imports, and a config knows every component
    from numerai_lab.config.schema import Config


@dataclass(frozen=True)
class GeneratorFit:
    """One fit of a generator: the eras it learns from, and the eras whose rows get their columns from it."""

    fitted_on: tuple[int, ...]
    serves: tuple[int, ...]


@dataclass(frozen=True)
class FitPlan:
    """The eras that each fit of a run sees. Estimates, stages, notes, cards and audit read it.

    Attributes
    ----------
    splits: the splits, or a fold of cross-validation.
    generators: by name of a generator, its fits. The last one also gives the columns of eras that no split names, such
        as live rows.
    models: by name of a variant, the training eras of its model and augmenters.
    """

    config: "Config"
    splits: Splits
    generators: Mapping[str, tuple[GeneratorFit, ...]]
    models: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, config: "Config", splits: Splits) -> "FitPlan":
        """The plan of a config. Raises NlabError where a fit or a model has too few eras."""
        fits = {name: generator_fits(generator, splits, f"generators.{name}") for name, generator in config.generators.items()}
        models = {name: training_eras(config.generators, variant.reads, splits) for name, variant in config.variants.items()}
        for name, eras in models.items():
            if len(eras) < 2:
                raise NlabError(
                    f"variants.{name}: its generators leave {len(eras)} of {len(splits.train)} training eras to its model"
                )
        return cls(config, splits, fits, models)

    def fitted_on(self, generator: str) -> tuple[int, ...]:
        """The eras that the last fit of a generator learns from, which also serves live rows."""
        return self.generators[generator][-1].fitted_on

    @cached_property
    def shared_models(self) -> dict[str, str]:
        """Variant → the first of the same inputs, augmenters, model, targets and training eras, whose trained models it shares.

        Such variants differ in post-processing alone. Ensembles have no model and are left out.
        """
        config, firsts = self.config, dict[str, str]()
        parts = {name: (config.variants[name], config.model_of(name), self.models[name]) for name in config.trained}
        return {
            name: firsts.setdefault(repr((variant.inputs, variant.augment, model, self._learned(name), eras)), name)
            for name, (variant, model, eras) in parts.items()
        }

    def _learned(self, name: str) -> tuple[object, ...]:
        """The targets of a variant, and the recipe of their transform."""
        transform = self.config.variants[name].target_transform
        return (self.config.targets_of(name), transform and transform.seed_key)


def folds_of(config: "Config", panel: Panel, splits: Splits) -> tuple[Fold, ...]:
    """The folds of cross-validation inside the training eras; none without `cv`. Raises NlabError as `make_folds` does."""
    return make_folds(config.cv, splits.train, panel.reach_days, panel.days_per_era) if config.cv else ()


def steps_of(config: "Config", panel: Panel, splits: Splits) -> tuple[Step, ...]:
    """The steps of walk-forward validation; none without `retrain`. Raises NlabError as `make_steps` does."""
    known = {era for era, n in zip(panel.eras.tolist(), panel.n_known.tolist(), strict=True) if n >= 2}
    return make_steps(config.retrain, splits, known, config.splits.era_stride) if config.retrain else ()


def seen_by(panel: Panel, splits: Splits) -> Panel:
    """The panel up to the last era that a fold or step trains on or predicts: later ones do not exist for its fits."""
    return panel.until(max(*splits.train, *splits.validation))


def generator_fits(generator: Generator, splits: Splits, where: str) -> tuple[GeneratorFit, ...]:
    """The fits of a generator.

    cross_fit: one fit for each block of training eras, by all eras further than the embargo from it on both sides, and
    one on all training eras for validation. early: see `left_to_models`. Raises NlabError, beginning with `where`, when
    too few eras are left.
    """
    scope, train, later = generator.fit_scope, splits.train, splits.validation
    every = tuple(sorted((*train, *later)))
    if scope.kind == "early":
        return (_early_fit(generator, splits, where),)
    if scope.kind != "cross_fit":
        return (GeneratorFit(every if scope.kind == "all" else train, every),)
    blocks = blocked(train, scope.blocks, splits.embargo_eras)
    fewest = min(len(seen) for seen, _ in blocks)
    if len(blocks) < scope.blocks or fewest < 2:
        raise NlabError(
            f"{where}.blocks: {scope.blocks} blocks of {len(train)} training eras, purged by {splits.embargo_eras} on both "
            f"sides, leave {fewest} eras to learn from; take another number, or longer training"
        )
    return (*(GeneratorFit(seen, block) for seen, block in blocks), GeneratorFit(train, later))


def _early_fit(generator: Generator, splits: Splits, where: str) -> GeneratorFit:
    scope, train, left = generator.fit_scope, splits.train, left_to_models(generator, splits)
    fit = GeneratorFit(train[: _n_early(scope.share, train)], tuple(sorted((*left, *splits.validation))))
    if len(left) < 2 or len(fit.fitted_on) < 2:
        raise NlabError(
            f"{where}.share: {scope.share:g} of {len(train)} training eras and a purge of {splits.embargo_eras} leave "
            f"{len(left)} eras to models; take another share"
        )
    return fit


def left_to_models(generator: Generator, splits: Splits) -> tuple[int, ...]:
    """Training eras that a model which reads the generator's columns may learn from.

    With the scheme `early` they follow the last era of the fit by more than the embargo; else they are all training eras.
    """
    train, scope = splits.train, generator.fit_scope
    if scope.kind != "early":
        return train
    last = train[_n_early(scope.share, train) - 1]
    return tuple(era for era in train if era > last + splits.embargo_eras)


def training_eras(generators: Mapping[str, Generator], names: Iterable[str], splits: Splits) -> tuple[int, ...]:
    """Training eras that all of these generators leave to a model; names of no generator take none away."""
    left = set(splits.train)
    for name in names:
        if name in generators:
            left &= set(left_to_models(generators[name], splits))
    return tuple(sorted(left))


def label_note(generator: Generator, splits: Splits) -> str:
    """The note in tables on a generator that uses labels; empty for others."""
    scope = generator.fit_scope
    if scope.kind == "early":
        return f"learned from labels of the first {_n_early(scope.share, splits.train)} training eras"
    return f"cross-fit with training labels in {scope.blocks} blocks" if scope.labelled else ""


def _n_early(share: float, train: Sequence[int]) -> int:
    return max(1, round(exact_share(share, len(train))))
