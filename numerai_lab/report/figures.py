"""Figures of a run's scores: cumulative curves, differences, exposures, likeness."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics.significance import luck
from numerai_lab.report.figure import COLOURS, GREY, Figure, Trace, bars, heat, line, marked, titled
from numerai_lab.report.findings import Likeness
from numerai_lab.report.plots import Curves, broken

if TYPE_CHECKING:
    import polars as pl

CHOICES = 30
"""Most variants to choose from in a figure; more would make the page of 600 eras too large."""
BAND = "rgba(138, 138, 138, 0.25)"


def over_eras(curves: Curves, colours: Mapping[str, str], val2_starts: int | None, *, key: str, title: str, says: str) -> Figure:
    """A figure of cumulative curves, with gaps where eras are left out, such as the embargo."""
    layout = {"xaxis": titled("era"), "yaxis": titled("sum of per-era corr"), "hovermode": "x unified"}
    ends = ", ".join(f"{name} {values[-1]:+.3f}" for name, (_, values) in curves.items() if len(values))
    return Figure(
        key=key,
        title=title,
        says=says,
        alt=f"{title}. At the last era: {ends}.",
        data=[line(name, *broken(eras, values), colours[name]) for name, (eras, values) in curves.items()],
        layout=marked(layout, val2_starts, "val2"),
        height=460,
    )


def differences(curves: Curves, reference: str, colours: Mapping[str, str], block: int) -> Figure:
    """A figure of one variant at a time: cumulative improvement within the band of chance, and the difference of every era.

    curves: variant → eras and per-era corr.
    """
    base = dict(zip(curves[reference][0], curves[reference][1].tolist(), strict=True))
    data: list[Trace] = []
    choices: dict[str, Sequence[int]] = {}
    compared = [name for name in curves if name != reference]
    for name in compared[:CHOICES]:
        eras, values = curves[name]
        own = np.array([value - base.get(era, math.nan) for era, value in zip(eras, values.tolist(), strict=True)])
        choices[name] = list(range(len(data), len(data) + 4))
        data += _difference(eras, own, luck(own[:, None], block)[:, 0], colours[name])
    return Figure(
        key="differences",
        title=f"Is it more than luck? The difference to {reference} by era",
        says="Above: the cumulative difference; in grey what luck alone does: in 95 of 100 histories in which both trained "
        "models are equally good the whole line stays inside (block bootstrap). A line that never leaves it has shown nothing. "
        f"Below: the difference of each era.{f' The first {CHOICES} variants can be chosen.' if len(compared) > CHOICES else ''}",
        alt=f"Cumulative and per-era difference of corr to {reference}, one variant at a time, with the band of luck.",
        data=data,
        layout={
            "xaxis": titled("era", anchor="y2"),
            "yaxis": titled("cumulative", domain=[0.45, 1]),
            "yaxis2": titled("per era", domain=[0, 0.38]),
            "showlegend": False,
            "hovermode": "x unified",
        },
        choices=choices,
        height=500,
    )


def _difference(eras: Sequence[int], own: Float64, reach: Float64, colour: str) -> list[Trace]:
    edge = {"hoverinfo": "skip", "line": {"width": 0}}
    return [
        line("", eras, -reach, GREY) | edge,
        line("", eras, reach, GREY) | edge | {"fill": "tonexty", "fillcolor": BAND},
        line("sum", *broken(eras, np.cumsum(np.nan_to_num(own))), colour),
        bars("this era", eras, own, colour) | {"yaxis": "y2"},
    ]


def exposures(scores: "pl.DataFrame", names: Sequence[str]) -> Figure:
    """A bar chart of the largest and the root mean square exposure of each variant."""
    largest, spread = (column(scores, name, names) for name in ("max_feature_exposure_mean", "feature_exposure_mean"))
    words = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, largest, strict=True))
    return Figure(
        key="exposures",
        title="Feature exposure",
        says="Correlation of predictions with single features, mean over eras: the largest, and the root mean square of all.",
        alt=f"Bars of feature exposure by variant. Largest: {words}.",
        data=[bars("largest", names, largest, COLOURS[0]), bars("root mean square", names, spread, COLOURS[1])],
        layout={"yaxis": titled("correlation"), "barmode": "group"},
    )


def matrix(likeness: Likeness) -> Figure:
    """A heatmap of correlations between predictions."""
    texts = [[f"{value:.2f}" if math.isfinite(value) else "" for value in row] for row in likeness.values]
    few = len(likeness.names) <= 12
    scale = {
        "zmin": -1,
        "zmax": 1,
        "hovertemplate": "%{y} and %{x}: %{z}<extra></extra>",
        "texttemplate": "%{text}" if few else "",
    }
    return Figure(
        key="likeness",
        title="How alike predictions are",
        says="Mean over eras of the correlation of gaussianised predictions: what adds little new stands near 1.",
        alt=f"Matrix of correlations between {', '.join(likeness.names)}.",
        data=[heat(likeness.names, likeness.names, likeness.values, texts) | scale],
        layout={"yaxis": {"autorange": "reversed", "automargin": True}, "xaxis": {"tickangle": -40, "automargin": True}},
        height=max(360, 160 + 34 * len(likeness.names)),
    )


def halves(scores: "pl.DataFrame", names: Sequence[str], colours: Mapping[str, str]) -> Figure:
    """A scatter plot of mean corr on val1 against val2, one point per variant."""
    first, second = (column(scores, "corr_mean", names, split) for split in ("val1", "val2"))
    points = [
        {
            **line(name, [x], [y], colours[name]),
            "mode": "markers",
            "marker": {"size": 12, "color": colours[name]},
            "hovertemplate": "val1 %{x}<br>val2 %{y}",
        }
        for name, x, y in zip(names, first, second, strict=True)
    ]
    known = [value for value in (*first, *second) if math.isfinite(value)] or [0.0]
    ends = [min(known), max(known)]
    equal = line("", ends, ends, GREY, "dash") | {"showlegend": False, "hoverinfo": "skip"}
    return Figure(
        key="halves",
        title="val1 against val2",
        says="Mean corr in the two halves of validation; on the dashed line they are equal.",
        alt="Points: " + "; ".join(f"{n} {x:+.4f} then {y:+.4f}" for n, x, y in zip(names, first, second, strict=True)) + ".",
        data=[*points, equal],
        layout={"xaxis": titled("corr in val1"), "yaxis": titled("corr in val2")},
        height=460,
    )


def column(scores: "pl.DataFrame", name: str, variants: Sequence[str], split: str = "val") -> list[float]:
    """A column of the score table for these variants; NaN where it has no value."""
    rows = {row["variant"]: row.get(name) for row in scores.to_dicts() if row["split"] == split}
    values = [rows.get(variant) for variant in variants]
    return [math.nan if value is None else float(value) for value in values]
