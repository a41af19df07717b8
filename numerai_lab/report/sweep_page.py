"""The leaderboard of a sweep as a table and a page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from numerai_lab.report.figure import COLOURS, GREY, Figure, line, titled
from numerai_lab.report.markup import cells, render
from numerai_lab.report.tables import TableColumn, short
from numerai_lab.report.verdicts import judged
from numerai_lab.runs.reading import Run

if TYPE_CHECKING:
    import polars as pl

NUMBERS = ("value", "delta", "low", "high")
"""Numeric columns: the objective, its change against the reference, and the ends of the change's 95 % interval."""


def leaderboard(rows: Sequence[Mapping[str, Any]], column: str) -> tuple["pl.DataFrame", list[TableColumn]]:
    """The leaderboard, best first, and how its columns are shown.

    Columns: number of the trial, its value (of the objective `column`), the change against its run's reference, the values
    that it sets, its run. rows: dicts of `trial`, `values` (a mapping), `value`, `delta`, `low`, `high`, `run`, `error`.
    """
    import polars as pl

    keys = list(dict.fromkeys(key for row in rows for key in row["values"]))
    plain = [
        {
            "trial": row["trial"],
            **{key: str(row["values"].get(key, "")) for key in keys},
            **{name: None if math.isnan(row[name]) else row[name] for name in NUMBERS},
            "between": _between(row["low"], row["high"]),
            "run": row["run"],
            "error": row["error"] or None,
        }
        for row in rows
    ]
    types = {**dict.fromkeys(("between", "run", "error", *keys), pl.String), **dict.fromkeys(NUMBERS, pl.Float64)}
    table = pl.DataFrame(plain, schema_overrides=types, infer_schema_length=None)
    columns = [
        TableColumn("trial", "trial", "d"),
        TableColumn("value", column),
        TableColumn("delta", "Δ"),
        TableColumn("between", "95 % of Δ", "s"),
        *(TableColumn(key, heading, "s") for key, heading in endings(keys).items()),
        TableColumn("run", "run", "s"),
        TableColumn("error", "error", "s"),
    ]
    return table, columns


def endings(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key → its shortest ending that no other key has: `n_components` of `generators.pca.n_components`."""
    out = {}
    for key in keys:
        parts = key.split(".")
        every = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        rest = [f".{other}" for other in keys if other != key]
        out[key] = next((text for text in every if not any(other.endswith(f".{text}") for other in rest)), key)
    return out


def readable(table: "pl.DataFrame", rows: Sequence[Mapping[str, Any]]) -> "pl.DataFrame":
    """The leaderboard with values of trials rounded to the digits that tell them apart."""
    import polars as pl

    keys = dict.fromkeys(key for row in rows for key in row["values"])
    return table.with_columns(pl.Series(key, short([row["values"].get(key, "") for row in rows]), pl.String) for key in keys)


def sweep_page(title: str, says: Sequence[str], rows: Sequence[Mapping[str, Any]], column: str) -> str:
    """The page beside the run folders. says: lines for its top; rows: trials, best first."""
    exact, columns = leaderboard(rows, column)
    table = readable(exact, rows)
    filled = {name for name in table.columns if any(value not in (None, "") for value in table[name].to_list())}
    columns = [table_column for table_column in columns if table_column.name in filled]
    names = [table_column.name for table_column in columns]
    at = names.index("run") if "run" in names else None
    table_rows = cells(table, columns)
    for row in table_rows:
        if at is not None and row[at].text:
            row[at] = replace(row[at], link=quote(f"{row[at].text}/report.html"))
    figures = [_history(rows, column), *_effects(rows, column)]
    return render(
        "sweep.html",
        figures,
        title=title,
        says=says,
        columns=columns,
        plots={figure.key: figure for figure in figures},
        rows=table_rows,
    )


def chosen(run: Run, variant: str) -> list[str]:
    """Lines about the chosen trial's scores on val2, which did not choose it."""
    verdicts = judged(run.scores, "val2")
    rows = [row for row in run.scores.to_dicts() if row["variant"] == variant and row["split"] == "val2"]
    return [
        f"val2, looked at once and for this trial alone: corr {row['corr_mean']:+.4f}, sharpe {row['corr_sharpe']:.2f} "
        f"({row['n_eras']} eras)" + (f"; {verdicts[variant][1]}" if variant in verdicts else "")
        for row in rows
        if row["corr_mean"] is not None and row["corr_sharpe"] is not None
    ]


def _axis(places: Sequence[Any]) -> str:
    """The type of an axis: logarithmic where numbers span several powers of ten."""
    if not all(isinstance(place, int | float) and not isinstance(place, bool) for place in places):
        return "category"
    return "log" if min(places) > 0 and max(places) >= 50 * min(places) else "linear"


def _between(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"{low:+.4f} … {high:+.4f}"


def _history(rows: Sequence[Mapping[str, Any]], column: str) -> Figure:
    ordered = sorted(rows, key=lambda row: row["trial"])
    numbers, values = [row["trial"] for row in ordered], [row["value"] for row in ordered]
    points = line("trial", numbers, values, COLOURS[0]) | {"mode": "markers", "marker": {"size": 9, "color": COLOURS[0]}}
    return Figure(
        key="history",
        title="Trial by trial",
        says="Every trial in the order they were made. The best of many is partly luck: that is what val2 is kept for.",
        alt=f"{column} of {len(rows)} trials.",
        data=[points],
        layout={"xaxis": titled("trial"), "yaxis": titled(column), "showlegend": False},
        height=360,
    )


def _effects(rows: Sequence[Mapping[str, Any]], column: str) -> list[Figure]:
    """Figures of the value over each key that takes several values."""
    keys = dict.fromkeys(key for row in rows for key in row["values"])
    out = []
    for i, key in enumerate(keys):
        places = [row["values"].get(key) for row in rows]
        if len({str(place) for place in places}) < 2:
            continue
        points = line(key, [0.0] * len(rows), [row["value"] for row in rows], COLOURS[i % len(COLOURS)])
        points |= {"x": [str(place) for place in places] if _axis(places) == "category" else places, "mode": "markers"}
        out.append(
            Figure(
                key=f"effect-{i}",
                title=key,
                says="A point a trial; the other keys vary too.",
                alt=f"{column} over {key}.",
                data=[points | {"marker": {"size": 9, "color": points["line"]["color"], "line": {"color": GREY, "width": 1}}}],
                layout={"xaxis": titled(key, type=_axis(places)), "yaxis": titled(column), "showlegend": False},
                height=320,
            )
        )
    return out
