"""Fills stores from parquet and CSV files: features, targets, scoring features and other models' predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import release_pages
from numerai_lab.core.progress import Progress
from numerai_lab.data.cells import BadCell, CellEncoding, encodings_of
from numerai_lab.data.csv_files import refuse_ragged
from numerai_lab.data.earlier import Earlier, FileRows, eras_of_files
from numerai_lab.data.extras import read_extras
from numerai_lab.data.keys import Stores
from numerai_lab.data.parquet_pages import BATCH_CELLS, is_parquet, refuse_damaged_pages
from numerai_lab.data.rows import Rows
from numerai_lab.data.scan import decimal_advice, reading
from numerai_lab.data.synthetic_mark import has_marked_ids, is_marked
from numerai_lab.data.table import FeatureColumns, Table
from numerai_lab.storage.era_content import row_sums
from numerai_lab.storage.era_store import create_features, write_extras, write_store
from numerai_lab.storage.folders import built

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Filling:
    """Inputs of filling stores.

    columns: columns to read. earlier: older stores to copy rows of unchanged files from. refuse_changed: is called before each
    store takes its final name, and raises NlabError where the files have changed.
    """

    columns: FeatureColumns
    earlier: Earlier
    refuse_changed: Callable[[], None]


@dataclass(frozen=True)
class DataFile:
    """A file to read. to: the store's row for each row of the file, −1 for live rows."""

    path: Path
    lazy: "pl.LazyFrame"
    encoding: CellEncoding
    to: Int64


def ingest(tables: Sequence[Table], stores: Stores, missing: Sequence[Path], filling: Filling, progress: Progress) -> None:
    """Fills the missing stores. Raises NlabError for invalid data, and where a file changes meanwhile.

    Parameters
    ----------
    tables: the table of the target, then one per auxiliary target.
    missing: folders of the stores to fill.
    """
    table, rows, columns = tables[0], tables[0].rows(), filling.columns

    def label(target_table: Table, folder: Path) -> None:
        _label(target_table, rows.target if target_table is table else target_table.target_of(rows), folder)

    makers: dict[Path, Callable[[Path], None]] = {
        stores.rows.folder: lambda folder: _ingest(table, rows, filling, folder, progress),
        **{store.folder: partial(label, target_table) for target_table, store in zip(tables, stores.labels, strict=True)},
    }
    if stores.scoring_features:
        makers[stores.scoring_features.folder] = lambda folder: _ingest_further(table, rows, columns.scoring, folder, progress)
    if stores.extras:
        makers[stores.extras.folder] = partial(_write_extras, table, rows)
    for folder in missing:
        with built(folder) as work:
            makers[folder](work)
            filling.refuse_changed()


def _label(table: Table, values: Float32, folder: Path) -> None:
    target, horizon = table.resolved_target()
    meta = {"target": target, "horizon_days": horizon, "alias": table.alias_note(target, horizon)}
    write_store(folder, {"target": values}, meta)


def _ingest(table: Table, rows: Rows, filling: Filling, folder: Path, progress: Progress) -> None:
    """Writes a store of rows."""
    features, facts = _features(table, rows, filling.columns.raw, folder, progress, filling.earlier)
    facts["reading"] = filling.earlier.reading
    of_eras = [_of_era(features, rows.ids, slice(first, last), facts["top"]) for first, last in rows.bounds]
    del features
    absent, sums = np.stack([absent for absent, _ in of_eras]), np.array([sums for _, sums in of_eras], np.uint32)
    arrays = {"ids": rows.ids, "eras": rows.eras, "bounds": rows.bounds, "absent": absent, "era_sums": sums}
    facts |= {"data_types": rows.data_types, "absent_features": absent.sum(1).tolist()}
    facts["synthetic"] = has_marked_ids(rows.ids) or any(map(is_marked, table.tournament.tables))
    if rows.dates:
        facts["era_dates"] = [rows.dates[era] for era in rows.eras.tolist()]
    write_store(folder, arrays, facts)


def _ingest_further(table: Table, rows: Rows, columns: list[str], folder: Path, progress: Progress) -> None:
    """Writes a store of scoring features."""
    features, facts = _features(table, rows, columns, folder, progress)
    del features
    write_store(folder, {}, facts)


def _features(
    table: Table, rows: Rows, columns: list[str], folder: Path, progress: Progress, earlier: Earlier | None = None
) -> tuple[Array, dict[str, Any]]:
    """Fills the features file of a store; returns it with facts for the store's meta.json."""
    encodings = encodings_of(table, columns)
    features = create_features(folder, len(rows.ids), len(columns), encodings[0].dtype)
    files = _files(table, rows, encodings)
    eras, done, recorded = eras_of_files(rows, [file.to for file in files]), 0, []
    for i, file in enumerate(files):
        record = FileRows(earlier.files[i] if earlier else "", file.encoding.in_bins, eras[i])
        n_missing = earlier.copied(record, rows, features, file.encoding.top) if earlier else None
        if n_missing is None:
            n_missing = read_features(file, columns, rows, features, _counting(progress, done, len(rows.destination)))
        recorded.append(replace(record, n_missing=n_missing))
        done += len(file.to)
        progress(done, len(rows.destination))
    n_missing = sum(record.n_missing for record in recorded)
    notes = [f"{n_missing} missing feature values were set to the middle bin"] if n_missing else []
    notes += [encodings[0].note] if encodings[0].note else []
    in_bins = [encoding.in_bins for encoding in encodings]
    facts = {"feature_names": columns, "top": encodings[0].top, "floats_in_bins": in_bins, "notes": notes}
    return features, {**facts, "files": [record.facts() for record in recorded] if earlier else []}


def _counting(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    """A progress callback for one of several files, which takes the number of its rows."""
    return lambda n: progress(done + n, total)


def _files(table: Table, rows: Rows, encodings: Sequence[CellEncoding]) -> list[DataFile]:
    """The files to read, with the store's row for each of their rows."""
    import polars as pl

    paths, counts = table.tournament.tables, [len(rows.destination)]
    if len(paths) > 1:
        counts = []
        for lazy, path in zip(table.scans, paths, strict=True):
            with reading(path):
                counts.append(int(lazy.select(pl.len()).collect(engine="streaming").item()))
    places = np.split(rows.destination, np.cumsum(counts)[:-1])
    return [DataFile(*fields) for fields in zip(paths, table.scans, encodings, places, strict=True)]


def read_features(file: DataFile, columns: list[str], rows: Rows, features: Array, progress: Callable[[int], None]) -> int:
    """Streams a file into `features`, each row to its place in the store; returns the number of missing cells.

    Raises NlabError for a value that no feature may have, and for a CSV whose lines have unlike numbers of fields.
    """
    import polars as pl

    refuse_damaged_pages(file.path, columns)
    if not is_parquet(file.path):
        refuse_ragged(file.path)
    chunk = max(1, BATCH_CELLS // len(columns))
    start = n_missing = 0
    with reading(file.path):
        for frame in file.lazy.select(pl.col(columns)).collect_batches(chunk_size=chunk, maintain_order=True):
            to = file.to[start : start + len(frame)]
            try:
                cells, missing = file.encoding.cells(frame)
            except BadCell as bad:
                row, column = bad.args
                name = f" (id {rows.ids[to[row]].decode()!r})" if to[row] >= 0 else ""
                value = frame[row, column]
                raise NlabError(
                    f"{file.path}: feature {columns[column]!r} holds {value!r} in row {start + row + 1}{name}, "
                    f"wanted {file.encoding.accepted_values}{decimal_advice(value)}"
                ) from None
            _place(cells, to, features)
            release_pages(features)
            start, n_missing = start + len(cells), n_missing + missing
            progress(start)
    return n_missing


def _place(cells: Array, to: Int64, features: Array) -> None:
    """Writes rows to their places; consecutive rows, as in the tournament's own files, are copied as a slice."""
    if len(to) and to[0] >= 0 and np.all(np.diff(to) == 1):
        features[to[0] : to[0] + len(to)] = cells
    else:
        features[to[to >= 0]] = cells[to >= 0]


def _of_era(features: Array, ids: NDArray[np.bytes_], rows: slice, top: float) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The absent features of an era, with the middle bin in every row; and CRC-32 of its features and of its ids."""
    block = features[rows]
    absent: NDArray[np.bool_] = (block == np.asarray(top / 2, features.dtype)).all(0)
    sums = row_sums(block, ids[rows])
    release_pages(features)
    return absent, sums


def _write_extras(table: Table, rows: Rows, folder: Path) -> None:
    """Writes a store of extras."""
    extras = table.tournament.extras
    write_extras(folder, read_extras(extras, rows), {"synthetic": any(map(is_marked, extras))})
