"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.basics import Array, Float32, Int64, NlabError, Tick, silent
from numerai_lab.data.source import Outline, Source
from numerai_lab.data.table import INDEX_NAMES, Rows, Table, as_bytes, reading, scan
from numerai_lab.panel import Panel, release_pages
from numerai_lab.store import Store, built, cache_dir, create_features, write_store

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger("nlab")
BINS = 5
BATCH_CELLS = 40_000_000
"""Cells decoded at a time: bounds the reader's memory whatever the size of the file."""
EXTRA_ROWS = 500_000


@dataclass(frozen=True)
class Loaded:
    """A panel and what has to be known about where it came from."""

    panel: Panel
    store: Store
    identity: str
    target: str
    horizon_days: int | None
    made: bool
    notes: tuple[str, ...]


def load(source: Source, also: Sequence[str] = (), tick: Tick = silent) -> Loaded:
    """The source as a panel, ingested into the store unless it is there already.

    also: feature sets that scoring or neutralisation needs beyond `source.feature_set`.
    """
    table = Table(source, source.files(tick))
    columns, sets = table.columns(also)
    folder = cache_dir() / "stores" / table.key(columns, sets)
    damage = Store(folder).damage() if folder.is_dir() else ""
    if damage:
        log.warning("store %s is damaged (%s) and is made anew", folder.name, damage)
        shutil.rmtree(folder)
    made = not folder.is_dir()
    if made:
        with built(folder) as work:
            _ingest(table, columns, sets, work, tick)
    store = Store(folder)
    meta = store.meta
    return Loaded(store.panel(), store, table.identity(), meta["target"], meta["horizon_days"], made, tuple(meta["notes"]))


def outline(source: Source, also: Sequence[str] = ()) -> Outline:
    """What a run would find, read from the id, era and target columns alone; nothing is written."""
    planned = source.planned()
    if planned is not None:
        return planned
    table = Table(source, source.files())
    columns, sets = table.columns(also)
    rows = table.rows()
    target, horizon = table.resolved_target()
    folder = cache_dir() / "stores" / table.key(columns, sets)
    counts = tuple((rows.bounds[:, 1] - rows.bounds[:, 0]).tolist())
    return Outline(rows.era_table(), counts, len(columns), target, horizon, folder.is_dir())


def _ingest(table: Table, columns: list[str], sets: dict[str, list[int]], folder: Path, tick: Tick) -> None:
    rows = table.rows()
    target, horizon = table.resolved_target()
    encoding = _encoding(table, columns)
    features = create_features(folder, len(rows.ids), len(columns), encoding.dtype)
    n_missing = _fill(table, columns, encoding, rows.destination, features, tick)
    absent = [_n_absent(features, slice(first, last), encoding.top) for first, last in rows.bounds]
    del features
    notes = [f"{n_missing} missing feature values were set to the middle bin"] if n_missing else []
    n_raw = len(sets[table.source.feature_set])
    meta = {
        "feature_names": columns,
        "n_raw": n_raw,
        "top": encoding.top,
        "data_types": rows.data_types,
        "feature_sets": sets,
        "target": target,
        "horizon_days": horizon,
        "absent_features": absent,
        "notes": notes,
    }
    arrays = {"ids": rows.ids, "eras": rows.eras, "bounds": rows.bounds, "target": rows.target}
    write_store(folder, arrays, _extras(table, rows), meta)


@dataclass(frozen=True)
class _Encoding:
    """How columns become cells. factor: what each column is multiplied by to give bins (int8) or 0..1 (float32)."""

    dtype: str
    top: float
    factor: Float32


def _encoding(table: Table, columns: list[str]) -> _Encoding:
    """int8 if every column holds bins 0..4 or 0, .25 … 1; float32 if any is continuous."""
    import polars as pl

    is_float = np.array([table.schema[column].is_float() for column in columns])
    others = [c for c in columns if not (table.schema[c].is_float() or table.schema[c].is_integer())]
    if others:
        raise NlabError(f"{table.tournament.tables[0]}: feature {others[0]!r} holds {table.schema[others[0]]}, not numbers")
    floats = [column for column in columns if table.schema[column].is_float()]
    quarters = [(pl.col(c).drop_nans() * 4 == (pl.col(c).drop_nans() * 4).round()).all().alias(c) for c in floats]
    within = [pl.col(c).drop_nans().is_between(0, 1).all().alias(f"within {c}") for c in floats]
    facts = table.collect(*quarters, *within) if floats else None
    ordinal = facts is None or all(facts[name].all() for name in facts.columns)
    if ordinal:
        return _Encoding("int8", BINS - 1.0, np.where(is_float, BINS - 1, 1).astype(np.float32))
    return _Encoding("float32", 1.0, np.where(is_float, 1, 1 / (BINS - 1)).astype(np.float32))


def _fill(table: Table, columns: list[str], encoding: _Encoding, destination: Int64, features: Array, tick: Tick) -> int:
    """Streams every file into `features`, row by row to its place; returns how many cells were missing."""
    import polars as pl

    chunk = max(1, BATCH_CELLS // len(columns))
    start = n_missing = 0
    for lazy, path in zip(table.scans, table.tournament.tables, strict=True):
        with reading(path):
            for frame in lazy.select(pl.col(columns)).collect_batches(chunk_size=chunk, maintain_order=True):
                cells, missing = _cells(frame, encoding, path)
                to = destination[start : start + len(cells)]
                features[to[to >= 0]] = cells[to >= 0]
                release_pages(features)
                start, n_missing = start + len(cells), n_missing + missing
                tick(start, len(destination))
    return n_missing


def _cells(frame: "pl.DataFrame", encoding: _Encoding, path: Path) -> tuple[Array, int]:
    """A batch in the store's dtype and how many of its cells were missing."""
    import polars as pl

    if encoding.dtype == "int8" and all(dtype.is_integer() for dtype in frame.dtypes) and not _has_nulls(frame):
        cells: Array = frame.to_numpy(order="c")
        missing = 0
    else:
        values = frame.select(pl.all().cast(pl.Float32)).to_numpy(order="c") * encoding.factor
        empty = np.isnan(values)
        missing = int(empty.sum())
        cells = np.where(empty, np.float32(encoding.top / 2), values)
    if encoding.dtype == "int8":
        wrong = (cells < 0) | (cells >= BINS)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise NlabError(
                f"{path}: feature {frame.columns[column]!r} holds {frame[int(row), int(column)]}, wanted bins 0 to {BINS - 1}"
            )
    return cells.astype(encoding.dtype, copy=False), missing


def _n_absent(features: Array, rows: slice, top: float) -> int:
    """Features that are the middle bin for every row of an era: not there yet."""
    n_absent = int(((features[rows].min(0) == top / 2) & (features[rows].max(0) == top / 2)).sum())
    release_pages(features)
    return n_absent


def _has_nulls(frame: "pl.DataFrame") -> bool:
    return any(frame.null_count().row(0))


def _extras(table: Table, rows: Rows) -> dict[str, Float32]:
    """Columns of the extra files by id, NaN for rows they lack; read in pieces."""
    import polars as pl

    out: dict[str, Float32] = {}
    if not table.tournament.extras:
        return out
    order = np.argsort(rows.ids)
    for path in table.tournament.extras:
        with reading(path):
            lazy = scan(path)
            schema = dict(lazy.collect_schema())
            id_column = next((name for name in INDEX_NAMES if name in schema), None)
            if id_column is None:
                raise NlabError(f"{path}: has no id column")
            names = [name for name, dtype in schema.items() if dtype.is_float()]
            columns = [pl.col(id_column).cast(pl.String), *(pl.col(name).cast(pl.Float32).fill_null(np.nan) for name in names)]
            for frame in lazy.select(columns).collect_batches(chunk_size=EXTRA_ROWS):
                ids = as_bytes(frame[id_column])
                place = order[np.minimum(np.searchsorted(rows.ids, ids, sorter=order), len(order) - 1)]
                found = rows.ids[place] == ids
                for name in names:
                    values = out.setdefault(name, np.full(len(rows.ids), np.nan, np.float32))
                    values[place[found]] = frame[name].to_numpy()[found]
    return out
