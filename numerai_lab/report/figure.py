"""Figures for plotly.js as plain dicts that become JSON."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as PlotlyFigure

COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#c9a227", "#9d755d", "#ff9da6", "#6b8e23")
GREY = "#8a8a8a"
"""The colour of the reference, readable on white and on black."""

SCALE = [[0, "#b2182b"], [0.25, "#ef8a62"], [0.5, "#f7f7f7"], [0.75, "#67a9cf"], [1, "#2166ac"]]
"""Colours of heatmaps: red below 0, blue above."""

Trace = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A plot of a page. says: its caption; alt: its content in words; choices: name → traces shown when it is chosen."""

    key: str
    title: str
    says: str
    alt: str
    data: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, Sequence[int]] = field(default_factory=dict)
    height: int = 400
    choosing: str = "variant"

    def as_dict(self) -> dict[str, Any]:
        """The figure as plain values for the script of the page."""
        return {"data": self.data, "layout": {"height": self.height, **self.layout}, "choices": self.choices}

    def plotly(self) -> "PlotlyFigure":
        """The figure for a notebook; where one of several is shown at a time, with a menu to choose it."""
        from plotly.graph_objects import Figure as PlotlyFigure

        shown = {name: [i in traces for i in range(len(self.data))] for name, traces in self.choices.items()}
        drawn = PlotlyFigure(data=self.data, layout={"title": {"text": label(self.title)}, "height": self.height, **self.layout})
        if shown:
            for trace, visible in zip(drawn.data, next(iter(shown.values())), strict=True):
                trace.visible = visible
            buttons = [{"label": label(name), "method": "restyle", "args": ["visible", own]} for name, own in shown.items()]
            drawn.update_layout(updatemenus=[{"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.15}])
        return drawn


def line(name: str, x: Iterable[float], y: Iterable[float], colour: str, dash: str = "solid") -> Trace:
    """A line, with gaps where y is not finite."""
    style = {"color": colour, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": label(name), "x": numbers(x), "y": numbers(y), "line": style}


def bars(name: str, places: Iterable[Any], values: Iterable[float], colour: str, *, across: bool = False) -> Trace:
    """Bars at names or numbers; across: horizontal bars."""
    at, marker = [label(place) if isinstance(place, str) else place for place in places], {"color": colour}
    if across:
        return {"type": "bar", "orientation": "h", "name": label(name), "y": at, "x": numbers(values), "marker": marker}
    return {"type": "bar", "name": label(name), "x": at, "y": numbers(values), "marker": marker}


def heat(rows: Sequence[str], columns: Sequence[str], values: Iterable[Iterable[float]], texts: Sequence[Sequence[str]]) -> Trace:
    """A heatmap around 0 with a text in every cell; high values are blue."""
    return {
        "type": "heatmap",
        "x": [label(name) for name in columns],
        "y": [label(name) for name in rows],
        "z": [numbers(row) for row in values],
        "zmid": 0,
        "colorscale": SCALE,
        "text": texts,
        "xgap": 1,
        "ygap": 1,
    }


def titled(text: str, **more: Any) -> dict[str, Any]:
    """An axis with a title."""
    return {"title": {"text": text}, **more}


def marked(layout: Mapping[str, Any], at: float | None, text: str) -> dict[str, Any]:
    """The layout with a dashed vertical line at `at` and a word at its top; unchanged where `at` is None."""
    if at is None:
        return dict(layout)
    upright = {
        "type": "line",
        "x0": at,
        "x1": at,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": GREY, "dash": "dash", "width": 1},
    }
    word = {"x": at, "yref": "paper", "y": 1, "text": text, "showarrow": False, "xanchor": "left", "yanchor": "top"}
    return {**layout, "shapes": [upright], "annotations": [word]}


def palette(names: Iterable[str], reference: str) -> dict[str, str]:
    """Variant → colour, by its position; the reference is grey."""
    coloured = [name for name in names if name != reference]
    return {reference: GREY, **{name: COLOURS[i % len(COLOURS)] for i, name in enumerate(coloured)}}


def numbers(values: Iterable[float], digits: int = 6) -> list[float | None]:
    """Numbers for JSON: rounded, None where they are not finite."""
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]


def label(name: str) -> str:
    """A name escaped for plotly's pseudo-HTML."""
    return html.escape(name, quote=False)
