"""Figures of a run's models and costs: importance of inputs, training curves, seconds and memory."""

import math
from collections.abc import Mapping

import numpy as np

from numerai_lab.config.default_variants import RAW
from numerai_lab.core.arrays import Float64
from numerai_lab.report.figure import COLOURS, GREY, Figure, Trace, bars, line, titled
from numerai_lab.report.findings import Share


def importance(importances: Mapping[str, Mapping[str, Share]]) -> Figure:
    """Stacked bars: the share of importance of raw features and of each generator's columns in each model."""
    blocks = dict.fromkeys(block for shares in importances.values() for block in shares)
    data = [_block(block, importances, GREY if block == RAW else COLOURS[i % len(COLOURS)]) for i, block in enumerate(blocks)]
    parts = {
        name: ", ".join(f"{block} {share.importance:.0%}" for block, share in shares.items())
        for name, shares in importances.items()
    }
    return Figure(
        key="importance",
        title="What models use",
        says="Share of the importance (gain of trees; of linear models |weight| × spread) by block of inputs. Noise takes "
        "its part too: compare with a placebo. Hovering shows the share of the columns.",
        alt=f"Stacked bars of importance by block. {'; '.join(f'{name}: {text}' for name, text in parts.items())}.",
        data=data,
        layout={
            "barmode": "stack",
            "xaxis": {"tickformat": ".0%", "range": [0, 1]},
            "yaxis": {"autorange": "reversed", "automargin": True},
        },
        height=180 + 34 * len(importances),
    )


def _block(block: str, importances: Mapping[str, Mapping[str, Share]], colour: str) -> Trace:
    shares = [importances[name].get(block) for name in importances]
    texts = ["" if share is None else f"{share.importance:.1%} by {share.columns:.1%} of the columns" for share in shares]
    values = [math.nan if share is None else share.importance for share in shares]
    return bars(block, importances, values, colour, across=True) | {"hovertext": texts, "hovertemplate": "%{y}: %{hovertext}"}


def training(curves: Mapping[str, Float64]) -> Figure:
    """Training and held-out loss over steps for every network."""
    data = []
    for i, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        data.append(line(f"{name}, training", curve[1:, 0], curve[1:, 1], colour, "dot"))
        data.append(line(f"{name}, held-out eras", curve[:, 0], curve[:, 2], colour))
    ends = "; ".join(f"{name} lowest {np.nanmin(curve[:, 2]):.4g} on held-out eras" for name, curve in curves.items())
    return Figure(
        key="training",
        title="How networks trained",
        says="Loss on training rows (dotted) and on held-out training eras (solid), whose lowest point gave the weights.",
        alt=f"Loss over steps. {ends}.",
        data=data,
        layout={"xaxis": titled("step"), "yaxis": titled("loss")},
        height=440,
    )


def stages(costs: Mapping[str, Mapping[str, float]]) -> Figure:
    """Seconds and peak memory of every phase, each on its own axis. costs: by name of the phase."""
    seconds = [stage.get("seconds", math.nan) for stage in costs.values()]
    memory = [stage.get("peak_bytes", math.nan) / 1e9 for stage in costs.values()]
    return Figure(
        key="stages",
        title="Time and memory",
        says="Seconds of each stage, and the peak memory of the process by its end.",
        alt="Bars of seconds and peak memory by stage; the table below has the numbers.",
        data=[
            bars("seconds", costs, seconds, COLOURS[0], across=True),
            bars("GB", costs, memory, COLOURS[1], across=True) | {"xaxis": "x2"},
        ],
        layout={
            "xaxis": titled("seconds", domain=[0, 0.46]),
            "xaxis2": titled("peak GB", domain=[0.54, 1]),
            "yaxis": {"autorange": "reversed", "automargin": True},
            "showlegend": False,
        },
        height=160 + 30 * len(costs),
    )
