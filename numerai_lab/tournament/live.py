"""Predictions of a finished run for live rows, as a file that Numerai takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numerai_lab.core.errors import NlabError
from numerai_lab.data.source import LiveFiles
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.era import pearson, rank
from numerai_lab.runs.output_files import write_page
from numerai_lab.runs.reading import read_run
from numerai_lab.tournament.output_file import check_out, write_predictions
from numerai_lab.tournament.prediction import PredictedRows, Predictor, predictor_of
from numerai_lab.tournament.refit import refitted
from numerai_lab.tournament.submission_file import check_submission


@dataclass(frozen=True)
class Written:
    """A file of predictions. facts: what a user must know of it, by name; remarks: sentences beside it."""

    path: Path
    facts: Mapping[str, str]
    remarks: tuple[str, ...]


def predict_file(path: Path, rows: Path, out: Path, display: ProgressDisplay, variant: str | None = None) -> Written:
    """Writes the predictions of a variant of a finished run for the rows of a file.

    Raises NlabError for a run, variant or file that it can't predict, and for an `out` in the place of something else.
    """
    check_out(out, rows, path)
    run = read_run(path)
    predictor = predictor_of(run, variant)
    predicted = predictor.predict(rows, display)
    write_predictions(out, predicted.table())
    eras = predicted.rows.panel.eras.tolist()
    n_seen = len(set(eras) & {*run.manifest["splits"]["train"]})
    seen = f"{n_seen} of {len(eras)} eras are training eras of the run: their predictions are no measure of anything"
    return Written(out, predicted.facts, (*predictor.remarks, *([seen] if n_seen else [])))


def live(
    path: Path, out: Path, display: ProgressDisplay, variant: str | None = None, data: Path | None = None, *, refit: bool = False
) -> Written:
    """Writes the predictions of a variant of a finished run for the live rows of the current round.

    data: a file of live rows; None: those of the run's data source, which the tournament's fetches anew each round. refit: by
    models that are trained again on all resolved eras, as with the variant's key `refit`; a card beside the file says so.
    Raises NlabError as `predict_file` does, and where no live rows can be had.
    """
    check_out(out, path, *([data] if data else []))
    run = read_run(path)
    predictor = predictor_of(run, variant)
    if refit or predictor.config.variants[predictor.variant].refit:
        predictor = refitted(run, predictor, display, renew=refit)
    with display.task("live rows") as progress:
        files = LiveFiles.beside(data) if data else predictor.config.data.live(progress)
    check_out(out, files.table)
    predicted = predictor.predict(files.table, display)
    _refuse_dated(predicted, files.table)
    table = predicted.table()
    check_submission(table, str(files.table), predicted.rows.ids)
    shown = {"round": "unknown, the file does not say" if files.round is None else str(files.round), **predicted.facts}
    written = Written(out, {**shown, **_likeness(predictor, predicted, files)}, predictor.remarks)
    if predictor.facts.refit:
        write_page(out.with_name(f"{out.name}.md"), _card(written))
    write_predictions(out, table)
    return written


def _card(written: Written) -> str:
    """A page that says what a file of predictions is."""
    facts = "\n".join(f"| {name} | {value} |" for name, value in written.facts.items())
    remarks = "\n".join(f"**{remark}**\n" for remark in written.remarks)
    return f"# {written.path.name}\n\n{remarks}\n| | |\n| --- | --- |\n{facts}\n"


def _refuse_dated(predicted: PredictedRows, path: Path) -> None:
    """Raises NlabError where rows have an era: those are of the past."""
    eras = [era for era in predicted.rows.panel.eras.tolist() if era != predicted.rows.live]
    if eras:
        raise NlabError(f"{path}: has rows of {len(eras)} eras, not live ones alone (era X); `nlab predict` takes any rows")


def _likeness(predictor: Predictor, predicted: PredictedRows, files: LiveFiles) -> dict[str, str]:
    """Correlation of ranks with the benchmark model of the run; nothing where it has none, or none for these rows."""
    import polars as pl

    name = predictor.benchmark
    if name is None or files.benchmarks is None:
        return {}
    try:
        known = pl.read_parquet(files.benchmarks, glob=False)
        column = known.select(pl.col("id").cast(pl.String), pl.col(name).cast(pl.Float64)).drop_nulls().drop_nans()
    except (pl.exceptions.PolarsError, OSError):
        return {f"corr with {name}": f"unknown, {files.benchmarks.name} does not have it"}
    both = predicted.table().join(column.unique("id"), on="id")
    if len(both) < 2:
        return {f"corr with {name}": f"unknown, {files.benchmarks.name} has none of these rows"}
    own, theirs = (rank(both[key].to_numpy()[:, None]) for key in ("prediction", name))
    corr = float(pearson(own, np.asarray(theirs[:, 0]))[0])
    return {f"corr with {name}": f"{corr:.3f}" + (f" ({len(both):,} rows)" if len(both) < len(predicted.rows.ids) else "")}
