"""The table and the page of `nlab inspect`: diagnostics of a run's generators."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.report.figure import COLOURS, SCALE, Figure, Trace, bars, heat, line, numbers, titled
from numerai_lab.report.inspected import Inspected
from numerai_lab.report.markup import cells, render
from numerai_lab.report.tables import TableColumn, with_values

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("generator", "generator", "s"),
    TableColumn("kind", "kind", "s"),
    TableColumn("columns", "columns", "d"),
    TableColumn("r2_mean", "R²", ".2f"),
    TableColumn("r2_least", "least R²", ".2f"),
    TableColumn("kept", "kept", ".2f"),
    TableColumn("chance", "by luck", ".2f"),
    TableColumn("stable", "stable", ".2f"),
    TableColumn("shift", "shift", ".2f"),
    TableColumn("importance", "importance", ".1%"),
    TableColumn("share_of_columns", "of columns", ".1%"),
)
LEGEND = (
    "R²: of the columns on the raw features by a linear fit, on later eras: 1 = nothing new to a linear model, 0 = new, or noise",
    "kept: share of a row's nearest rows by raw features that are its nearest by these columns, and what luck alone would keep",
    "stable: mean canonical correlation of the columns of two seeds: 1 = the same up to a linear map (needs several seeds)",
    "shift: largest Kolmogorov–Smirnov distance of a column between training and later eras",
    "importance: what models that read these columns beside others make of them; of columns: the share of columns that they are",
)
SHOWN = 60
"""Most columns in a picture."""


def inspection_table(generators: Sequence[Inspected]) -> "pl.DataFrame":
    """One row per generator."""
    import polars as pl

    return pl.DataFrame([generator.row() for generator in generators], infer_schema_length=None)


def inspection_page(
    title: str, head: Sequence[str], generators: Sequence[Inspected], realism: Any = None, probes: Any = None
) -> str:
    """The page: the tables, then the pictures of each generator.

    realism: the result of `realism_cells`; probes: that of `probe_cells`.
    """
    table = inspection_table(generators)
    columns = with_values(table, COLUMNS)
    groups = {generator.name: [_picture(generator), _newness(generator), _drift(generator)] for generator in generators}
    return render(
        "inspection.html",
        [figure for figures in groups.values() for figure in figures],
        title=title,
        head=head,
        columns=columns,
        rows=cells(table, columns),
        legend=LEGEND,
        groups=groups,
        realism=realism,
        probes=probes,
    )


def _picture(generator: Inspected) -> Figure:
    x, y = generator.points.T
    known = np.isfinite(generator.point_targets)
    era = _points("era", x, y, generator.point_eras, "Viridis")
    target = _points("target", x[known], y[known], generator.point_targets[known], SCALE)
    return Figure(
        key=f"picture-{generator.name}",
        title=f"{generator.name}: a picture",
        says=f"{len(x):,} rows on the two directions in which the columns vary most. Where colours by era lie in clumps, the "
        "columns know the era; where colours by target change along a direction, they know something of it.",
        alt=f"Scatter of {len(x)} rows in two dimensions, coloured by era or by target.",
        data=[era, target],
        layout={"xaxis": titled("first direction"), "yaxis": titled("second direction"), "showlegend": False},
        choices={"era": [0], "target": [1]},
        height=480,
        choosing="coloured by",
    )


def _points(name: str, x: np.ndarray, y: np.ndarray, colours: np.ndarray, scale: object) -> Trace:
    marker = {"size": 4, "opacity": 0.7, "color": numbers(colours), "colorscale": scale, "showscale": True}
    hover = {"hovertemplate": f"{name} %{{marker.color}}<extra></extra>"}
    return line(name, x, y, COLOURS[0]) | {"mode": "markers", "marker": {**marker, "colorbar": {"title": {"text": name}}}} | hover


def _newness(generator: Inspected) -> Figure:
    order = np.argsort(np.nan_to_num(generator.r2, nan=-1))[:SHOWN]
    some = f" The {SHOWN} with the least are shown." if len(generator.r2) > SHOWN else ""
    return Figure(
        key=f"newness-{generator.name}",
        title=f"{generator.name}: what raw features explain of each column",
        says=f"R² of a linear fit on the raw features of training eras, measured on later ones; least first.{some}",
        alt=f"Bars of R² of {len(order)} columns on the raw features.",
        data=[bars("R²", [generator.names[i] for i in order], generator.r2[order], COLOURS[0])],
        layout={"yaxis": titled("R²", range=[0, 1]), "xaxis": {"tickangle": -60}},
    )


def _drift(generator: Inspected) -> Figure:
    order = np.argsort(-generator.shift)[:SHOWN]
    names = [f"{generator.names[i]} " for i in order]  # plotly takes a name that is a number for one
    eras = [str(era) for era in generator.eras]
    values = generator.drift[:, order].T
    texts = [["" for _ in eras] for _ in order]
    hover = {"hovertemplate": "%{y}, era %{x}: %{z} sd<extra></extra>", "xgap": 0, "ygap": 0}
    return Figure(
        key=f"drift-{generator.name}",
        title=f"{generator.name}: drift by era",
        says="Mean of each column in each era looked at, in standard deviations of training rows away from their mean; at the "
        "top the columns that moved most.",
        alt=f"Heatmap of the mean of {len(order)} columns in {len(eras)} eras.",
        data=[heat(names, eras, values, texts) | hover],
        layout={"xaxis": titled("era", type="category"), "yaxis": {"autorange": "reversed", "automargin": True}},
        height=160 + 14 * max(8, len(order)),
    )
