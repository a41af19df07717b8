"""Probes of a finished run's generators: out-of-sample scores of simple predictors of their columns, beside raw features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from numerai_lab.core.arrays import Float32, Float64, Int64
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.holdout import load_sealed_for
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.metrics.probes import Moments, NeighbourProbe, linear_probe
from numerai_lab.metrics.single_features import known_target
from numerai_lab.report.probes import RAW, Probed
from numerai_lab.runs.reading import Run
from numerai_lab.studies.data_checks import overlap_of
from numerai_lab.studies.inspection import evenly, first_seeds, honest_eras, restored_fits

TRAINING_ROWS, SCORED_ROWS = 100_000, 200_000
"""Approximate numbers of rows to transform: whole eras, evenly spread."""
ERAS = (20, 60)
"""Fewest and most eras of each of the two parts."""
NEIGHBOUR_ROWS, NEIGHBOURS = 20_000, 100
"""Most training rows among which neighbours are looked for, and number of neighbours of a row."""
AN_ERA = 1_000
"""Most rows of an era that are scored."""
LEAST_ROWS, FEWEST_ERAS = 20, 2
"""Fewest rows with a known target of an era that is used, and fewest eras of each part."""
Fits = Mapping[str, FittedGenerator]
"""Fitted generators by name."""


def probed(run: Run, display: ProgressDisplay) -> list[Probed]:
    """Probes of raw features and of every generator whose fit the run folder keeps, with the first of its seeds.

    Both probes learn from training eras whose targets no generator's fit for them saw, of the columns that models of the run
    were given, and are scored on validation eras. Empty where the run keeps no fit, or either part has fewer than two eras
    with targets. Raises NlabError as `inspected` does.
    """
    config = run.config
    fits = first_seeds(restored_fits(run, config))
    if not fits:
        return []
    with display.task("data") as progress:
        panel = load_sealed_for(run, config, progress).panel
    train, scored = _sampled(panel, run, fits)
    if min(len(train), len(scored)) < FEWEST_ERAS:
        return []
    parts = []
    for name, fit in [("", None), *fits.items()]:
        with display.task(f"probe {name or RAW}") as progress:
            probes = _Probes.fitted(panel, train, fit, progress)
            scores = np.array([probes.scores(panel, era) for era in scored])
        linear, neighbours = scores.T
        kind = fit.template.kind if fit else ""
        parts.append(Probed(name, kind, probes.n_columns, tuple(scored), linear, neighbours, overlap_of(panel)))
    return parts


def _sampled(panel: Panel, run: Run, fits: Fits) -> tuple[list[int], list[int]]:
    """Training eras to learn from, and validation eras to score."""
    splits = run.manifest["splits"]
    an_era = max(1, panel.n_rows // len(panel.eras))
    known = {era for era, n in zip(panel.eras.tolist(), panel.n_known.tolist(), strict=True) if n >= LEAST_ROWS}
    honest = [era for era in honest_eras(run, fits.values()) if era in known]
    later = [era for era in (*splits["val1"], *splits["val2"]) if era in known]
    n_train, n_later = (int(np.clip(n_rows // an_era, *ERAS)) for n_rows in (TRAINING_ROWS, SCORED_ROWS))
    return evenly(honest, n_train), evenly(later, n_later)


@dataclass(frozen=True)
class _Probes:
    """The two probes of a representation. fit: its generator; None for raw features. weights: float64, columns."""

    fit: FittedGenerator | None
    weights: Float64
    neighbours: NeighbourProbe

    @property
    def n_columns(self) -> int:
        return len(self.weights)

    @classmethod
    def fitted(cls, panel: Panel, train: Sequence[int], fit: FittedGenerator | None, progress: Progress) -> Self:
        """Probes fitted on training eras."""
        first, last = Moments(), Moments()
        sample: list[tuple[Float32, Float64]] = []
        for i, era in enumerate(train):
            columns, target = _known_rows(panel, era, fit)
            (last if i >= len(train) * 2 // 3 else first).add(columns, target)
            rows = _spread(len(target), NEIGHBOUR_ROWS // len(train))
            sample.append((columns[rows], target[rows] - target.mean()))
            progress(i + 1, len(train))
        columns, target = (np.concatenate(values) for values in zip(*sample, strict=True))
        return cls(fit, linear_probe(first, last), NeighbourProbe(columns, target, NEIGHBOURS))

    def scores(self, panel: Panel, era: int) -> tuple[float, float]:
        """The corr of both probes in an era, NaN for predictions that are constant in it."""
        columns, target = _known_rows(panel, era, self.fit)
        rows = _spread(len(target), AN_ERA)
        columns, target = columns[rows], target[rows]
        predictions = np.column_stack([columns @ self.weights, self.neighbours.predict(columns)])
        linear, neighbours = numerai_corr(predictions, target).tolist()
        return linear, neighbours


def _known_rows(panel: Panel, era: int, fit: FittedGenerator | None) -> tuple[Float32, Float64]:
    """Columns and target of the rows of an era whose target is known; the whole era is transformed, as live data arrives."""
    block = panel.block(era)
    columns = block.unit() if fit is None else fit.columns_for(block)
    known, target = known_target(panel, era)
    panel.release()
    return columns[known], target


def _spread(n: int, most: int) -> Int64:
    """At most `most` of n places, evenly spread."""
    return np.linspace(0, n - 1, min(n, max(1, most))).astype(np.int64)
