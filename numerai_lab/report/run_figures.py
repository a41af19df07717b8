"""The figures of a run's report. A new one is a function of `RunData` and a line in FIGURES."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.report import figures, findings, workings
from numerai_lab.report.conclusion import conclusion_of
from numerai_lab.report.figure import Figure, palette
from numerai_lab.report.forest import forest
from numerai_lab.report.plots import by_era, cumulative, improvement
from numerai_lab.runs.reading import Run, block_of

if TYPE_CHECKING:
    import polars as pl

FOREST = "forest"
"""The name of the picture that a report begins with."""
CUMULATIVE = "The sum of per-era corr since validation began."
DRAWDOWN = "How far the sum of per-era corr lies below its highest point so far."
IMPROVEMENT = "What each variant has earned beyond the reference since validation began. Does it go on in val2?"


@dataclass(frozen=True)
class RunData:
    """The run and config that a report's figures are drawn from."""

    run: Run
    config: Config

    @cached_property
    def eras(self) -> "pl.DataFrame":
        """Per-era scores of val1 and val2."""
        return validation(self.run.per_era)

    @cached_property
    def names(self) -> list[str]:
        """The variants, in the order of the score table."""
        return self.run.scores["variant"].unique(maintain_order=True).to_list()

    @cached_property
    def colours(self) -> dict[str, str]:
        """Variant → its colour."""
        return palette(self.names, self.config.reference)

    @cached_property
    def val2_starts(self) -> int | None:
        """The first era of val2; None where it has none."""
        return val2_starts(self.eras)


def cumulative_corr(data: RunData) -> Figure:
    """The sum of per-era corr of every variant."""
    curves, title = cumulative(data.eras), "Cumulative corr"
    return figures.over_eras(curves, data.colours, data.val2_starts, key="cumulative", title=title, says=CUMULATIVE)


def cumulative_improvement(data: RunData) -> Figure | None:
    """The cumulative difference of every variant from the reference."""
    if len(data.names) == 1:
        return None
    reference = data.config.reference
    curves, title = improvement(data.eras, reference), f"Cumulative improvement over {reference}"
    return figures.over_eras(curves, data.colours, data.val2_starts, key="improvement", title=title, says=IMPROVEMENT)


def drawdowns(data: RunData) -> Figure:
    """The distance of every variant's cumulative corr from its maximum so far."""
    curves = {name: (eras, values - np.maximum.accumulate(values)) for name, (eras, values) in cumulative(data.eras).items()}
    return figures.over_eras(curves, data.colours, data.val2_starts, key="drawdown", title="Drawdown", says=DRAWDOWN)


def differences(data: RunData) -> Figure | None:
    """The difference of one variant from the reference, within the band of chance."""
    if len(data.names) == 1:
        return None
    return figures.differences(by_era(data.eras), data.config.reference, data.colours, block_of(data.run.manifest))


def halves(data: RunData) -> Figure:
    """Mean corr on val1 against val2."""
    return figures.halves(data.run.scores, data.names, data.colours)


def likeness(data: RunData) -> Figure:
    """Correlations between the predictions of variants."""
    return figures.matrix(findings.likeness(data.run, data.names))


def exposures(data: RunData) -> Figure:
    """Largest and root mean square feature exposure."""
    return figures.exposures(data.run.scores, data.names)


def importance(data: RunData) -> Figure | None:
    """Importance of each block of inputs in the models."""
    gains = findings.importances(data.run, data.config, data.run.manifest["data"]["features"])
    return workings.importance(gains) if gains else None


def training(data: RunData) -> Figure | None:
    """Training curves of networks."""
    curves = findings.training_curves(data.run)
    return workings.training(curves) if curves else None


def phases(data: RunData) -> Figure:
    """Seconds and memory of the phases of the run."""
    return workings.stages(data.run.manifest["stages"])


FIGURES: Mapping[str, tuple[Callable[[RunData], Figure | None], ...]] = {
    "eras": (differences, cumulative_improvement, cumulative_corr, drawdowns),
    "predictions": (halves, likeness, exposures, importance),
    "costs": (training, phases),
}
"""Section of the report → functions of its figures, in order; a function returns None where there is nothing to draw."""


OF_MODELS = (importance, training)
"""Figures for which the models of the run are opened."""


def run_figures(run: Run, config: Config, *, with_models: bool = True) -> dict[str, list[Figure]]:
    """Section → the figures of a run. with_models: open its models, which only an own run allows."""
    data = RunData(run, config)
    left_out = () if with_models else OF_MODELS
    drawn = {section: [make(data) for make in makers if make not in left_out] for section, makers in FIGURES.items()}
    return {section: [figure for figure in candidates if figure is not None] for section, candidates in drawn.items()}


def figure_names() -> list[str]:
    """Names of the figures: the picture of the conclusion, then those of the report in its order."""
    return [FOREST, *(make.__name__ for makers in FIGURES.values() for make in makers)]


def figure_named(run: Run, name: str) -> Figure:
    """One figure of a run. Raises NlabError for an unknown name, and where the run has nothing to draw in it."""
    makers = {make.__name__: make for makers in FIGURES.values() for make in makers}
    if name not in figure_names():
        raise NlabError(f"no figure {name!r}; {nearest(name, figure_names())}")
    figure = forest(conclusion_of(run)) if name == FOREST else makers[name](RunData(run, run.config))
    if figure is None:
        raise NlabError(f"{run.path}: has nothing to draw in the figure {name!r}")
    return figure


def validation(eras: "pl.DataFrame") -> "pl.DataFrame":
    """The rows of val1 and val2 of a per-era table."""
    import polars as pl

    return eras.filter(pl.col("split").is_in(("val1", "val2")))


def val2_starts(eras: "pl.DataFrame") -> int | None:
    """The first era of val2; None where there is none."""
    late = eras.filter(split="val2")["era"]
    return None if late.is_empty() else int(late.to_numpy().min())
