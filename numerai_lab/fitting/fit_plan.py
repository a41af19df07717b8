"""Which eras each fit of a generator sees, and which fit speaks for which rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from numerai_lab.core.era_ranges import exact_share
from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import blocked
from numerai_lab.core.splits import Splits
from numerai_lab.generators import Generator


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
