"""Predictions of a finished run for rows of any file, from the run folder alone."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float64
from numerai_lab.core.eras import Calendar, era_name
from numerai_lab.core.errors import NlabError
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.data.frames import FILE, named_frame, write_frame
from numerai_lab.data.prediction_rows import PredictionRows, RowLayout, prediction_rows
from numerai_lab.fitting.portable import Portable
from numerai_lab.fitting.portable_checks import refuse_contradiction
from numerai_lab.fitting.portable_facts import portable_of
from numerai_lab.fitting.prediction_table import column_names
from numerai_lab.fitting.restored import Restored
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.era import rank
from numerai_lab.metrics.scoring import Column
from numerai_lab.runs.reading import Run, RunFiles
from numerai_lab.storage.scratch import scratch

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


@dataclass(frozen=True)
class Predictor:
    """A variant of a finished run that predicts.

    run: the run's name. folder: where its fitted models lie, the run's own or those of a refit. benchmark: the run's benchmark
    model, by name. remarks: what stands beside its predictions.
    """

    run: str
    folder: RunFiles
    config: Config
    facts: Portable
    variant: str
    benchmark: str | None
    remarks: tuple[str, ...]

    def predict(self, path: Path, display: ProgressDisplay) -> "PredictedRows":
        """Predictions for the rows of a file. Raises NlabError as `prediction_rows` does, and for constant predictions."""
        with scratch() as space:
            with display.task(f"read {path.name}"):
                rows = prediction_rows(path, self.config.data, self._layout, space)
            restored = Restored(self.folder, self.config, self._shared, (self.variant,))
            predictions = restored.predictions(rows.panel, tuple(rows.panel.eras.tolist()), display)
        own = [i for i, column in enumerate(predictions.columns) if column.variant == self.variant]
        predicted = PredictedRows(self, rows, predictions.values[:, own].astype(np.float64))
        predicted.refuse_constant(path)
        return predicted

    @property
    def _layout(self) -> RowLayout:
        facts, sets = self.facts, self.facts.sets_of(self.variant)
        needed = {name for chosen in sets for name in facts.sets[chosen]}
        calendar = facts.calendar
        return RowLayout(
            features=facts.features,
            further=tuple(name for name in facts.further_features if name in needed),
            dtype=facts.cells.dtype,
            further_dtype=facts.further_cells.dtype if facts.further_cells else facts.cells.dtype,
            sets={name: facts.sets[name] for name in sets},
            live_era=facts.live_era,
            calendar=Calendar(**calendar.model_dump()) if calendar else None,
        )

    @property
    def _shared(self) -> dict[str, str]:
        """Variant → the first one with the same models."""
        first: dict[str, str] = {}
        models = {name: part.models for name, part in self.facts.variants.items() if not part.members}
        return {name: first.setdefault(repr(sorted(files.items())), name) for name, files in models.items()}


@dataclass(frozen=True)
class PredictedRows:
    """Predictions of a variant for the rows of a file. values: rows in the order of the panel, a column for each seed."""

    predictor: Predictor
    rows: PredictionRows
    values: Float64

    @cached_property
    def ranks(self) -> Float64:
        """(rank − ½) / n within each era, of the mean over seeds of such ranks; rows in the order of the panel."""
        parts = [rank(rank(self.values[first:last]).mean(1)[:, None])[:, 0] for first, last in self.rows.panel.bounds]
        return np.concatenate(parts)

    def refuse_constant(self, path: Path) -> None:
        """Raises NlabError where all rows of an era get one prediction."""
        panel = self.rows.panel
        for era, (first, last) in zip(panel.eras.tolist(), panel.bounds, strict=True):
            if last - first > 1 and np.ptp(self.ranks[first:last]) == 0:
                name = "the live rows" if era == self.rows.live else f"the rows of era {era_name(era, panel.dates)}"
                raise NlabError(
                    f"{path}: {self.predictor.variant} predicts the same for all {last - first} of {name}, which is no ranking; "
                    "look at their features"
                )

    def table(self) -> "pl.DataFrame":
        """id and prediction in the order of the file; where ids repeat from era to era, era between them."""
        import polars as pl

        panel = self.rows.panel
        eras = np.repeat([era_name(era, panel.dates) for era in panel.eras.tolist()], np.diff(panel.bounds)[:, 0])
        table = pl.DataFrame({"id": self.rows.ids, "era": eras, "prediction": self.ranks})[self.rows.places]
        return table if table["id"].n_unique() < len(table) else table.drop("era")

    def raw_table(self) -> "pl.DataFrame":
        """id and the predictions of each seed, as the run itself made them, in the order of the file."""
        import polars as pl

        names = column_names([Column(self.predictor.variant, seed) for seed in self.predictor.facts.seeds])
        columns = {name: self.values[:, i] for i, name in enumerate(names)}
        return pl.DataFrame({"id": self.rows.ids, **columns})[self.rows.places]

    @property
    def facts(self) -> dict[str, str]:
        """What a user must know of the predictions, by name."""
        predictor, panel = self.predictor, self.rows.panel
        seeds = len(predictor.facts.seeds)
        eras = [era_name(era, panel.dates) for era in panel.eras.tolist() if era != self.rows.live]
        named = f"{len(eras)} eras, {eras[0]} to {eras[-1]}" if len(eras) > 1 else f"era {eras[0]}" if eras else "live"
        missing = f"{self.rows.n_missing:,}" + (", set to the middle bin" if self.rows.n_missing else "")
        return {
            "run": predictor.run,
            "variant": predictor.variant + (f", mean of the ranks of {seeds} seeds" if seeds > 1 else ""),
            **({"refit": f"{predictor.facts.refit}, never scored"} if predictor.facts.refit else {}),
            "rows": f"{len(panel.ids):,} ({named}{' and live' if eras and self.rows.live is not None else ''})",
            "missing cells": missing,
        }


def predictor_of(run: Run, variant: str | None) -> Predictor:
    """The variant of a run as the run trained it; None: the best one by validation.

    Raises NlabError for an unknown variant, one of a plug-in that is not portable, and a run folder that can't predict.
    """
    facts, config = portable_of(run), run.config
    refuse_contradiction(run, facts, config)
    remarks = []
    if variant is None:
        variant, remark = best_variant(run, facts)
        remarks += [remark] if remark else []
    facts.refuse_unportable(variant)
    if facts.data["synthetic"]:
        remarks.append("the run was trained on SYNTHETIC data: its predictions mean nothing for real rows")
    return Predictor(run.name, run, config, facts, variant, run.manifest["scoring"].get("benchmark"), tuple(remarks))


def predict_frame(run: Run, rows: "pd.DataFrame | pl.DataFrame", variant: str | None, display: ProgressDisplay) -> PredictedRows:
    """Predictions of a variant for the rows of a DataFrame, by way of a file that is removed again. Raises NlabError."""
    predictor = predictor_of(run, variant)
    with scratch() as space:
        path = space.folder / FILE
        write_frame(rows, path, "rows")
        with named_frame(path):
            return predictor.predict(path, display)


def best_variant(run: Run, facts: Portable) -> tuple[str, str]:
    """The variant with the highest mean corr over validation, and a remark that it was chosen.

    Placebos, and what reads the oracle of synthetic data, are left out.
    """
    import polars as pl

    pairs_of = Placebos.of_manifest(run.manifest).as_dict().values()
    out = {placebo for pairs in pairs_of for placebo in pairs.values()}
    out |= {name for name, part in facts.variants.items() if not {*part.inputs}.isdisjoint(facts.sets)}
    scores = run.scores.filter(pl.col("split") == "val")
    means = dict(zip(scores["variant"].to_list(), scores["corr_mean"].to_list(), strict=True))
    known = {name: mean for name, mean in means.items() if name in facts.variants and mean is not None and math.isfinite(mean)}
    candidates = {name: mean for name, mean in known.items() if name not in out} or known
    if not candidates:
        return str(run.manifest["scoring"]["reference"]), ""
    best = max(candidates, key=lambda name: candidates[name])
    why = f"{best} has the highest mean corr over validation, {candidates[best]:.4f}, of {len(candidates)} variants"
    return best, f"{why}; --variant takes another" if len(candidates) > 1 else ""
