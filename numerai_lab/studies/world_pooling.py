"""Changes of mean corr in one synthetic world, and their mean over several."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.changes import pairs_against, series_of
from numerai_lab.metrics.significance import mean_differences
from numerai_lab.metrics.worlds import world_effects
from numerai_lab.runs.reading import Run

HALVES = ("val1", "val2")
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


def finite(value: float) -> float | None:
    """The value, or None where it is NaN or infinite, which JSON can't write."""
    return value if math.isfinite(value) else None


def compared(corr: Corr, opponents: Mapping[str, str], block: int) -> dict[str, Interval]:
    """The change of each variant against its opponent, all judged as one family."""
    members = {name: {"corr": values} for name, values in corr.items()}
    columns = pairs_against(members, opponents, block, statistics=(("corr", "mean"),))
    return {name: interval_of(row, "delta") for name, row in columns.items()}


def pooled(tables: Sequence[Corr], opponents: Mapping[str, str], block: int) -> dict[str, Interval]:
    """The mean change over drawn worlds of each variant against its opponent, for worlds like these.

    The intervals hold for all variants together. Of one world alone they hold for that world.
    """
    if len(tables) == 1:
        return compared(tables[0], opponents, block)
    names = list(opponents)
    series = [np.column_stack([table[name].mean(0) - table[opponents[name]].mean(0) for name in names]) for table in tables]
    by_world = [mean_differences(differences, block) for differences in series]
    values, errors = np.array([own.value for own in by_world]), np.array([own.error for own in by_world])
    judged = np.isfinite(errors).all(0) & (errors > 0).all(0)
    out = {name: Interval(float(value)) for name, value in zip(names, values.mean(0), strict=True)}
    if judged.any():
        centred = np.vstack([differences - np.nanmean(differences, axis=0) for differences in series])[:, judged]
        correlation = np.atleast_2d(np.corrcoef(centred[np.isfinite(centred).all(1)], rowvar=False))
        effects = world_effects(values[:, judged], errors[:, judged], correlation)
        ends = zip(np.flatnonzero(judged), effects.value, effects.low, effects.high, strict=True)
        out |= {names[i]: Interval(float(value), float(low), float(high)) for i, value, low, high in ends}
    return out


def interval_of(row: Mapping[str, object], prefix: str) -> Interval:
    """The interval in a row of changes whose columns begin with `prefix`."""
    ends = (row.get(f"{prefix}_corr_mean{end}") for end in ("", "_sim_low", "_sim_high"))
    return Interval(*(math.nan if value is None else float(str(value)) for value in ends))


def corr_of(run: Run) -> Corr:
    """Corr of each variant over both halves of validation."""
    import polars as pl

    table = run.per_era.filter(pl.col("split").is_in(HALVES))
    eras = table["era"].unique().sort().to_list()
    return {
        str(name): series_of(own, eras, ["corr"])["corr"] for (name,), own in table.partition_by("variant", as_dict=True).items()
    }
