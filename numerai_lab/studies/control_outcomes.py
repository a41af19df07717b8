"""What runs of the synthetic worlds say of each variant: by world seed and pooled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from numerai_lab.config.placebos import placebos_of
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.changes import KINDS, pairs_against, series_of
from numerai_lab.metrics.significance import mean_differences
from numerai_lab.metrics.worlds import world_effects
from numerai_lab.runs.reading import Run, block_of
from numerai_lab.studies.control_requirements import CONTRASTS

HALVES = ("val1", "val2")
SHARE = "share_of_truth"
"""The column of a synthetic run's score table."""
Corr = Mapping[str, Float64]
"""Variant → corr, seeds × eras."""


@dataclass(frozen=True)
class Interval:
    """A change of mean corr with its simultaneous 95 % interval; NaN where there are too few eras."""

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan

    @property
    def sign(self) -> int:
        """1 or −1 where the interval leaves out 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


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


def compared(corr: Corr, opponents: Mapping[str, str], block: int) -> dict[str, Interval]:
    """The change of each variant against its opponent, all judged as one family."""
    members = {name: {"corr": values} for name, values in corr.items()}
    columns = pairs_against(members, opponents, block, statistics=(("corr", "mean"),))
    return {name: _interval(row, "delta") for name, row in columns.items()}


def pooled(tables: Sequence[Corr], opponents: Mapping[str, str], block: int) -> dict[str, Interval]:
    """The mean change over drawn worlds of each variant against its opponent, for worlds like these.

    The intervals hold for all variants together. Of one world alone they hold for that world.
    """
    if len(tables) == 1:
        return compared(tables[0], opponents, block)
    names = list(opponents)
    series = [np.column_stack([table[name].mean(0) - table[opponents[name]].mean(0) for name in names]) for table in tables]
    each = [mean_differences(differences, block) for differences in series]
    values, errors = np.array([own.value for own in each]), np.array([own.error for own in each])
    judged = np.isfinite(errors).all(0) & (errors > 0).all(0)
    out = {name: Interval(float(value)) for name, value in zip(names, values.mean(0), strict=True)}
    if judged.any():
        centred = np.vstack([differences - np.nanmean(differences, axis=0) for differences in series])[:, judged]
        correlation = np.atleast_2d(np.corrcoef(centred[np.isfinite(centred).all(1)], rowvar=False))
        effects = world_effects(values[:, judged], errors[:, judged], correlation)
        ends = zip(np.flatnonzero(judged), effects.value, effects.low, effects.high, strict=True)
        out |= {names[i]: Interval(float(value), float(low), float(high)) for i, value, low, high in ends}
    return out


def _of_world(runs: Sequence[ControlRun]) -> list[VariantOutcomes]:
    config, done = runs[0].config, [member.run for member in runs if member.run is not None]
    if not done:
        return []
    placebos, names = _placebos(config), [name for name in config.variants if name != config.reference]
    block, tables = block_of(done[0].manifest), [_corr(run) for run in done]
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
    differences = [_difference(_corr(run), _corr(other), shared) for run, other in pairs]
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
    against = {"baseline": _interval(row, "delta")}
    against |= {kind: _interval(row, f"delta_{kind}") for kind in KINDS if row.get(kind)}
    share = row.get(SHARE)
    return SeedOutcome(against["baseline"], against, math.nan if share is None else float(share))


def _interval(row: Mapping[str, object], prefix: str) -> Interval:
    ends = (row.get(f"{prefix}_corr_mean{end}") for end in ("", "_sim_low", "_sim_high"))
    return Interval(*(math.nan if value is None else float(str(value)) for value in ends))


def _corr(run: Run) -> Corr:
    """Corr of each variant over both halves of validation."""
    import polars as pl

    table: pl.DataFrame = run.per_era.filter(pl.col("split").is_in(HALVES))
    eras = table["era"].unique().sort().to_list()
    return {
        str(name): series_of(own, eras, ["corr"])["corr"] for (name,), own in table.partition_by("variant", as_dict=True).items()
    }


def _difference(first: Corr, second: Corr, names: Sequence[str]) -> Corr:
    return {name: first[name] - second[name] for name in names}


def _placebos(config: Config) -> dict[str, str]:
    return {variant: placebo for variant, placebo in placebos_of(config).placebo.items() if variant in config.variants}
