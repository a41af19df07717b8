"""Changes against the reference and their uncertainty, for a run's table and for `nlab compare`."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics import ERA_METRICS
from numerai_lab.metrics.multiplicity import confidence_set, family_test
from numerai_lab.metrics.retraining import PairSide, SeedNoise, retraining, scores_key, seed_noise
from numerai_lab.metrics.significance import (
    RESAMPLES,
    Differences,
    Statistic,
    draw,
    mean_differences,
    sharpe_differences,
    studentised,
)
from numerai_lab.metrics.summary import summarise
from numerai_lab.metrics.verdict import SMALLEST_EFFECT, verdict_beside, verdict_of

if TYPE_CHECKING:
    import polars as pl

FAMILY = (("corr", "mean"), ("bmc", "mean"), ("bmc_last200", "mean"), ("payout_proxy", "mean"))
"""The statistics that people decide by. Each is tested for all members together, as one family."""
DELTAS = (*FAMILY, ("corr", "sharpe"), ("fnc", "mean"), ("max_feature_exposure", "mean"), ("mmc", "mean"))
"""The statistics whose change is tested."""
PLACEBO = (("corr", "mean"),)
"""The statistics that are compared with placebos too."""
KINDS = ("placebo", "untrained")
"""Kinds of placebos, and the columns that name them."""
VERDICT_COLUMNS = ("reference", *KINDS, "verdict", "in_mcs")
"""Columns about the change whose names do not begin with `delta_`."""

Series = Mapping[str, Float64]
"""Metric name → seeds × eras, NaN where there is no score."""
Pair = tuple[Float64, Float64]
"""Scores of a member and of its opponent, seeds × eras each."""
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Judging:
    """How changes are judged. block: mean block of the bootstrap, eras; statistics: mean corr and others of `DELTAS`."""

    block: int
    smallest_effect: float = SMALLEST_EFFECT
    statistics: Sequence[tuple[str, str]] = DELTAS


def series_of(table: "pl.DataFrame", eras: Sequence[int], names: Iterable[str] = ERA_METRICS) -> dict[str, Float64]:
    """Scores of one variant's rows of a per-era table: seeds × eras, by those of the metrics that the table has."""
    seeds = np.unique(table["seed"].to_numpy())
    places = np.searchsorted(seeds, table["seed"].to_numpy()), np.searchsorted(eras, table["era"].to_numpy())
    out = {}
    for name in names:
        if name in table.columns:
            out[name] = np.full((len(seeds), len(eras)), np.nan)
            out[name][places] = table[name].to_numpy()
    return out


def changes(
    members: Mapping[Key, Series],
    reference: Key,
    judging: Judging,
    placebos: Mapping[str, Mapping[Key, Key]] | None = None,
    compared: Collection[Key] | None = None,
) -> dict[Key, dict[str, object]]:
    """Columns for every member: its changes by `pairs_against`, its opponents, `verdict` and `in_mcs`.

    `verdict` is `verdict_of` the simultaneous interval of mean corr, better only if
    `verdict_beside` its placebos is better too. `in_mcs`: in the model confidence set of corr. The
    reference has neither a change nor a verdict. placebos: kind → member → its placebo; each kind
    is a family of its own, `delta_<kind>_corr_mean…`. `reference`, `placebo` and `untrained` hold
    the keys of the opponents. compared: members that are compared with the reference, by default
    all others; only they form the family.
    """
    family = [key for key in members if key != reference and (compared is None or key in compared)]
    against_reference = pairs_against(members, dict.fromkeys(family, reference), judging.block, statistics=judging.statistics)
    rows: dict[Key, dict[str, object]] = {key: dict(against_reference.get(key, {})) for key in members}
    beside: dict[Key, dict[str, tuple[float, float, float]]] = {key: {} for key in members}
    for kind, pairs in (placebos or {}).items():
        own = {key: other for key, other in pairs.items() if key in members and other in members}
        for key, columns in pairs_against(members, own, judging.block, f"delta_{kind}", PLACEBO).items():
            rows[key] |= {**columns, kind: own[key]}
            beside[key][kind] = _ends(columns, f"delta_{kind}")
    for key, columns in against_reference.items():
        verdict = verdict_beside(verdict_of(*_ends(columns, "delta"), judging.smallest_effect), beside[key])
        rows[key] |= {"reference": reference, "verdict": verdict}
    corr = np.column_stack([series["corr"].mean(0) for series in members.values()])
    noise = retraining([series["corr"] for series in members.values()])
    for key, within in zip(members, confidence_set(corr, judging.block, noise=noise), strict=True):
        rows[key] = {**dict.fromkeys(VERDICT_COLUMNS), **rows[key], "in_mcs": within}
    return rows


def typed(table: "pl.DataFrame") -> "pl.DataFrame":
    """A table of changes with columns of text and truth cast to their types, even where all of them are missing."""
    import polars as pl

    texts = [name for name in VERDICT_COLUMNS if name != "in_mcs"]
    return table.with_columns(pl.col(texts).cast(pl.String), pl.col("in_mcs").cast(pl.Boolean))


def _ends(columns: Mapping[str, object], prefix: str) -> tuple[float, float, float]:
    """The change of mean corr and its simultaneous interval."""
    value, low, high = (float(str(columns[f"{prefix}_corr_mean{end}"])) for end in ("", "_sim_low", "_sim_high"))
    return value, low, high


def pairs_against(
    members: Mapping[Key, Series],
    opponent_of: Mapping[Key, Key],
    block: int,
    prefix: str = "delta",
    statistics: Sequence[tuple[str, str]] = DELTAS,
) -> dict[Key, dict[str, object]]:
    """Columns for every key of `opponent_of` (member → its opponent); all pairs are tested as one family.

    Each of the statistics gives `<prefix>_<metric>_<stat>` with `_low`, `_high` and `_p` of the
    pair alone; those of `FAMILY` also `_p_adjusted`, `_sim_low` and `_sim_high` of all pairs
    together, and `_resolution`, the difference that the family would find four times in five.
    `<prefix>_n_seeds` is the smaller number of the two sides; with one seed, errors hold no noise
    of retraining. Pairs are compared era by era, over eras that both have; scores are averaged over
    seeds, but Sharpe ratios are taken for each seed. All differences come from the same resampled
    eras. Members have the same eras in the same order.
    """
    rows: dict[Key, dict[str, object]] = {
        key: {f"{prefix}_n_seeds": min(len(members[side]["corr"]) for side in (key, other))} for key, other in opponent_of.items()
    }
    computed: dict[tuple[object, ...], dict[str, Float64]] = {}
    for name, stat in statistics if rows else ():
        pairs = [(members[key][name], members[other][name]) for key, other in opponent_of.items()]
        family = (name, stat) in FAMILY
        same = (stat, family, *(id(side) for pair in pairs for side in pair))  # a window that holds all eras
        if same not in computed:
            computed[same] = _columns(_differences(pairs, stat, block), family)
        for i, row in enumerate(rows.values()):
            row |= {f"{prefix}_{name}_{stat}{end}": float(values[i]) for end, values in computed[same].items()}
    return rows


def _columns(differences: Differences, family: bool) -> dict[str, Float64]:
    """Columns of differences, by the end of their names. family: with those of the family test."""
    columns = {"": differences.value, "_low": differences.low, "_high": differences.high, "_p": differences.p}
    if family:
        tested = family_test(differences)
        columns |= {"_p_adjusted": tested.p, "_sim_low": tested.low, "_sim_high": tested.high}
        columns["_resolution"] = np.full(len(differences.value), tested.resolution)
    return columns


def _differences(pairs: Sequence[Pair], stat: str, block: int) -> Differences:
    means = np.column_stack([own.mean(0) - other.mean(0) for own, other in pairs])
    scored = np.isfinite(means).any(1)  # MMC has scores in a part of the eras only; resamples are drawn from that part
    if not scored.any():
        missing = np.full(len(pairs), np.nan)
        return Differences(missing, missing, missing, missing, missing, missing, np.empty((0, len(pairs))), missing)
    noise = _noise(pairs, stat)
    if stat == "mean":
        return mean_differences(means[scored], block, noise=noise)
    drawn = draw(int(scored.sum()), block)
    same_eras: dict[tuple[int, bytes], list[int]] = {}
    for i, (own, other) in enumerate(pairs):
        same_eras.setdefault((id(other), np.isfinite(np.concatenate([own, other])).all(0).tobytes()), []).append(i)
    statistics = []
    for places in same_eras.values():
        owns, reference = [pairs[i][0][:, scored] for i in places], pairs[places[0]][1][:, scored]
        statistics.append(sharpe_differences(owns, reference, drawn))
    order = np.argsort(np.concatenate(list(same_eras.values())))
    statistic = Statistic(*(np.concatenate(parts, axis=-1)[..., order] for parts in zip(*statistics, strict=True)))
    return studentised(statistic, drawn, noise)


def _noise(pairs: Sequence[Pair], stat: str) -> SeedNoise | None:
    """The noise of retraining of each pair, from its seeds' statistics over the eras that both sides have.

    None where every side has one seed.
    """
    if all(len(side) == 1 for pair in pairs for side in pair):
        return None
    whole = {id(side): side for pair in pairs for side in pair}
    known = {key: np.isfinite(side).all(0) for key, side in whole.items()}
    keys = {key: scores_key(side) for key, side in whole.items()}
    statistics: dict[tuple[int, bytes], Float64] = {}
    values: tuple[list[Float64], list[Float64]] = ([], [])
    for pair in pairs:
        both = known[id(pair[0])] & known[id(pair[1])]
        for side, out in zip(pair, values, strict=True):
            key = (id(side), both.tobytes())
            if key not in statistics:
                statistics[key] = np.array([summarise(seed, stat) for seed in side[:, both]])
            out.append(statistics[key])
    own, other = (PairSide(values[i], [keys[id(pair[i])] for pair in pairs]) for i in (0, 1))
    return seed_noise(own, other, RESAMPLES)
