"""`nlab score`: scores predictions made outside this package, joined to the data by id."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Array, Float64, Int64
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.eras import LIVE, era_label
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.formatting import listed
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits, all_scored, names_no_training
from numerai_lab.data.extras import RowIndex, find_rows, model_columns, numbered
from numerai_lab.data.files import TRUTH
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.reader import load
from numerai_lab.data.scan import (
    as_bytes,
    decimal_advice,
    id_column,
    id_text,
    is_named_as_data,
    is_no_number,
    number,
    reading,
    refuse_other_than_numbers,
    scan,
    schema_of,
)
from numerai_lab.fitting.holdout import era_table, splits_of, with_hidden_targets
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.fitting.run_facts import run_facts
from numerai_lab.fitting.scoring_terms import scoring_of
from numerai_lab.fitting.truth import Truth, beside_truth
from numerai_lab.metrics.scoring import STEP, Column, Predictions, covered, fnc_remark, per_era, score_table

if TYPE_CHECKING:
    import polars as pl

LEAST_MATCHED = 0.8
ROW = "number of the row"


@dataclass(frozen=True)
class Scored:
    """Per-era scores, the score table, lines to print above it, and the facts of data, splits and scoring."""

    eras: "pl.DataFrame"
    scores: "pl.DataFrame"
    head: tuple[str, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """What predictions are compared with.

    reference: a column, by default the first. truth: a file of expected returns, or the folder of one, by default that of
    the data. oracle: the column of a model that reads the oracle.
    """

    reference: str | None = None
    truth: Path | None = None
    oracle: str | None = None


def score_predictions(path: Path, config: Config, display: ProgressDisplay, compared: Compared = Compared()) -> Scored:
    """Scores every numeric column of a .parquet or .csv file (id, optional era) as a variant of its own.

    Rows without a prediction are left out of their era, and counted. Raises NlabError when the file can't be read as such,
    when fewer than 80 % of its ids are in the data, when ids repeat, when an era contradicts the data, when no scored era has
    predictions, or when the truth can't be read.
    """
    frame, names, left_out = _read(path, config)
    reference = compared.reference
    for option, name in (("--reference", reference), ("--oracle", compared.oracle)):
        if name is not None and name not in names:
            raise NlabError(f"{option}: {path} has no column {name!r}; {nearest(name, names)}")
    with display.task("data") as progress:
        loaded = load(config.data, config.extra_sets, progress)
    splits, of_splits = _splits(config, loaded.panel)
    loaded = replace(loaded, panel=with_hidden_targets(loaded.panel, splits.holdout))
    panel = loaded.panel
    version = config.data.version_label()
    rows, notes = _joined(path, frame, panel, version)
    notes += [*of_splits, *_held_out(rows, panel, splits)]
    if left_out:
        notes.append(f"columns that are no predictions: {listed(left_out, 8)}")
    scored, values = _on_scored_eras(path, frame.select(names).to_numpy(), rows, panel, splits)
    scoring = scoring_of(config, loaded, reference or names[0])
    columns = tuple(Column(name, 0) for name in names)
    future = panel.only(scored.scored)
    places = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    predictions = Predictions(columns, places, values[places])
    notes += [*covered(panel, predictions, scored, scoring).lines(), *filter(None, [fnc_remark(panel, scored, scoring)])]
    with display.task("score") as progress:
        eras = per_era(panel, predictions, scored, scoring, progress)
    stamp = "; ".join(part for part in (splits.leak, loaded.alias) if part)
    missing = int((~_complete(values[places])).sum())
    notes += [f"{missing:,} rows of scored eras have no prediction and are left out of their eras"] if missing else []
    data = f"{'SYNTHETIC data' if loaded.synthetic else 'data'}: {version}; target {loaded.target}"
    head = [f"{data}; fnc[{scoring.fnc_features}]@{loaded.target}; Δ against {scoring.reference}"]
    head.append(f"val1 eras {span_text(scored.val1, panel.dates)}; val2 eras {span_text(scored.val2, panel.dates)}")
    scores = score_table(eras, scoring, dict.fromkeys(names, stamp))
    truth_path = _truth_path(config, compared)
    if truth_path is not None:
        truth = Truth.of(truth_path, panel, scoring.horizon_days)
        scores, corr = beside_truth(scores, eras, truth, scoring.reference, compared.oracle)
        head.append(f"truth {truth_path}: corr {corr:+.4f}")
    facts = run_facts(config, loaded, scored, scoring) | {"warnings": notes}
    return Scored(eras, scores, (*head, *notes), facts)


def _splits(config: Config, panel: Panel) -> tuple[Splits, list[str]]:
    """The splits, and a note where no era trains: then all are scored."""
    table = era_table(panel)
    if not names_no_training(config.splits, table):
        return splits_of(config, panel), []
    splits = all_scored(table)
    return splits, [f"no era of the data trains: all {len(splits.scored)} eras with a known target are scored, in two halves"]


def _truth_path(config: Config, compared: Compared) -> Path | None:
    """The file of expected returns, where there is one. Raises NlabError where one was named that is not there."""
    path = compared.truth
    if path is None:
        return config.data.truth
    path = path / TRUTH if path.is_dir() else path
    if not path.is_file():
        raise NlabError(f"--truth: no file {path}; a synthetic tournament has a truth.parquet in its folder")
    return path


def _read(path: Path, config: Config) -> tuple["pl.DataFrame", list[str], list[str]]:
    """A table of id, era as text (null where the file has none) and predictions; names of predictions and of other columns.

    Raises NlabError for a column that is neither numeric nor known to be no prediction.
    """
    import polars as pl

    if not path.is_file() or not is_named_as_data(path):
        raise NlabError(f"{path}: no .parquet, .csv or .csv.gz file of predictions")
    lazy = scan(path)
    schema = schema_of(lazy, path)
    refuse_damaged_pages(path, list(schema))
    if "split" in schema:  # of a run's own predictions, where steps of retraining predict validation once more
        lazy = lazy.filter(~pl.col("split").cast(pl.String).fill_null("").str.starts_with(STEP))
    index = id_column(path, lazy, config.data.id_column) or id_column(path, lazy)
    if index is None:
        raise NlabError(f"{path}: has no id column; columns are {', '.join(list(schema)[:8])}")
    era = config.data.era_column if config.data.era_column in schema else "era"
    prefix = config.data.feature_prefix
    names = [name for name in model_columns(path, list(schema)) if name not in (index, era)]
    names = [name for name in names if not (prefix and name.startswith(prefix))]
    if not names:
        raise NlabError(f"{path}: has no column of numbers beside {index}; predictions are wanted, a column a model")
    refuse_other_than_numbers(path, schema, names, "column")
    for name in names:
        with reading(path):
            wrong = lazy.with_row_index(ROW).filter(is_no_number(name)).select(ROW, name).head(1).collect()
        if len(wrong):
            value = wrong[name][0]
            raise NlabError(
                f"{path}: column {name!r} holds {value!r} in row {wrong[ROW][0] + 1}, which is no finite number"
                f"{decimal_advice(value) or '; mend it, or leave the column out if it holds no predictions'}"
            )
    text = era_label(era) if era in schema else pl.lit(None, pl.String)
    values = [number(name, pl.Float64).fill_null(np.nan) for name in names]
    with reading(path):
        frame = lazy.select(id_text(path, lazy, index).alias("id"), text.alias("era"), *values).collect()
    empty = next((name for name in names if frame[name].is_nan().all()), None)
    if empty is not None:
        raise NlabError(f"{path}: column {empty!r} holds no number")
    return frame, names, [name for name in schema if name not in (*names, index, era)]


def _joined(path: Path, frame: "pl.DataFrame", panel: Panel, version: str) -> tuple[Int64, list[str]]:
    """The panel row of every row of the file, −1 where there is none, and notes on rows that are not joined.

    Rows are joined by era and id, or by id alone in a file without eras.
    """
    live = frame["era"].str.strip_chars().is_in(LIVE).fill_null(False).to_numpy()
    ids, eras = as_bytes(frame["id"]), None
    if frame["era"].null_count() < len(frame):
        eras = numbered(path, frame["era"], panel.dates)
    rows = find_rows(path, RowIndex(panel.ids, panel.eras, panel.bounds, panel.dates), ids, eras)
    places, counts = np.unique(rows[rows >= 0], return_counts=True)
    if np.any(counts > 1):
        twice = panel.ids[places[counts > 1][0]].decode()
        raise NlabError(f"{path}: id {twice!r} stands {counts[counts > 1][0]} times")
    n_live, n_known = int(live.sum()), int((~live).sum())
    lost = ids[(rows < 0) & ~live]
    message = f"{len(lost):,} of {n_known:,} ids are not in the data" + (f", such as {lost[0].decode()!r}" if len(lost) else "")
    if len(places) < LEAST_MATCHED * n_known or not n_known:
        raise NlabError(f"{path}: {message} ({version}); fewer than {LEAST_MATCHED:.0%} match, is it the right data?")
    notes = [message] if len(lost) else []
    return rows, [*notes, *([f"{n_live:,} live rows are left out"] if n_live else [])]


def _held_out(rows: Int64, panel: Panel, splits: Splits) -> list[str]:
    """A note where the file has predictions for rows of the holdout. rows: panel rows, as `_joined` returns them."""
    n = sum(int(((rows >= place.start) & (rows < place.stop)).sum()) for place in map(panel.rows, splits.holdout))
    eras = span_text(splits.holdout, panel.dates)
    message = f"{n:,} rows of the holdout (eras {eras}) are not scored; `nlab unseal` scores a run's variant there"
    return [message] if n else []


def _on_scored_eras(path: Path, given: Float64, rows: Int64, panel: Panel, splits: Splits) -> tuple[Splits, Float64]:
    """The splits without eras that have no prediction, and values by panel row, NaN where there is none."""
    values = np.full((len(panel.ids), given.shape[1]), np.nan)
    values[rows[rows >= 0]] = given[rows >= 0]

    def covered(eras: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(era for era in eras if _complete(values[panel.rows(era)]).sum() >= 2)

    scored_splits = Splits(
        splits.train, (), covered(splits.val1), covered(splits.val2), splits.embargo_eras, splits.required_eras
    )
    if not scored_splits.scored:
        raise NlabError(f"{path}: no era of val1 or val2 has predictions; its eras may be training ones (see splits.train)")
    return scored_splits, values


def _complete(values: Float64) -> Array:
    return np.asarray(np.isfinite(values).all(axis=1))
