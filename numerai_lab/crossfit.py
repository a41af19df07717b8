"""Which eras each fit of a generator sees, and which fit speaks for which rows: what keeps columns made with labels honest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.component import Component
from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import blocked
from numerai_lab.core.panel import Block
from numerai_lab.core.splits import Splits
from numerai_lab.generators import Generator
from numerai_lab.metrics.era import rank

ERAS, SPEAKERS = "eras", "speakers"
"""In the state of several fits: eras, and which fit speaks for each."""


@dataclass(frozen=True)
class Part:
    """One fit: the eras that it learns from, and those whose rows get their columns from it."""

    fitted_on: tuple[int, ...]
    serves: tuple[int, ...]


def parts_of(generator: Generator, splits: Splits, where: str) -> tuple[Part, ...]:
    """The fits of a generator. The last one also speaks for eras that no split names, such as live rows.

    cross_fit: one fit for each block of training eras, by all eras further than the embargo from it on both sides, and one
    on all training eras for validation. early: see `left_to_models`. Raises NlabError, beginning with `where`, when too few
    eras are left.
    """
    scope, train, later = generator.fit_scope, splits.train, splits.validation
    every = tuple(sorted((*train, *later)))
    if scope.kind == "early":
        left = left_to_models(generator, splits)
        parts = [Part(train[: _n_early(scope.share, train)], tuple(sorted((*left, *later))))]
        if len(left) < 2 or len(parts[0].fitted_on) < 2:
            raise NlabError(
                f"{where}.share: {scope.share:g} of {len(train)} training eras and a purge of {splits.embargo_eras} leave "
                f"{len(left)} eras to models; take another share"
            )
        return tuple(parts)
    if scope.kind != "cross_fit":
        return (Part(every if scope.kind == "all" else train, every),)
    blocks = blocked(train, scope.blocks, splits.embargo_eras)
    fewest = min(len(seen) for seen, _ in blocks)
    if len(blocks) < scope.blocks or fewest < 2:
        raise NlabError(
            f"{where}.blocks: {scope.blocks} blocks of {len(train)} training eras, purged by {splits.embargo_eras} on both "
            f"sides, leave {fewest} eras to learn from; take another number, or longer training"
        )
    return (*(Part(seen, block) for seen, block in blocks), Part(train, later))


def left_to_models(generator: Generator, splits: Splits) -> tuple[int, ...]:
    """Training eras that a model which reads the generator's columns may learn from.

    All of them, or with the scheme `early` those that follow the last era it learned from by more than the embargo.
    """
    train, scope = splits.train, generator.fit_scope
    if scope.kind != "early":
        return train
    last = train[_n_early(scope.share, train) - 1]
    return tuple(era for era in train if era > last + splits.embargo_eras)


def training_eras(generators: Mapping[str, Generator], names: Iterable[str], splits: Splits) -> tuple[int, ...]:
    """Training eras that all of these generators leave to a model; names that are no generator's take none away."""
    left = set(splits.train)
    for name in names:
        if name in generators:
            left &= set(left_to_models(generators[name], splits))
    return tuple(sorted(left))


def label_note(generator: Generator, splits: Splits) -> str:
    """What tables say of a generator that uses labels; empty for others."""
    scope = generator.fit_scope
    if scope.kind == "early":
        return f"learned from labels of the first {_n_early(scope.share, splits.train)} training eras"
    return f"cross-fit with training labels in {scope.blocks} blocks" if scope.labelled else ""


def _n_early(share: float, train: Sequence[int]) -> int:
    return max(1, round(exact_share(share, len(train))))


@dataclass(frozen=True)
class Fits:
    """A fitted generator: one fit or several, and which of them speaks for an era (the last one, where nothing is said).

    states: of each fit, as `Generator.state` gave it. live: fitted generators that are at hand, by fit.
    """

    template: Generator
    states: tuple[Mapping[str, Array], ...]
    of_era: Mapping[int, int]
    live: Mapping[int, Generator] = field(default_factory=dict)

    @classmethod
    def restored(cls, template: Generator, arrays: Mapping[str, Array]) -> "Fits":
        """The inverse of `state`."""
        if ERAS not in arrays:
            return cls(template, (arrays,), {})
        states: list[dict[str, Array]] = [{} for _ in range(int(arrays[SPEAKERS].max()) + 1)]
        for name, value in arrays.items():
            if name not in (ERAS, SPEAKERS):
                i, _, own = name.partition("/")
                states[int(i)][own] = value
        return cls(template, tuple(states), dict(zip(arrays[ERAS].tolist(), arrays[SPEAKERS].tolist(), strict=True)))

    def state(self) -> dict[str, Array]:
        """Plain arrays: those of a single fit without labels as they are, others under `<fit>/<name>` beside the eras."""
        if not self.template.uses_labels:
            return dict(self.states[0])
        spoken = sorted(self.of_era.items())
        named = {f"{i}/{name}": value for i, state in enumerate(self.states) for name, value in state.items()}
        return {**named, ERAS: np.array([e for e, _ in spoken]), SPEAKERS: np.array([i for _, i in spoken])}

    @cached_property
    def generators(self) -> tuple[Generator, ...]:
        """The fitted generators, restored when they are first asked for."""
        return tuple(self.live.get(i) or self.template.restored(dict(state)) for i, state in enumerate(self.states))

    @cached_property
    def names(self) -> list[str]:
        """Names of the emitted columns; what a class rebuilds from its arrays when it is restored is not needed for them."""
        return Component.restored(self.template, dict(self.states[-1])).names_out()

    @property
    def selected(self) -> Array | None:
        """Positions of the raw features that the last fit reads, if not all."""
        return self.states[-1].get("selected_")

    def speaks_for(self, era: int) -> bool:
        """An honest fit is there: the era is served by one, or no labels were used, or it is later than all that were seen."""
        return not self.template.uses_labels or era in self.of_era or era > max(self.of_era)

    def columns_for(self, block: Block) -> Float32:
        """Columns of a block of all raw features, by the fit that speaks for its era.

        Columns of a cross-fit are ranks within the block, 0 to 1: fits on more or fewer eras differ in how far their columns
        spread, and a model must find the same distribution in training and afterwards. (On planted data predictions of a
        network fitted on all training eras stood .14 from those of its folds by Kolmogorov and Smirnov's measure, the mean of
        the folds' .06.)
        """
        values = self.generators[self.of_era.get(block.era, -1)].columns_for(block)
        ranked = self.template.fit_scope.kind == "cross_fit"
        return rank(values.astype(np.float64)).astype(np.float32) if ranked else values
