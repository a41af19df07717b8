"""The picture of a run's conclusion: the change of every variant with its simultaneous interval."""

import math
from collections.abc import Sequence

from numerai_lab.metrics.verdict import signed
from numerai_lab.report.conclusion import Conclusion, VariantLine
from numerai_lab.report.figure import COLOURS, GREY, Figure, Trace, label, numbers, titled
from numerai_lab.report.verdicts import Change

LONGEST = 26
"""Characters of a name beside the plot."""
FOUND = {"better": COLOURS[2], "worse": COLOURS[3]}
"""Outcome → colour; all other outcomes of methods share one."""
BELOW = 0.3
"""Distance between the two changes of a variant, in rows."""


def forest(conclusion: Conclusion) -> Figure | None:
    """Points with intervals, a row for each variant: against the reference, and hollow below it against its placebo.

    Placebos are grey. None where nothing was compared.
    """
    lines = conclusion.lines
    if not lines or conclusion.reference is None:
        return None
    reference = conclusion.reference.variant
    beside = [(i + BELOW, line, own.change) for i, line in enumerate(lines) for own in list(line.beside.values())[:1]]
    names = [_short(line.variant) for line in lines]
    data = [_points(f"Δ to {reference}", [(float(i), line, line.change) for i, line in enumerate(lines)], hollow=False)]
    if beside:
        data.append(_points("Δ to its placebo", beside, hollow=True))
    ends = "; ".join(f"{line.variant} {line.change}, {line.verdict}" for line in lines)
    hollow = " Hollow: against its placebo." if beside else ""
    return Figure(
        key="forest",
        title=f"Mean corr beyond {reference}",
        says=f"Bars: 95 % intervals that hold for all variants together.{hollow} Grey: placebos. A bar that crosses 0 settles "
        "nothing.",
        alt=f"Change of mean corr against {reference}, with intervals. {ends}.",
        data=data,
        layout={
            "xaxis": titled("Δ corr", zeroline=True, zerolinewidth=2),
            "yaxis": {
                "tickvals": list(range(len(lines))),
                "ticktext": [label(name) for name in names],
                "range": [len(lines) - 0.4, -0.6],
                "automargin": True,
                "showgrid": False,
                "zeroline": False,
            },
            "showlegend": False,
            "margin": {"l": 20, "r": 15, "t": 12, "b": 45},
        },
        height=max(260, 90 + 38 * len(lines)),
    )


def _points(name: str, rows: Sequence[tuple[float, VariantLine, Change]], *, hollow: bool) -> Trace:
    changes = [change for _, _, change in rows]
    colours = [GREY if line.role == "placebo" else FOUND.get(str(line.outcome), COLOURS[0]) for _, line, _ in rows]
    arms = [[abs(getattr(change, end) - change.value) for change in changes] for end in ("low", "high")]
    below, above = ([0.0 if math.isnan(arm) else arm for arm in side] for side in arms)
    symbol = "diamond-open" if hollow else "circle"
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": numbers(change.value for change in changes),
        "y": [at for at, _, _ in rows],
        "marker": {"size": 7 if hollow else 10, "color": GREY if hollow else colours, "symbol": symbol},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "arrayminus": numbers(below),
            "array": numbers(above),
            "thickness": 1 if hollow else 1.6,
            "width": 3,
            "color": GREY,
        },
        "text": [f"{label(line.variant)}: {label(line.words)}" if line.words else label(line.variant) for _, line, _ in rows],
        "customdata": [f"{signed(change.value)}" if math.isnan(change.low) else str(change) for change in changes],
        "hovertemplate": f"%{{text}}<br>{label(name)} %{{customdata}}<extra></extra>",
    }


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
