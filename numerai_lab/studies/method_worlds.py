"""What each method changes over several synthetic worlds, the world as a random effect. `nlab methods --worlds N`."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from numerai_lab.config.schema import Config
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.metrics.changes import KINDS
from numerai_lab.metrics.verdict import SMALLEST_EFFECT, signed, verdict_beside, verdict_of
from numerai_lab.report.page import heading
from numerai_lab.report.tables import TableColumn, markdown
from numerai_lab.runs.reading import Run, block_of
from numerai_lab.studies.methods import FAMILIES, MethodRun, costs_of, tried_with
from numerai_lab.studies.world_pooling import Corr, Interval, corr_of, finite, pooled

BASELINE = "baseline"
COLUMNS = (
    TableColumn("method", "method", "s"),
    TableColumn("verdict", "verdict", "s"),
    TableColumn("change", "Δ corr (95 %)", "s"),
    TableColumn("by_world", "by world", "s"),
    TableColumn("excluded", "gains excluded", "s"),
    TableColumn("placebo", "Δ placebo (95 %)", "s"),
    TableColumn("untrained", "Δ untrained (95 %)", "s"),
    TableColumn("seconds", "seconds", ",.0f"),
    TableColumn("memory", "peak GB", ".2f"),
)
RESULTS = ("method", "family", "kind", "verdict", "value", "low", "high")
"""Keys of a row of the results file. value, low, high: of Δ corr, null where they are not known."""
EXPLAINED = (
    "One run a method and world. Δ is the change over val1 and val2 together against the baseline of raw features, paired by "
    "era; of a generator for raw features and its columns, of an augmenter for real and new rows. The intervals hold for all "
    "methods of a column together and for worlds like these, drawn anew: the world is a random effect. A gain beyond the "
    "upper end is excluded. The placebo of a generator is as many columns of noise, that of an augmenter the same rows again, "
    "or the same weights over shuffled eras; beside a network stands one of about its size that was never trained. Seconds: fit, "
    "columns and training of one seed in the first world; peak memory of the process that did that."
)


def page_over_worlds(config: Config, trials: Sequence[MethodRun]) -> str:
    """The table of the methods that ran in every world, and in sentences what is shown and what is excluded."""
    import polars as pl

    worlds = list(dict.fromkeys(trial.world for trial in trials))
    lines = [f"# What each method does: {config.name}", ""]
    rows = method_rows(trials)
    if rows:
        first = next(trial.run for trial in trials if trial.run is not None)
        lines += [f"- {line}" for line in heading(first.manifest)]
        lines += [f"- world seeds {', '.join(map(str, worlds))}; {tried_with(config)}", "", EXPLAINED, ""]
        for family in FAMILIES:
            table = pl.DataFrame([row for row in rows if row["family"] == family], infer_schema_length=None)
            if len(table):
                columns = [column for column in COLUMNS if column.name not in KINDS or (table[column.name] != "").any()]
                lines += [f"## {family.capitalize()}", "", markdown(table, columns), ""]
        lines += ["## What this shows", "", *(f"- {sentence}" for sentence in _sentences(rows))]
    return "\n".join([*lines, *_left_out(trials, worlds), ""])


def results_text(config: Config, trials: Sequence[MethodRun]) -> str:
    """The rows of the table as JSON, with what they were measured on; pages of the manual are made from it."""
    first = next((trial.run for trial in trials if trial.run is not None), None)
    worlds = [world for world in dict.fromkeys(trial.world for trial in trials) if world is not None]
    data = [] if first is None else heading(first.manifest)
    rows = [{key: row[key] for key in RESULTS} for row in method_rows(trials)]
    return json.dumps({"config": config.name, "data": data, "worlds": worlds, "methods": rows}, indent=1, default=str) + "\n"


def method_rows(trials: Sequence[MethodRun]) -> list[dict[str, Any]]:
    """A row for each method that ran in every world: names, texts of the table, and `value`, `low`, `high` of Δ."""
    by_world: dict[int | None, dict[str, MethodRun]] = {}
    for trial in trials:
        by_world.setdefault(trial.world, {})[trial.name] = trial
    complete = [name for name in next(iter(by_world.values()), {}) if all(_ran(own.get(name)) for own in by_world.values())]
    if not complete:
        return []
    tables = [_merged([own[name] for name in complete]) for own in by_world.values()]
    some = next(iter(by_world.values()))
    first = some[complete[0]].run
    assert first is not None
    block = block_of(first.manifest)
    changes = pooled(tables, dict.fromkeys(complete, BASELINE), block)
    beside = {kind: pooled(tables, own, block) for kind in KINDS if (own := _opponents(tables, complete, kind))}
    smallest = float(first.manifest.get("smallest_effect", SMALLEST_EFFECT))
    return [
        {
            "method": name,
            "family": some[name].family,
            "kind": some[name].kind,
            "verdict": _verdict(changes[name], {kind: own[name] for kind, own in beside.items() if name in own}, smallest),
            "change": _text(changes[name]),
            "by_world": " ".join(signed(float((own[name].mean(0) - own[BASELINE].mean(0)).mean())) for own in tables),
            "excluded": f"above {signed(max(changes[name].high, 0.0001))}" if math.isfinite(changes[name].high) else "",
            **{kind: _text(beside[kind][name]) if name in beside.get(kind, {}) else "" for kind in KINDS},
            **costs_of(some[name], len(first.manifest["seeds"])),
            **{key: finite(getattr(changes[name], key)) for key in ("value", "low", "high")},
        }
        for name in complete
    ]


def _ran(trial: MethodRun | None) -> bool:
    return trial is not None and trial.run is not None


def _merged(trials: Sequence[MethodRun]) -> Corr:
    """Corr of the baseline, of each method by its name, and of its placebos as `name/kind`, all of one world."""
    corr: dict[str, Any] = {}
    for trial in trials:
        assert trial.run is not None
        own = corr_of(trial.run)
        corr.setdefault(BASELINE, own[str(trial.run.manifest["scoring"]["reference"])])
        corr[trial.name] = own[trial.variant]
        corr |= {f"{trial.name}/{kind}": own[placebo] for kind, placebo in _placebos(trial.run, trial.variant).items()}
    return corr


def _placebos(run: Run, variant: str) -> Mapping[str, str]:
    """Kind of placebo → the variant that is one for this variant."""
    return {kind: own[variant] for kind, own in Placebos.of_manifest(run.manifest).as_dict().items() if variant in own}


def _opponents(tables: Sequence[Corr], names: Sequence[str], kind: str) -> dict[str, str]:
    return {name: f"{name}/{kind}" for name in names if all(f"{name}/{kind}" in table for table in tables)}


def _verdict(change: Interval, beside: Mapping[str, Interval], smallest: float) -> str:
    ends = {kind: (own.value, own.low, own.high) for kind, own in beside.items()}
    return verdict_beside(verdict_of(change.value, change.low, change.high, smallest), ends)


def _text(change: Interval) -> str:
    if not math.isfinite(change.value):
        return ""
    between = f" ({change.low:+.4f} … {change.high:+.4f})" if math.isfinite(change.high - change.low) else ""
    return f"{change.value:+.4f}{between}"


def _sentences(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is shown to help and to harm, and which gains are excluded."""
    better = [row["method"] for row in rows if row["verdict"] == "better"]
    worse = [row["method"] for row in rows if row["verdict"] == "worse"]
    rest = sorted((row for row in rows if row["high"] is not None), key=lambda row: float(row["high"]))
    lines = [
        f"Better than the baseline and than their placebos: {', '.join(better) or 'none'}.",
        f"Worse than the baseline: {', '.join(worse) or 'none'}.",
    ]
    if rest:
        middle, last = rest[len(rest) // 2]["high"], rest[-1]
        lines.append(
            f"Gains above {signed(max(middle, 0.0001))} corr are excluded for half of the methods, above "
            f"{signed(max(last['high'], 0.0001))} for all of them ({last['method']} is the least certain)."
        )
    return lines


def _left_out(trials: Sequence[MethodRun], worlds: Sequence[int | None]) -> list[str]:
    """A line for each failure, and one for the methods that did not run in every world."""
    failed = [f"- Failed: {trial.name}, world seed {trial.world}: {trial.failure}" for trial in trials if trial.run is None]
    counts = {trial.name: sum(other.name == trial.name for other in trials) for trial in trials}
    waiting = [name for name, count in counts.items() if count < len(worlds)]
    return failed + ([f"- Not in every world yet: {', '.join(waiting)}."] if waiting else [])
