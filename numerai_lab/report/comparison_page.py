"""The page of a comparison: a table to sort and filter, intervals against the reference, and pairwise differences."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.changes import series_of
from numerai_lab.metrics.scoring import FOLD, split_names
from numerai_lab.metrics.significance import LEVEL, mean_differences
from numerai_lab.report.comparison import Comparison, Group
from numerai_lab.report.differing import with_config
from numerai_lab.report.figure import COLOURS, GREY, Figure, heat, label, numbers, titled
from numerai_lab.report.group_sentence import group_sentence
from numerai_lab.report.markup import cells, render
from numerai_lab.report.tables import NOTES, summary_columns, with_interval, with_values
from numerai_lab.report.verdicts import lines_of_comparison
from numerai_lab.runs.layout import REPORT
from numerai_lab.runs.reading import block_of

if TYPE_CHECKING:
    import polars as pl

MOST = 40
"""Most variants in the plot of intervals."""
PAIRED = 20
"""Most variants in the plot of pairwise differences."""

Name = tuple[str, str]
"""Name of a run, and name of a variant."""


def comparison_page(comparison: Comparison, out: Path) -> str:
    """The HTML of a page to lie at `out`; links to the runs' reports are relative to it."""
    sections, figures = [], []
    for number, group in enumerate(comparison.groups, start=1):
        best = [_best(group, number), *_pairs(group, number)]
        figures += best
        verdicts = lines_of_comparison(group.table, group.split)
        sections.append(
            {"group": group, "sentence": group_sentence(group), "plots": best, "verdicts": verdicts, **_table(group, out)}
        )
    n_runs = sum(len(group.runs) for group in comparison.groups)
    remarks = (*comparison.skipped, *comparison.differences, *filter(None, [comparison.foreign]))
    return render("comparison.html", figures, sections=sections, n_runs=n_runs, remarks=remarks)


def _table(group: Group, out: Path) -> dict[str, Any]:
    """Columns, and rows of cells by split; names of runs link to their reports."""
    table, keys = with_config(with_interval(group.table), group.members)
    columns = with_values(table, (*summary_columns(False, keys), NOTES))
    links = {run.name: _link(run.path / REPORT, out) for run in group.members}
    at = [column.name for column in columns].index("run")
    parts: dict[str, list[dict[str, Any]]] = {}
    for split in dict.fromkeys((group.split, "val", "val1", "val2", FOLD)):
        own = table.filter(split=split)
        for row, mcs in zip(cells(own, columns), own["mcs"].to_list(), strict=True):
            row[at] = replace(row[at], link=links[row[at].text])
            parts.setdefault(split, []).append({"cells": row, "mcs": mcs})
    return {"columns": columns, "parts": parts}


def _link(report: Path, out: Path) -> str:
    if not report.is_file():
        return ""
    return quote(Path(os.path.relpath(report.resolve(), out.resolve().parent)).as_posix())


def _split_words(group: Group) -> str:
    return "both halves" if group.split == "val" else group.split


def _best(group: Group, number: int) -> Figure:
    """A plot of points with intervals, best at the top, that shows the model confidence set."""
    rows = [row for row in group.table.to_dicts() if row["split"] == group.split][:MOST]
    names = [_variant_label((row["run"], row["variant"]), group) for row in rows]
    bases = (row["corr_mean"] for row in group.table.to_dicts() if row["split"] == group.split and _is_reference(row, group))
    base = _number(next(bases, None))
    ends = [[_number(row.get(f"delta_corr_mean_sim_{end}")) + base for row in rows] for end in ("low", "high")]
    means = [_number(row["corr_mean"]) for row in rows]
    arms = [[abs(end - mean) for end, mean in zip(side, means, strict=True)] for side in ends]
    within = [row.get("in_mcs") for row in rows]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": numbers(means),
        "y": [label(name) for name in names],
        "marker": {"size": 9, "color": [GREY if there is False else COLOURS[0] for there in within]},
        "error_x": {"arrayminus": numbers(arms[0]), "array": numbers(arms[1]), "thickness": 1.2, "width": 3, "color": GREY},
        "hovertext": ["out of the set" if there is False else "in the set" if there else "" for there in within],
        "hovertemplate": "%{y}<br>corr %{x}<br>%{hovertext}<extra></extra>",
    }
    n_in = sum(1 for there in within if there)
    more = f" The best {MOST} are shown." if len(group.table.filter(split=group.split)) > MOST else ""
    return Figure(
        key=f"best-{number}",
        title="Who may be the best?",
        says=f"Mean corr over {_split_words(group)}; bars: simultaneous 95 % interval of the difference to {group.reference}, "
        "laid around its corr. Blue: in the 95 % model confidence set, among which these eras can't tell the best; grey: out of "
        f"it.{more}",
        alt=f"Mean corr of {len(rows)} variants, best first; {n_in} of them in the model confidence set. First: {names[0]}.",
        data=[trace],
        layout={"xaxis": titled("corr"), "yaxis": {"range": [len(rows) - 0.5, -0.5]}, "showlegend": False},
        height=140 + 24 * len(rows),
    )


def _pairs(group: Group, number: int) -> list[Figure]:
    """Heatmaps of differences between every pair of the best variants, marked where an unadjusted p is below .05."""
    rows = [row for row in group.table.to_dicts() if row["split"] == group.split]
    chosen: list[Name] = [(row["run"], row["variant"]) for row in rows[:PAIRED]]
    if len(chosen) < 2:
        return []
    corr = _corr(group, chosen)
    first, second = np.triu_indices(len(chosen), 1)
    block = block_of(group.members[0].manifest)
    differences = mean_differences(corr[:, first] - corr[:, second], block)
    values, sure = np.zeros((len(chosen),) * 2), np.zeros((len(chosen),) * 2, bool)
    values[first, second], values[second, first] = differences.value, -differences.value
    sure[first, second] = sure[second, first] = differences.p < 1 - LEVEL
    names = [_variant_label(name, group) for name in chosen]
    marks = [["•" if mark else "" for mark in line] for line in sure]
    n_sure, n_pairs = int(sure.sum() / 2), len(first)
    hover = {"hovertemplate": "%{y}<br>less %{x}<br>corr %{z}<extra></extra>", "texttemplate": "%{text}"}
    return [
        Figure(
            key=f"pairs-{number}",
            title="Pair by pair",
            says=f"Mean corr of the row less that of the column over {_split_words(group)}, best {len(chosen)}. A dot: p below "
            f".05 of that pair alone ({n_sure} of {n_pairs}; one in twenty has it by luck).",
            alt=f"Heatmap of {n_pairs} pairwise differences of corr; {n_sure} have p below .05.",
            data=[heat(names, names, values, marks) | hover],
            layout={"yaxis": {"autorange": "reversed", "automargin": True}, "xaxis": {"tickangle": -40, "automargin": True}},
            height=240 + 24 * len(chosen),
        )
    ]


def _corr(group: Group, chosen: Sequence[Name]) -> Float64:
    """Per-era corr on the group's split, averaged over seeds: eras × variants."""
    named = {name for name, _ in chosen}
    runs = {run.name: _of_split(run.per_era, group.split) for run in group.members if run.name in named}
    eras = np.unique(np.concatenate([table["era"].to_numpy() for table in runs.values()])).tolist()
    return np.column_stack([series_of(runs[run].filter(variant=variant), eras)["corr"].mean(0) for run, variant in chosen])


def _of_split(table: "pl.DataFrame", split: str) -> "pl.DataFrame":
    import polars as pl

    return table.filter(pl.col("split").is_in(split_names(table)[split]))


def _variant_label(name: Name, group: Group) -> str:
    return "/".join(name) if len(group.runs) > 1 else name[1]


def _is_reference(row: dict[str, Any], group: Group) -> bool:
    return f"{row['run']}/{row['variant']}" == group.reference


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
