"""`nlab score`: the tables of a run for predictions that somebody else made, joined to the data by id."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.basics import Array, Float64, Int32, Int64, NlabError, nearest
from numerai_lab.config import Config
from numerai_lab.data.reader import load
from numerai_lab.data.table import INDEX_NAMES, as_bytes, reading, scan
from numerai_lab.experiment import scoring_of, span, splits_of
from numerai_lab.metrics.scoring import Column, Predictions, per_era, score_table
from numerai_lab.panel import Panel
from numerai_lab.setting import Show
from numerai_lab.splits import Splits

if TYPE_CHECKING:
    import polars as pl

LEAST_MATCHED = 0.8
NO_PREDICTIONS = ("era", "data_type", "split", "target")
"""Columns of a predictions file that are known to be something else; so is every column that begins with `target`."""


@dataclass(frozen=True)
class Scored:
    """Per-era scores, the score table, and lines that belong above it."""

    eras: "pl.DataFrame"
    scores: "pl.DataFrame"
    head: tuple[str, ...]


def score_predictions(path: Path, config: Config, show: Show, reference: str | None = None) -> Scored:
    """Scores every numeric column of a .parquet or .csv file (id, optional era) as a variant of its own.

    reference: the column that others are compared with, by default the first. Rows without a prediction are left out of
    their era, and counted. Raises NlabError when fewer than 80 % of the file's ids are in the data, when ids repeat, when an
    era contradicts the data, or when no scored era has predictions.
    """
    frame, names = _read(path)
    if reference is not None and reference not in names:
        raise NlabError(f"--reference: {path} has no column {reference!r}; {nearest(reference, names)}")
    with show.task("data") as tick:
        loaded = load(config.data, config.extra_sets, tick)
    panel = loaded.panel
    splits = splits_of(config, panel)
    rows, notes = _joined(path, frame, panel)
    scored, values = _on_scored_eras(path, frame.select(names).to_numpy(), rows, panel, splits)
    scoring = scoring_of(config, loaded, reference or names[0])
    columns = tuple(Column(name, 0) for name in names)
    future = panel.only(scored.scored)
    places = np.concatenate([np.arange(first, last) for first, last in future.bounds])
    with show.task("score") as tick:
        eras = per_era(panel, Predictions(columns, places, values[places]), scored, scoring, tick)
    stamp = "; ".join(part for part in (splits.leak, loaded.alias) if part)
    missing = int((~_complete(values[places])).sum())
    notes += [f"{missing:,} rows of scored eras have no prediction and are left out of their eras"] if missing else []
    data = f"{'SYNTHETIC data' if loaded.synthetic else 'data'}: {config.data.version_label()}; target {loaded.target}"
    head = [f"{data}; fnc[{scoring.fnc_features}]@{loaded.target}; Δ against {scoring.reference}"]
    head.append(f"val1 eras {span(scored.val1)}; val2 eras {span(scored.val2)}")
    return Scored(eras, score_table(eras, scoring, dict.fromkeys(names, stamp)), (*head, *notes))


def _read(path: Path) -> tuple["pl.DataFrame", list[str]]:
    """The file with its ids as `id`, its eras as integers, and the names of its prediction columns."""
    import polars as pl

    if not path.is_file() or not path.name.endswith((".parquet", ".csv", ".csv.gz")):
        raise NlabError(f"{path}: no .parquet, .csv or .csv.gz file of predictions")
    with reading(path):
        frame = scan(path).collect()
    index = next((name for name in INDEX_NAMES if name in frame.columns), None)
    if index is None:
        raise NlabError(f"{path}: has no id column; columns are {', '.join(frame.columns[:8])}")
    names = [
        name
        for name, dtype in frame.schema.items()
        if dtype.is_numeric() and name != index and name not in NO_PREDICTIONS and not name.startswith("target")
    ]
    if not names:
        raise NlabError(f"{path}: has no column of numbers beside {index}; predictions are wanted, a column a model")
    text = pl.col("era").cast(pl.String) if "era" in frame.columns else pl.lit(None, pl.String)
    era = text.str.extract(r"^(?:era)?0*(\d+)$").cast(pl.Int32)
    predictions = [pl.col(name).cast(pl.Float64).fill_null(np.nan) for name in names]
    return frame.select(pl.col(index).cast(pl.String).alias("id"), era.alias("era"), *predictions), names


def _joined(path: Path, frame: "pl.DataFrame", panel: Panel) -> tuple[Int64, list[str]]:
    """The panel row of every row of the file, −1 where there is none, and what to say of those."""
    ids, eras = as_bytes(frame["id"]), np.repeat(panel.eras, panel.bounds[:, 1] - panel.bounds[:, 0])
    has_eras = frame["era"].null_count() == 0
    keys, known = ids, panel.ids
    if len(np.unique(known)) < len(known):
        if not has_eras:
            raise NlabError(f"{path}: ids of this data repeat between eras; give the file an era column")
        keys, known = _with_era(frame["era"].to_numpy(), ids), _with_era(eras, known)
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known, keys, sorter=order), len(order) - 1)]
    rows = np.where(known[place] == keys, place, -1)
    found = rows[rows >= 0]
    if len(np.unique(found)) < len(found):
        values, counts = np.unique(ids[rows >= 0], return_counts=True)
        raise NlabError(f"{path}: id {values[counts > 1][0].decode()!r} stands {counts[counts > 1][0]} times")
    lost = ids[rows < 0]
    said = f"{len(lost):,} of {len(ids):,} ids are not in the data" + (f", such as {lost[0].decode()!r}" if len(lost) else "")
    if len(found) < LEAST_MATCHED * len(ids):
        raise NlabError(f"{path}: {said}; fewer than {LEAST_MATCHED:.0%} match, is it the right data?")
    if has_eras:
        named = frame["era"].to_numpy()
        wrong = np.flatnonzero((rows >= 0) & (named != eras[rows]))
        if len(wrong):
            i = int(wrong[0])
            raise NlabError(f"{path}: id {ids[i].decode()!r} stands in era {named[i]}, in the data in era {eras[rows[i]]}")
    return rows, [said] if len(lost) else []


def _with_era(eras: Int32, ids: Array) -> Array:
    return np.char.add(np.char.add(eras.astype("S11"), b"/"), ids)


def _on_scored_eras(path: Path, given: Float64, rows: Int64, panel: Panel, splits: Splits) -> tuple[Splits, Float64]:
    """The splits without the eras that have no prediction, and values by panel row, NaN where there is none."""
    values = np.full((len(panel.ids), given.shape[1]), np.nan)
    values[rows[rows >= 0]] = given[rows >= 0]

    def covered(eras: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(era for era in eras if _complete(values[panel.rows(era)]).sum() >= 2)

    kept = Splits(splits.train, (), covered(splits.val1), covered(splits.val2), splits.embargo_eras, splits.required_eras)
    if not kept.scored:
        raise NlabError(f"{path}: no era of val1 or val2 has predictions; its eras may be training ones (see splits.train)")
    return kept, values


def _complete(values: Float64) -> Array:
    return np.asarray(np.isfinite(values).all(axis=1))
