"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Array, Float32, Int64, NlabError, Tick, silent
from numerai_lab.data.cells import BadCell, Encoding, encodings_of
from numerai_lab.data.extras import read_extras
from numerai_lab.data.scan import reading
from numerai_lab.data.source import Outline, Source
from numerai_lab.data.synthetic_mark import has_marked_ids, is_marked
from numerai_lab.data.table import Rows, Table
from numerai_lab.data.targets import horizon_note
from numerai_lab.machine import give_memory_back
from numerai_lab.panel import Auxiliary, Panel, release_pages
from numerai_lab.store import Store, built, cache_dir, create_features, in_use, key_of, write_store

log = logging.getLogger("nlab")
BATCH_CELLS = 40_000_000
"""Cells decoded at a time: bounds the reader's memory whatever the size of the file."""


@dataclass(frozen=True)
class Loaded:
    """A panel and what has to be known about where it came from."""

    panel: Panel
    store: Store
    labels: Store
    auxiliary: tuple[Store, ...]
    identity: str
    target: str
    horizon_days: int | None
    alias: str
    made: bool
    notes: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Whether rows or models were made up by this project, which every table must say: the files themselves tell."""
        return bool(self.store.meta["synthetic"])

    @property
    def stores(self) -> tuple[Store, ...]:
        """Everything that the panel is a view on."""
        return (self.store, self.labels, *self.auxiliary)

    @property
    def names(self) -> tuple[str, str, str]:
        """Names for the content of rows, target and auxiliary targets: one changes with every byte that it stands for."""
        horizons = {name: each.horizon_days for name, each in self.panel.auxiliary.items()}
        further = key_of([each.folder.name for each in self.auxiliary], list(horizons.items()))
        return self.store.folder.name, self.labels.folder.name, further


def load(source: Source, also: Sequence[str] = (), tick: Tick = silent) -> Loaded:
    """The source as a panel, ingested into the store unless it is there already.

    also: feature sets that scoring or neutralisation needs beyond `source.feature_set`.
    """
    with in_use(*source.kept):
        table = Table(source, source.files(tick))
        columns, sets = table.columns(also)
        stores = [Store(cache_dir() / "stores" / table.key(columns, sets))]
        told = [table, *map(table.of_auxiliary, source.auxiliary_targets)]
        stores += [Store(cache_dir() / "labels" / each.label_key()) for each in told]
        with in_use(*[each.folder for each in stores]):
            missing = [each.folder for each in stores if not _sound(each)]
            if missing:
                _make(told, stores, missing, (columns, sets), tick)
            return _loaded(table, stores, bool(missing))


def _make(
    told: Sequence[Table],
    stores: Sequence[Store],
    missing: Sequence[Path],
    columns: tuple[list[str], dict[str, list[int]]],
    tick: Tick,
) -> None:
    """The store of rows, and that of each told target, where it is missing."""
    table, identity = told[0], told[0].identity()
    rows = table.rows()
    if stores[0].folder in missing:
        with built(stores[0].folder) as work:
            _ingest(table, rows, *columns, work, tick)
            _refuse_changed(table, identity)
    for each, at in zip(told, stores[1:], strict=True):
        if at.folder in missing:
            with built(at.folder) as work:
                _label(each, rows.target if each is table else each.target_of(rows), work)
                _refuse_changed(table, identity)
    del rows
    give_memory_back()  # else a run that made its store keeps up to a GB that nobody uses, beside its training


def _loaded(table: Table, stores: Sequence[Store], made: bool) -> Loaded:
    source, (store, labels, *auxiliary) = table.source, stores
    meta = labels.meta
    horizons = _horizons(source, [(each.meta["target"], each.meta["horizon_days"]) for each in (labels, *auxiliary)])
    further = {
        name: Auxiliary(each.target(), days)
        for name, each, days in zip(source.auxiliary_targets, auxiliary, horizons, strict=True)
    }
    panel = replace(store.panel(labels), auxiliary=further)
    return Loaded(
        panel=panel,
        store=store,
        labels=labels,
        auxiliary=tuple(auxiliary),
        identity=table.identity(),
        target=meta["target"],
        horizon_days=meta["horizon_days"],
        alias=meta["alias"],
        made=made,
        notes=(*table.tournament.notes, *store.meta["notes"], *_horizon_notes(source, panel, meta["target"])),
    )


def outline(source: Source, also: Sequence[str] = ()) -> Outline:
    """What a run would find, read from the id, era and target columns alone; nothing is written."""
    planned = source.planned()
    if planned is not None:
        return planned
    with in_use(*source.kept):
        table = Table(source, source.files())
        columns, sets = table.columns(also)
        rows = table.rows()
        resolved = [each.resolved_target() for each in (table, *map(table.of_auxiliary, source.auxiliary_targets))]
        key = table.key(columns, sets)
    (target, horizon), further = resolved[0], _horizons(source, resolved)
    reach = None if horizon is None else max([horizon, *(days for days in further if days)])
    folder = cache_dir() / "stores" / key
    counts = tuple((rows.bounds[:, 1] - rows.bounds[:, 0]).tolist())
    return Outline(rows.era_table(), counts, len(columns), target, horizon, reach, folder.is_dir())


def _horizons(source: Source, resolved: Sequence[tuple[str, int | None]]) -> list[int | None]:
    """Horizons of the auxiliary targets; resolved: name and horizon of the target, then of them.

    Raises NlabError for a target that is another one under a second name, and where only some horizons are known.
    """
    asked = [source.target, *source.auxiliary_targets]
    names = [name for name, _ in resolved]
    for i, name in enumerate(names):
        if name in names[:i]:
            first = asked[names.index(name)]
            raise NlabError(f"data.auxiliary_targets: {asked[i]!r} equals {first!r} in every row; leave it out")
    days = [resolved[0][1], *(each or source.horizon_days for _, each in resolved[1:])]
    if None in days and any(days):
        raise NlabError(
            f"data.auxiliary_targets: the horizon of {asked[days.index(None)]!r} is unknown (its name does not end in a "
            "number of days), and that of others is not; set data.horizon_days"
        )
    return days[1:]


def _horizon_notes(source: Source, panel: Panel, target: str) -> list[str]:
    note, reach = horizon_note(target, source.horizon_days), panel.reach_days
    if reach == panel.horizon_days:
        return [note] if note else []
    furthest = [name for name, each in panel.auxiliary.items() if each.horizon_days == reach]
    own = f"the target looks {panel.horizon_days} ahead"
    return [*([note] if note else []), f"embargo and purge are those of {reach} days, which {furthest[0]} looks ahead; {own}"]


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


def _label(table: Table, values: Float32, folder: Path) -> None:
    target, horizon = table.resolved_target()
    meta = {"target": target, "horizon_days": horizon, "alias": table.alias_note(target, horizon)}
    write_store(folder, {"target": values}, {}, meta)


def _ingest(table: Table, rows: Rows, columns: list[str], sets: dict[str, list[int]], folder: Path, tick: Tick) -> None:
    encodings = encodings_of(table, columns)
    encoding = encodings[0]
    features = create_features(folder, len(rows.ids), len(columns), encoding.dtype)
    n_missing = _fill(table, columns, encodings, rows, features, tick)
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
        "synthetic": has_marked_ids(rows.ids) or any(map(is_marked, (*table.tournament.tables, *table.tournament.extras))),
        "notes": notes,
        **({"era_dates": [rows.dates[era] for era in rows.eras.tolist()]} if rows.dates else {}),
    }
    arrays = {"ids": rows.ids, "eras": rows.eras, "bounds": rows.bounds, "absent": absent}
    write_store(folder, arrays, read_extras(table.tournament.extras, rows), meta)


def _fill(table: Table, columns: list[str], encodings: Sequence[Encoding], rows: Rows, features: Array, tick: Tick) -> int:
    """Streams every file into `features`, row by row to its place; returns how many cells were missing."""
    import polars as pl

    chunk = max(1, BATCH_CELLS // len(columns))
    start = n_missing = 0
    for lazy, path, encoding in zip(table.scans, table.tournament.tables, encodings, strict=True):
        first = start
        with reading(path):
            for frame in lazy.select(pl.col(columns)).collect_batches(chunk_size=chunk, maintain_order=True):
                to = rows.destination[start : start + len(frame)]
                try:
                    cells, missing = encoding.cells(frame)
                except BadCell as bad:
                    row, column = bad.args
                    name = f" (id {rows.ids[to[row]].decode()!r})" if to[row] >= 0 else ""
                    raise NlabError(
                        f"{path}: feature {columns[column]!r} holds {frame[row, column]!r} in row {start - first + row + 1}"
                        f"{name}, wanted {encoding.wanted}"
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
