"""Rows of any file in the layout that a run was trained on, as a panel without targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.eras import Calendar, EraError, era_label, era_name, era_number, is_live, number_eras
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.data.cells import CellEncoding, encodings_of
from numerai_lab.data.ingest import DataFile, read_features
from numerai_lab.data.rows import Rows, rows_in_order
from numerai_lab.data.source import Source, Tournament
from numerai_lab.data.table import Table
from numerai_lab.storage.scratch import Scratch


@dataclass(frozen=True)
class RowLayout:
    """The layout of rows that models read.

    features, further: names in order, of the raw features and of those that sets need beyond them. dtype, further_dtype: of
    the cells, int8 for bins. sets: feature set → its features. live_era: the era of rows without one. calendar: None where
    eras are numbers.
    """

    features: tuple[str, ...]
    further: tuple[str, ...]
    dtype: str
    further_dtype: str
    sets: dict[str, tuple[str, ...]]
    live_era: int
    calendar: Calendar | None


@dataclass(frozen=True)
class PredictionRows:
    """Rows to predict.

    panel: sorted by era and id. places: int64, the panel's row of each row of the file. live: the era whose rows are live,
    None without any. n_missing: cells that were missing and are the middle bin now.
    """

    panel: Panel
    places: Int64
    live: int | None
    n_missing: int

    @property
    def ids(self) -> list[str]:
        """The ids in the order of the panel."""
        return [name.decode() for name in self.panel.ids.tolist()]


def prediction_rows(path: Path, source: Source, layout: RowLayout, space: Scratch) -> PredictionRows:
    """The rows of a parquet or CSV file; columns may stand in any order, and further ones are passed over.

    Rows without a column of eras, or marked X, are live. Raises NlabError for a file that can't be read, lacks features, has
    ids that are missing or stand twice in an era, or holds other values than those that the models know.
    """
    if not path.is_file():
        raise NlabError(f"{path}: no such file")
    table = Table(source, Tournament(tables=(path,)))
    _refuse_missing(table, path, (*layout.features, *layout.further))
    numbers, dates = _era_numbers(table, path, layout)
    rows = _rows(table, path, numbers, dates)
    features, n_missing = _cells(table, rows, layout.features, layout.dtype, space)
    further, n_further = _cells(table, rows, layout.further, layout.further_dtype, space) if layout.further else (None, 0)
    position = {name: i for i, name in enumerate((*layout.features, *layout.further))}
    panel = Panel(
        feature_names=tuple(position),
        features=features,
        n_raw=len(layout.features),
        top=4.0 if layout.dtype == "int8" else 1.0,
        ids=rows.ids,
        eras=rows.eras,
        bounds=rows.bounds,
        data_types=rows.data_types,
        target=None,
        feature_sets={name: np.array(sorted(position[name] for name in names)) for name, names in layout.sets.items()},
        dates=dates,
        scoring_features=further,
    )
    live = layout.live_era if any(is_live(label) for label in numbers) else None
    return PredictionRows(panel, rows.destination, live, n_missing + n_further)


def _refuse_missing(table: Table, path: Path, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.schema]
    if missing:
        raise NlabError(f"{path}: lacks {len(missing)} of {len(names)} features that the models read, such as {missing[0]!r}")


LIVE_LABEL = "X"


def _era_numbers(table: Table, path: Path, layout: RowLayout) -> tuple[dict[str, int], dict[int, str]]:
    """The era number of each label, as the run counts, and the date of each number; X stands for live rows."""
    if table.source.era_column not in table.schema:
        return {LIVE_LABEL: layout.live_era}, {}
    labels = table.collect(era_label(table.era_column).alias("era").unique())["era"].unique().sort().to_list()
    try:
        numbered = number_eras(labels, calendar=layout.calendar)
    except EraError as error:
        raise NlabError(f"{path}: {error}") from error
    if numbered.numbers and bool(numbered.calendar) != bool(layout.calendar):
        own, theirs = ("dates", "numbers") if layout.calendar else ("numbers", "dates")
        raise NlabError(f"{path}: its eras are {theirs}, such as {next(iter(numbered.numbers))!r}, and those of the run {own}")
    live = [label for label in labels if label is not None and is_live(label)]
    if live and layout.live_era in numbered.numbers.values():
        name = era_name(layout.live_era, numbered.dates)
        raise NlabError(f"{path}: holds live rows and era {name}, which the run counts as one; predict them one after the other")
    return {**numbered.numbers, **dict.fromkeys(live, layout.live_era)}, dict(numbered.dates)


def _rows(table: Table, path: Path, numbers: dict[str, int], dates: dict[int, str]) -> Rows:
    import polars as pl

    has_eras = table.source.era_column in table.schema
    label = era_label(table.era_column) if has_eras else pl.lit(LIVE_LABEL)
    columns = (
        pl.col(table.id_column).cast(pl.String).alias("id"),
        era_number(label, numbers).alias("era"),
        pl.lit("").alias("data_type"),
        pl.lit(np.nan, pl.Float32).alias("target"),
    )
    frame = table.collect(*columns)
    if frame.is_empty():
        raise NlabError(f"{path}: holds no rows")
    if n_empty := frame["id"].null_count():
        raise NlabError(f"{path}: {n_empty} rows have no id")
    return rows_in_order(frame.with_row_index("row"), path, dates)


def _cells(table: Table, rows: Rows, names: Sequence[str], dtype: str, space: Scratch) -> tuple[Array, int]:
    """The cells of some features, rows × names, in the units of the run; and how many were missing."""
    (encoding,) = encodings_of(table, names)
    path = table.tournament.tables[0]
    file = DataFile(path, table.scans[0], _in_units(encoding, dtype, path), rows.destination)
    cells = space.features(len(rows.ids), len(names), np.dtype(dtype))
    return cells, read_features(file, list(names), rows, cells, lambda n_rows: None)


def _in_units(encoding: CellEncoding, dtype: str, path: Path) -> CellEncoding:
    """The encoding of a file's cells as the run has them. Raises NlabError for fractions where the run has bins."""
    if encoding.dtype == dtype:
        return encoding
    if dtype == "int8":
        why = encoding.note.partition(" are no bins")[0]
        raise NlabError(f"{path}: {why} hold fractions, and the models read bins 0 to 4 (or 0, .25 … 1)")
    factor: Float32 = encoding.factor / np.float32(encoding.top)
    return replace(encoding, dtype=dtype, top=1.0, factor=factor)
