"""What runs of the synthetic worlds say of each variant: by world seed and pooled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from numerai_lab.config.placebos import placebos_of
from numerai_lab.config.schema import Config
from numerai_lab.metrics.changes import KINDS
from numerai_lab.runs.reading import Run, block_of
from numerai_lab.studies.control_requirements import CONTRASTS
from numerai_lab.studies.world_pooling import Corr, Interval, compared, corr_of, interval_of, pooled

SHARE = "share_of_truth"
"""The column of a synthetic run's score table."""


@dataclass(frozen=True)
class SeedOutcome:
    """A variant in one drawn world.

    change: Δ; in a contrast, how much Δ exceeds that in the other world. against: opponent → the
    change against it.
    """

    change: Interval
    against: Mapping[str, Interval]
    share_of_truth: float = math.nan


@dataclass(frozen=True)
class ControlRun:
    """The run of a world's config with one world seed; None and the reason where it failed."""

    world: str
    seed: int
    config: Config
    run: Run | None
    failure: str = ""

    def kinds(self, variant: str) -> tuple[str, ...]:
        """Kinds of the generators and augmenters of a variant."""
        own, config = self.config.variants[variant], self.config
        generators = [config.generators[name].kind for name in own.inputs if name in config.generators]
        return (*generators, *(config.augmenters[name].kind for name in own.augment))


@dataclass(frozen=True)
class VariantOutcomes:
    """A variant in all drawn worlds of a name. kinds: of its generators and augmenters. pooled: Δ over all their eras."""

    world: str
    variant: str
    kinds: tuple[str, ...]
    outcomes: tuple[SeedOutcome, ...]
    pooled: Interval
    n_seeds: int
    placebo: str = ""
    against_placebo: Interval = field(default_factory=Interval)

    @property
    def mean(self) -> float:
        """Mean of Δ over world seeds."""
        return float(np.mean([outcome.change.value for outcome in self.outcomes]))

    @property
    def share_of_truth(self) -> float:
        """Its mean over the world seeds that have one."""
        shares = [outcome.share_of_truth for outcome in self.outcomes if math.isfinite(outcome.share_of_truth)]
        return float(np.mean(shares)) if shares else math.nan


def outcomes_of(runs: Sequence[ControlRun]) -> list[VariantOutcomes]:
    """A row for each world and variant but the reference, then for each contrast whose worlds were run."""
    by_world: dict[str, list[ControlRun]] = {}
    for control_run in runs:
        by_world.setdefault(control_run.world, []).append(control_run)
    rows = [row for members in by_world.values() for row in _of_world(members)]
    for name, (first, second) in CONTRASTS.items():
        if first in by_world and second in by_world:
            rows += _of_contrast(name, by_world[first], by_world[second])
    return rows


def _of_world(runs: Sequence[ControlRun]) -> list[VariantOutcomes]:
    config, done = runs[0].config, [member.run for member in runs if member.run is not None]
    if not done:
        return []
    placebos, names = _placebos(config), [name for name in config.variants if name != config.reference]
    block, tables = block_of(done[0].manifest), [corr_of(run) for run in done]
    changes = pooled(tables, dict.fromkeys(names, config.reference), block)
    against_placebo = pooled(tables, placebos, block) if placebos else {}
    return [
        VariantOutcomes(
            world=runs[0].world,
            variant=name,
            kinds=runs[0].kinds(name),
            outcomes=tuple(_outcome(run, name) for run in done),
            pooled=changes[name],
            n_seeds=len(runs),
            placebo=placebos.get(name, ""),
            against_placebo=against_placebo.get(name, Interval()),
        )
        for name in names
    ]


def _of_contrast(name: str, first: Sequence[ControlRun], second: Sequence[ControlRun]) -> list[VariantOutcomes]:
    """How much more variants change in the first worlds than in the second ones, by pairs of the same world seed."""
    of_second = {member.seed: member.run for member in second}
    pairs = [(member.run, run) for member in first if member.run is not None and (run := of_second.get(member.seed)) is not None]
    config, other_config = first[0].config, second[0].config
    shared = [variant for variant in config.variants if variant in other_config.variants]
    placebos = {variant: placebo for variant, placebo in _placebos(config).items() if {variant, placebo} <= {*shared}}
    opponents = {variant: placebos.get(variant, config.reference) for variant in shared if variant != config.reference}
    if not pairs or not opponents:
        return []
    differences = [_difference(corr_of(run), corr_of(other), shared) for run, other in pairs]
    block = block_of(pairs[0][0].manifest)
    by_seed = [compared(corr, opponents, block) for corr in differences]
    over_worlds = pooled(differences, opponents, block)
    return [
        VariantOutcomes(
            world=name,
            variant=variant,
            kinds=first[0].kinds(variant),
            outcomes=tuple(
                SeedOutcome(changes[variant], {"placebo" if variant in placebos else "baseline": changes[variant]})
                for changes in by_seed
            ),
            pooled=over_worlds[variant],
            n_seeds=len(first),
            placebo=placebos.get(variant, ""),
        )
        for variant in opponents
    ]


def _outcome(run: Run, variant: str) -> SeedOutcome:
    """What the run's own score table says, whose intervals hold for all its variants together."""
    row = run.scores.filter(variant=variant, split="val").row(0, named=True)
    against = {"baseline": interval_of(row, "delta")}
    against |= {kind: interval_of(row, f"delta_{kind}") for kind in KINDS if row.get(kind)}
    share = row.get(SHARE)
    return SeedOutcome(against["baseline"], against, math.nan if share is None else float(share))


def _difference(first: Corr, second: Corr, names: Sequence[str]) -> Corr:
    return {name: first[name] - second[name] for name in names}


def _placebos(config: Config) -> dict[str, str]:
    return {variant: placebo for variant, placebo in placebos_of(config).placebo.items() if variant in config.variants}
