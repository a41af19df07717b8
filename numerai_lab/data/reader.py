"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Array, Float32, Int64, NlabError, Tick, silent
from numerai_lab.data.cells import BadCell, Encoding, encoding_of
from numerai_lab.data.source import Outline, Source
from numerai_lab.data.table import INDEX_NAMES, Rows, Table, as_bytes, reading, scan
from numerai_lab.machine import give_memory_back
from numerai_lab.panel import Panel, release_pages
from numerai_lab.store import Store, built, cache_dir, create_features, write_store

log = logging.getLogger("nlab")
BATCH_CELLS = 40_000_000
"""Cells decoded at a time: bounds the reader's memory whatever the size of the file."""
EXTRA_ROWS = 500_000


@dataclass(frozen=True)
class Loaded:
    """A panel and what has to be known about where it came from."""

    panel: Panel
    store: Store
    labels: Store
    identity: str
    target: str
    horizon_days: int | None
    alias: str
    made: bool
    notes: tuple[str, ...]


def load(source: Source, also: Sequence[str] = (), tick: Tick = silent) -> Loaded:
    """The source as a panel, ingested into the store unless it is there already.

    also: feature sets that scoring or neutralisation needs beyond `source.feature_set`.
    """
    table = Table(source, source.files(tick))
    columns, sets = table.columns(also)
    store = Store(cache_dir() / "stores" / table.key(columns, sets))
    labels = Store(cache_dir() / "labels" / table.label_key())
    missing = [each.folder for each in (store, labels) if not _sound(each)]
    if missing:
        identity = table.identity()
        rows = table.rows()
        if store.folder in missing:
            with built(store.folder) as work:
                _ingest(table, rows, columns, sets, work, tick)
                _refuse_changed(table, identity)
        if labels.folder in missing:
            with built(labels.folder) as work:
                _label(table, rows, work)
                _refuse_changed(table, identity)
        del rows
        give_memory_back()  # else a run that made its store keeps up to a GB that nobody uses, beside its training
    meta = labels.meta
    return Loaded(
        panel=store.panel(labels),
        store=store,
        labels=labels,
        identity=table.identity(),
        target=meta["target"],
        horizon_days=meta["horizon_days"],
        alias=meta["alias"],
        made=bool(missing),
        notes=(*table.tournament.notes, *store.meta["notes"]),
    )


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


def _sound(store: Store) -> bool:
    """Whether the store is there and whole; a damaged one is removed, with a line."""
    damage = store.damage() if store.folder.is_dir() else ""
    if damage:
        log.warning("store %s is damaged (%s) and is made anew", store.folder.name, damage)
        shutil.rmtree(store.folder)
    return store.folder.is_dir()


def _refuse_changed(table: Table, identity: str) -> None:
    """Ids and features that were read at different times must have come from the same files."""
    if table.identity() != identity:
        raise NlabError(f"{table.tournament.tables[0]}: a data file changed while the data was read; run again")


def _label(table: Table, rows: Rows, folder: Path) -> None:
    target, horizon = table.resolved_target()
    meta = {"target": target, "horizon_days": horizon, "alias": table.alias_note(target, horizon)}
    write_store(folder, {"target": rows.target}, {}, meta)


def _ingest(table: Table, rows: Rows, columns: list[str], sets: dict[str, list[int]], folder: Path, tick: Tick) -> None:
    encoding = encoding_of(table, columns)
    features = create_features(folder, len(rows.ids), len(columns), encoding.dtype)
    n_missing = _fill(table, columns, encoding, rows, features, tick)
    absent = np.stack([_absent(features, slice(first, last), encoding.top) for first, last in rows.bounds])
    del features
    notes = [f"{n_missing} missing feature values were set to the middle bin"] if n_missing else []
    notes += [encoding.note] if encoding.note else []
    n_raw = len(sets[table.source.feature_set])
    meta = {
        "feature_names": columns,
        "n_raw": n_raw,
        "top": encoding.top,
        "data_types": rows.data_types,
        "feature_sets": sets,
        "absent_features": absent.sum(1).tolist(),
        "notes": notes,
    }
    arrays = {"ids": rows.ids, "eras": rows.eras, "bounds": rows.bounds, "absent": absent}
    write_store(folder, arrays, _extras(table, rows), meta)


def _fill(table: Table, columns: list[str], encoding: Encoding, rows: Rows, features: Array, tick: Tick) -> int:
    """Streams every file into `features`, row by row to its place; returns how many cells were missing."""
    import polars as pl

    chunk = max(1, BATCH_CELLS // len(columns))
    start = n_missing = 0
    for lazy, path in zip(table.scans, table.tournament.tables, strict=True):
        with reading(path):
            for frame in lazy.select(pl.col(columns)).collect_batches(chunk_size=chunk, maintain_order=True):
                to = rows.destination[start : start + len(frame)]
                try:
                    cells, missing = encoding.cells(frame)
                except BadCell as bad:
                    row, column = bad.args
                    name = f" (id {rows.ids[to[row]].decode()!r})" if to[row] >= 0 else ""
                    raise NlabError(
                        f"{path}: feature {columns[column]!r} holds {frame[row, column]} in row {start + row + 1}{name}, "
                        f"wanted {encoding.wanted}"
                    ) from None
                _place(cells, to, features)
                release_pages(features)
                start, n_missing = start + len(cells), n_missing + missing
                tick(start, len(rows.destination))
    return n_missing


def _place(cells: Array, to: Int64, features: Array) -> None:
    """Rows to their places; rows that stay together, as in the tournament's own files, are copied as a slice."""
    if len(to) and to[0] >= 0 and np.all(np.diff(to) == 1):
        features[to[0] : to[0] + len(to)] = cells
    else:
        features[to[to >= 0]] = cells[to >= 0]


def _absent(features: Array, rows: slice, top: float) -> NDArray[np.bool_]:
    """Which features are the middle bin for every row of an era: not there yet."""
    absent: NDArray[np.bool_] = (features[rows] == np.asarray(top / 2, features.dtype)).all(0)
    release_pages(features)
    return absent


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
