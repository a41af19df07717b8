"""Plots of a run as SVG text."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.errors import NlabError
from numerai_lab.data.inventory import Inventory
from numerai_lab.runs.output_files import write_page

if TYPE_CHECKING:
    import polars as pl

WIDTH = 9.0
"""Inches of a plot."""
LEGEND_LINE = 0.22
"""Inches of a name in the legend, which stands beside the curves."""
LONGEST = 40
"""Characters of a name in the legend."""
Curves = Mapping[str, tuple[Sequence[int], NDArray[np.float64]]]


def by_era(eras: "pl.DataFrame") -> Curves:
    """Variant → scored eras and its corr in each, averaged over seeds; NaN where it has none."""
    import polars as pl

    mean = eras.group_by("variant", "era", maintain_order=True).agg(pl.col("corr").fill_nan(None).mean()).sort("era")
    own = {variant: mean.filter(variant=variant) for variant in dict.fromkeys(eras["variant"].to_list())}
    return {name: (table["era"].to_list(), table["corr"].fill_null(np.nan).to_numpy()) for name, table in own.items()}


def cumulative(eras: "pl.DataFrame") -> Curves:
    """Variant → scored eras and the cumulative sum of its corr, averaged over seeds."""
    return {name: (at, np.cumsum(np.nan_to_num(values))) for name, (at, values) in by_era(eras).items()}


def improvement(eras: "pl.DataFrame", reference: str) -> Curves:
    """Variant → scored eras and the cumulative difference of its corr from the reference's, in eras where both have one."""
    curves = by_era(eras)
    base = dict(zip(*curves[reference], strict=True))
    return {
        name: (at, np.cumsum(np.nan_to_num(values - [base.get(era, np.nan) for era in at])))
        for name, (at, values) in curves.items()
        if name != reference
    }


def drawn(curves: Curves, title: str, order: Sequence[str], val2_starts: int | None) -> str:
    """Curves over eras as SVG text. A variant's colour follows its position in `order`; a grey line marks where val2 begins."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "nlab", "font.size": 10, "svg.fonttype": "none"}):
        height = max(4.2, 0.5 + LEGEND_LINE * len(curves))
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.subplots()
        for name, (eras, values) in curves.items():
            label = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
            axes.plot(*broken(eras, values), label=label, linewidth=1.4, color=f"C{order.index(name) % 10}")
        axes.axhline(0, color="0.6", linewidth=0.8)
        if val2_starts is not None:
            axes.axvline(val2_starts, color="0.6", linewidth=0.8, linestyle="--")
            axes.annotate(
                "val2",
                (val2_starts, 1),
                xycoords=("data", "axes fraction"),
                xytext=(4, -12),
                textcoords="offset points",
                color="0.4",
            )
        axes.set(title=title, xlabel="era", ylabel="sum of per-era corr")
        axes.spines[["top", "right"]].set_visible(False)
        legend = axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)) if curves else None
        legend_inches = legend.get_window_extent().width / figure.dpi if legend else 0.0
        # A constrained layout would lay out every text twice, for two thirds of the time.
        figure.subplots_adjust(0.85 / WIDTH, 0.55 / height, 1 - (0.15 + legend_inches) / WIDTH, 1 - 0.4 / height)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def broken(eras: Sequence[int], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve with a gap wherever eras are left out, such as the embargo."""
    # Months are 4 or 5 weeks apart: one and a half times the usual step is no gap yet.
    gaps = np.flatnonzero(np.diff(eras) > 1.5 * np.median(np.diff(eras))) + 1 if len(eras) > 1 else np.array([], int)
    return np.insert(np.asarray(eras, float), gaps, np.nan), np.insert(values, gaps, np.nan)


def draw_inventory(inventory: Inventory, path: Path) -> None:
    """Draws rows and absent features by era into a .png or .svg file.

    Raises NlabError when the file name ends otherwise.
    """
    from matplotlib.figure import Figure

    if path.suffix not in (".png", ".svg"):
        raise NlabError(f"--plot: {path} ends in neither .png nor .svg")
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    above.step(inventory.eras, inventory.n_rows, where="mid", linewidth=1.2)
    above.set(ylabel="rows", ylim=(0, None), title="Rows an era, and which features are absent in it (dark)")
    edges = np.append(inventory.eras, inventory.eras[-1] + 1) - 0.5
    below.pcolormesh(
        edges, np.arange(inventory.absent.shape[1] + 1), inventory.absent.T, cmap="Greys", vmin=0, vmax=1, rasterized=True
    )
    below.set(ylabel="feature", xlabel="era")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    with io.BytesIO() as drawing:
        figure.savefig(drawing, format=path.suffix[1:])
        write_page(path, drawing.getvalue())
