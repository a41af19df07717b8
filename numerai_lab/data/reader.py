"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Array, Float32, Int64, NlabError, Tick, silent
from numerai_lab.content import PanelContent, row_sums
from numerai_lab.data.cells import BadCell, Encoding, encodings_of
from numerai_lab.data.extras import read_extras
from numerai_lab.data.keys import StoreKeys, Stores, content_of
from numerai_lab.data.scan import reading
from numerai_lab.data.source import Outline, Source
from numerai_lab.data.synthetic_mark import has_marked_ids, is_marked
from numerai_lab.data.table import Columns, Rows, Table
from numerai_lab.data.targets import horizon_note
from numerai_lab.known_checksums import KnownChecksums
from numerai_lab.machine import give_memory_back
from numerai_lab.panel import Auxiliary, Panel, release_pages
from numerai_lab.store import (
    Store,
    built,
    cache_dir,
    create_features,
    in_use,
    remove_damaged,
    write_extras,
    write_store,
)

log = logging.getLogger("nlab")
BATCH_CELLS = 40_000_000
"""Cells decoded at a time: bounds the reader's memory whatever the size of the file."""


@dataclass(frozen=True)
class Loaded:
    """A panel and what has to be known about where it came from.

    identity, extras_identity: names for the content of the files with rows, and of those with predictions of other models.
    """

    panel: Panel
    stores: Stores
    identity: str
    extras_identity: str
    target: str
    horizon_days: int | None
    alias: str
    made: bool
    content: PanelContent
    notes: tuple[str, ...]

    @property
    def synthetic(self) -> bool:
        """Whether rows or models were made up by this project, which every table must say: the files themselves tell."""
        extras = self.stores.extras
        return bool(self.store.meta["synthetic"] or (extras is not None and extras.meta["synthetic"]))

    @property
    def store(self) -> Store:
        """The store of rows."""
        return self.stores.rows

    @property
    def labels(self) -> Store:
        """The store of the target."""
        return self.stores.labels[0]


def load(source: Source, also: Sequence[str] = (), tick: Tick = silent, *, verify: bool = False) -> Loaded:
    """The source as a panel, ingested into stores unless they are there already.

    also: feature sets that scoring or neutralisation needs beyond `source.feature_set`. verify: read data files and stores
    through, even those that did not change since they were found whole.
    """
    with in_use(*source.kept):
        tournament, known = source.files(tick), KnownChecksums(cache_dir(), trusted=not verify)
        keys = StoreKeys.of(tournament, known, Loaded)
        table = Table(source, tournament)
        columns, tables = table.columns(also), [table, *map(table.of_auxiliary, source.auxiliary_targets)]
        stores = Stores.of(cache_dir(), tables, columns, keys)
        for store in stores.all:
            remove_damaged(store, known)
        with in_use(*[store.folder for store in stores.all]):
            missing = [store.folder for store in stores.all if not store.folder.is_dir()]
            if missing:
                _make(tables, stores, missing, columns, lambda: _refuse_changed(table, keys, known), tick)
                give_memory_back()  # else a run that made its store keeps up to a GB that nobody uses, beside its training
            return _loaded(table, stores, columns, keys, made=bool(missing))


def _make(
    tables: Sequence[Table],
    stores: Stores,
    missing: Sequence[Path],
    columns: Columns,
    refuse_changed: Callable[[], None],
    tick: Tick,
) -> None:
    """The stores that are missing."""
    table, rows = tables[0], tables[0].rows()

    def label(each: Table, folder: Path) -> None:
        _label(each, rows.target if each is table else each.target_of(rows), folder)

    makers: dict[Path, Callable[[Path], None]] = {
        stores.rows.folder: lambda folder: _ingest(table, rows, columns.raw, folder, tick),
        **{store.folder: partial(label, each) for each, store in zip(tables, stores.labels, strict=True)},
    }
    if stores.scoring_features:
        makers[stores.scoring_features.folder] = lambda folder: _ingest_further(table, rows, columns.scoring, folder, tick)
    if stores.extras:
        makers[stores.extras.folder] = partial(_write_extras, table, rows)
    for folder in missing:
        with built(folder) as work:
            makers[folder](work)
            refuse_changed()


def _loaded(table: Table, stores: Stores, columns: Columns, keys: StoreKeys, made: bool) -> Loaded:
    source, meta = table.source, stores.labels[0].meta
    horizons = _horizons(source, [(each.meta["target"], each.meta["horizon_days"]) for each in stores.labels])
    further = {
        name: Auxiliary(each.target(), days)
        for name, each, days in zip(source.auxiliary_targets, stores.labels[1:], horizons, strict=True)
    }
    scoring = stores.scoring_features
    panel = replace(
        stores.rows.panel(stores.labels[0]),
        auxiliary=further,
        days_per_era=source.days_per_era,
        feature_names=(*columns.raw, *columns.scoring),
        feature_sets={name: np.array(at, np.int64) for name, at in columns.sets.items()},
        scoring_features=scoring.features() if scoring else None,
        extras=stores.extras.extras() if stores.extras else {},
    )
    notes = [note for store in (stores.rows, scoring) if store for note in store.meta["notes"]]
    return Loaded(
        panel=panel,
        stores=stores,
        identity=keys.tables,
        extras_identity=keys.extras,
        target=meta["target"],
        horizon_days=meta["horizon_days"],
        alias=meta["alias"],
        made=made,
        content=PanelContent(panel, _sums(stores.rows)),
        notes=(*table.tournament.notes, *notes, *_horizon_notes(source, panel, meta["target"])),
    )


def _sums(rows: Store) -> dict[int, tuple[int, int]]:
    """Of a store of rows: era → checksums of its features and of its ids."""
    eras = np.load(rows.folder / "eras.npy", allow_pickle=False).tolist()
    return {era: (features, ids) for era, (features, ids) in zip(eras, rows.era_sums().tolist(), strict=True)}


def outline(source: Source, also: Sequence[str] = ()) -> Outline:
    """What a run would find, read from the id, era and target columns alone; no store is made."""
    planned = source.planned()
    if planned is not None:
        return planned
    with in_use(*source.kept):
        tournament = source.files()
        keys = StoreKeys.of(tournament, KnownChecksums(cache_dir()), Loaded)
        table = Table(source, tournament)
        columns = table.columns(also)
        rows = table.rows()
        tables = [table, *map(table.of_auxiliary, source.auxiliary_targets)]
        resolved = [each.resolved_target() for each in tables]
    (target, horizon), further = resolved[0], _horizons(source, resolved)
    reach = None if horizon is None else max([horizon, *(days for days in further if days)])
    there = all(store.folder.is_dir() for store in Stores.of(cache_dir(), tables, columns, keys).all)
    counts = tuple((rows.bounds[:, 1] - rows.bounds[:, 0]).tolist())
    eras, n_columns = rows.era_table(source.days_per_era), len(columns.raw) + len(columns.scoring)
    return Outline(eras, counts, n_columns, target, horizon, reach, there)


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


def _refuse_changed(table: Table, keys: StoreKeys, known: KnownChecksums) -> None:
    """What was read at different times must have come from the same files."""
    now = [content_of(paths, known) for paths in (table.tournament.tables, table.tournament.extras)]
    if now != [keys.tables, keys.extras]:
        raise NlabError(f"{table.tournament.tables[0]}: a data file changed while the data was read; run again")


def _label(table: Table, values: Float32, folder: Path) -> None:
    target, horizon = table.resolved_target()
    meta = {"target": target, "horizon_days": horizon, "alias": table.alias_note(target, horizon)}
    write_store(folder, {"target": values}, meta)


def _ingest(table: Table, rows: Rows, columns: list[str], folder: Path, tick: Tick) -> None:
    """A store of rows."""
    features, facts = _features(table, rows, columns, folder, tick)
    of_eras = [_of_era(features, rows.ids, slice(first, last), facts["top"]) for first, last in rows.bounds]
    del features
    absent, sums = np.stack([absent for absent, _ in of_eras]), np.array([sums for _, sums in of_eras], np.uint32)
    arrays = {"ids": rows.ids, "eras": rows.eras, "bounds": rows.bounds, "absent": absent, "era_sums": sums}
    facts |= {"data_types": rows.data_types, "absent_features": absent.sum(1).tolist()}
    facts["synthetic"] = has_marked_ids(rows.ids) or any(map(is_marked, table.tournament.tables))
    if rows.dates:
        facts["era_dates"] = [rows.dates[era] for era in rows.eras.tolist()]
    write_store(folder, arrays, facts)


def _ingest_further(table: Table, rows: Rows, columns: list[str], folder: Path, tick: Tick) -> None:
    """A store of scoring features."""
    features, facts = _features(table, rows, columns, folder, tick)
    del features
    write_store(folder, {}, facts)


def _features(table: Table, rows: Rows, columns: list[str], folder: Path, tick: Tick) -> tuple[Array, dict[str, Any]]:
    """The features file of a store, filled, and what is to be known of it."""
    encodings = encodings_of(table, columns)
    encoding = encodings[0]
    features = create_features(folder, len(rows.ids), len(columns), encoding.dtype)
    n_missing = _fill(table, columns, encodings, rows, features, tick)
    notes = [f"{n_missing} missing feature values were set to the middle bin"] if n_missing else []
    notes += [encoding.note] if encoding.note else []
    return features, {"feature_names": columns, "top": encoding.top, "notes": notes}


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


def _of_era(features: Array, ids: NDArray[np.bytes_], rows: slice, top: float) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Which features are the middle bin for every row of an era, not there yet; CRC-32 of its features and of its ids."""
    block = features[rows]
    absent: NDArray[np.bool_] = (block == np.asarray(top / 2, features.dtype)).all(0)
    sums = row_sums(block, ids[rows])
    release_pages(features)
    return absent, sums


def _write_extras(table: Table, rows: Rows, folder: Path) -> None:
    """A store of extras."""
    extras = table.tournament.extras
    write_extras(folder, read_extras(extras, rows), {"synthetic": any(map(is_marked, extras))})
