"""What changes against the reference, and how sure that is: one computation for a run's table and for `nlab compare`."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from numerai_lab.basics import Float64
from numerai_lab.metrics import ERA_METRICS
from numerai_lab.metrics.multiplicity import adjusted, confidence_set
from numerai_lab.metrics.significance import (
    LEVEL,
    Differences,
    Statistic,
    draw,
    eras_needed,
    mean_differences,
    sharpe_differences,
    studentised,
)

if TYPE_CHECKING:
    import polars as pl

DELTAS = (("corr", "mean"), ("corr", "sharpe"), ("fnc", "mean"), ("max_feature_exposure", "mean"), ("mmc", "mean"))
"""The statistics whose change is tested."""
SURENESS = ("eras_needed", "eras_more", "in_mcs")
"""Columns about the change whose names do not begin with `delta_`."""

Series = Mapping[str, Float64]
"""Metric name → seeds × eras, NaN where there is no score."""
Key = TypeVar("Key", bound=Hashable)


def series_of(table: "pl.DataFrame", eras: Sequence[int], names: Iterable[str] = ERA_METRICS) -> dict[str, Float64]:
    """One variant's rows of a per-era table as seeds × eras for each of these metrics that the table has."""
    seeds = np.unique(table["seed"].to_numpy())
    at = np.searchsorted(seeds, table["seed"].to_numpy()), np.searchsorted(eras, table["era"].to_numpy())
    out = {}
    for name in names:
        if name in table.columns:
            out[name] = np.full((len(seeds), len(eras)), np.nan)
            out[name][at] = table[name].to_numpy()
    return out


def changes(members: Mapping[Key, Series], reference: Key, block: int) -> dict[Key, dict[str, object]]:
    """Columns for every member: `delta_<metric>_<stat>` with `_low`, `_high`, `_p`; then what luck leaves of it.

    Each member is paired with the reference era by era, over eras that both have (scores averaged over seeds; a Sharpe ratio is
    taken for each seed). All differences come from the same resampled eras. `delta_corr_mean_p_adjusted` is over all members;
    `in_mcs` says who is in the model confidence set of corr; `eras_needed` stands beside an undecided change of corr,
    and `eras_more`, those of them that are not paired yet.
    Members have the same eras in the same order. The reference has no delta_ columns.
    """
    others = [key for key in members if key != reference]
    rows: dict[Key, dict[str, object]] = {key: {} for key in members}
    needed: dict[Key, tuple[int | None, int | None]] = {}
    for name, stat in DELTAS if others else ():
        pairs = [(members[key][name], members[reference][name]) for key in others]
        found = _differences(pairs, stat, block)
        columns = {"": found.value, "_low": found.low, "_high": found.high, "_p": found.p}
        if (name, stat) == ("corr", "mean"):
            columns["_p_adjusted"] = adjusted(found)
            needed = dict(zip(others, _undecided(found, columns["_p_adjusted"], pairs), strict=True))
        for i, key in enumerate(others):
            rows[key] |= {f"delta_{name}_{stat}{end}": float(values[i]) for end, values in columns.items()}
    corr = np.column_stack([series["corr"].mean(0) for series in members.values()])
    for key, within in zip(members, confidence_set(corr, block), strict=True):
        wanted, more = needed.get(key, (None, None))
        rows[key] |= {"eras_needed": wanted, "eras_more": more, "in_mcs": within}
    return rows


def _differences(pairs: Sequence[tuple[Float64, Float64]], stat: str, block: int) -> Differences:
    means = np.column_stack([own.mean(0) - reference.mean(0) for own, reference in pairs])
    scored = np.isfinite(means).any(1)  # MMC has scores in a part of the eras only; resamples are drawn from that part
    if not scored.any():
        nothing = np.full(len(pairs), np.nan)
        return Differences(nothing, nothing, nothing, nothing, nothing, nothing, np.empty((0, len(pairs))))
    if stat == "mean":
        return mean_differences(means[scored], block)
    drawn = draw(int(scored.sum()), block)
    alike: dict[bytes, list[int]] = {}
    for i, (own, reference) in enumerate(pairs):
        alike.setdefault(np.isfinite(np.concatenate([own, reference])).all(0).tobytes(), []).append(i)
    each = [sharpe_differences([pairs[i][0][:, scored] for i in at], pairs[0][1][:, scored], drawn) for at in alike.values()]
    order = np.argsort(np.concatenate(list(alike.values())))
    return studentised(Statistic(*(np.concatenate(parts, axis=-1)[..., order] for parts in zip(*each, strict=True))), drawn)


def _undecided(found: Differences, p: Float64, pairs: Sequence[tuple[Float64, Float64]]) -> list[tuple[int | None, int | None]]:
    """Eras needed where the adjusted p leaves it open, and how many more than are paired; else None."""
    out: list[tuple[int | None, int | None]] = []
    for i, (own, reference) in enumerate(pairs):
        n = int(np.isfinite(own.mean(0) - reference.mean(0)).sum())
        wanted = eras_needed(float(found.value[i]), float(found.error[i]), n) if p[i] >= 1 - LEVEL else None
        out.append((wanted, None if wanted is None else wanted - n))
    return out
