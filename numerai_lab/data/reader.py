"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.cells import BINS
from numerai_lab.data.earlier import Earlier
from numerai_lab.data.ingest import Filling, ingest
from numerai_lab.data.keys import StoreKeys, Stores, content_of
from numerai_lab.data.source import Outline, Source
from numerai_lab.data.table import FeatureColumns, Table
from numerai_lab.data.targets import horizon_note
from numerai_lab.storage.checksums import KnownChecksums
from numerai_lab.storage.era_content import PanelContent
from numerai_lab.storage.era_store import ROWS, Store, remove_damaged
from numerai_lab.storage.folders import cache_dir, in_use
from numerai_lab.storage.machine import give_memory_back


@dataclass(frozen=True)
class Loaded:
    """A panel and what has to be known about where it came from.

    identity, extras_identity: names for the content of the files with rows, and of those with predictions of other models.
    new_stores: whether this call wrote a store that was missing.
    """

    panel: Panel
    stores: Stores
    identity: str
    extras_identity: str
    target: str
    horizon_days: int | None
    alias: str
    new_stores: bool
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


def load(source: Source, also: Sequence[str] = (), progress: Progress = no_progress, *, verify: bool = False) -> Loaded:
    """The source as a panel, ingested into stores unless they are there already.

    also: feature sets that scoring or neutralisation needs beyond `source.feature_set`. verify: read data files and stores
    through, even those that did not change since they were found whole.
    """
    with in_use(*source.cache_folders):
        tournament, known = source.files(progress), KnownChecksums(cache_dir(), trusted=not verify)
        keys = StoreKeys.of(tournament, known, Loaded)
        table = Table(source, tournament)
        columns, tables = table.columns(also), [table, *map(table.of_auxiliary, source.auxiliary_targets)]
        stores = Stores.of(cache_dir(), tables, columns, keys)
        for store in stores.all:
            remove_damaged(store, known)
        with in_use(*[store.folder for store in stores.all]):
            missing = [store.folder for store in stores.all if not store.folder.is_dir()]
            if missing:
                earlier = Earlier(cache_dir() / ROWS, keys.files, keys.reading(source, columns.raw))
                fill = Filling(columns, earlier, lambda: _refuse_changed(table, keys, known))
                ingest(tables, stores, missing, fill, progress)
                give_memory_back()  # else a run that made its store keeps up to a GB that nobody uses, beside its training
            return _loaded(table, stores, columns, keys, new_stores=bool(missing))


def _loaded(table: Table, stores: Stores, columns: FeatureColumns, keys: StoreKeys, new_stores: bool) -> Loaded:
    source, meta = table.source, stores.labels[0].meta
    horizons = _horizons(source, [(store.meta["target"], store.meta["horizon_days"]) for store in stores.labels])
    further = {
        name: Auxiliary(store.target(), days)
        for name, store, days in zip(source.auxiliary_targets, stores.labels[1:], horizons, strict=True)
    }
    scoring = stores.scoring_features
    if scoring:
        _refuse_two_notations(table, stores.rows, scoring)
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
        new_stores=new_stores,
        content=PanelContent(panel, _sums(stores.rows)),
        notes=(*table.tournament.notes, *notes, *_horizon_notes(source, panel, meta["target"])),
    )


def _refuse_two_notations(table: Table, rows: Store, scoring: Store) -> None:
    """Raises NlabError where a file writes the floats of one store as bins and those of the other on 0..1."""
    notations = zip(rows.meta["floats_in_bins"], scoring.meta["floats_in_bins"], strict=True)
    for path, of_stores in zip(table.tournament.tables, notations, strict=True):
        if set(of_stores) == {True, False}:
            at = of_stores.index(True)
            bins, fractions = ([*store.meta["feature_names"]] for store in ((rows, scoring) if at == 0 else (scoring, rows)))
            raise NlabError(
                f"{path}: some features are written as bins 0 to {BINS - 1} (among {bins[0]!r} …) and others on 0 to 1 (among "
                f"{fractions[0]!r} …); write all in one way, as integers or as floats"
            )


def _sums(rows: Store) -> dict[int, tuple[int, int]]:
    """Of a store of rows: era → checksums of its features and of its ids."""
    eras = np.load(rows.folder / "eras.npy", allow_pickle=False).tolist()
    return {era: (features, ids) for era, (features, ids) in zip(eras, rows.era_sums().tolist(), strict=True)}


def outline(source: Source, also: Sequence[str] = ()) -> Outline:
    """Eras, rows and columns that a run would have, read from the id, era and target columns alone.

    Writes no store. Raises NlabError as `load` does for these columns.
    """
    planned = source.planned()
    if planned is not None:
        return planned
    with in_use(*source.cache_folders):
        tournament = source.files()
        keys = StoreKeys.of(tournament, KnownChecksums(cache_dir()), Loaded)
        table = Table(source, tournament)
        columns = table.columns(also)
        rows = table.rows()
        tables = [table, *map(table.of_auxiliary, source.auxiliary_targets)]
        resolved = [table.resolved_target() for table in tables]
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
    targets = [source.target, *source.auxiliary_targets]
    names = [name for name, _ in resolved]
    for i, name in enumerate(names):
        if name in names[:i]:
            first = targets[names.index(name)]
            raise NlabError(f"data.auxiliary_targets: {targets[i]!r} equals {first!r} in every row; leave it out")
    days = [resolved[0][1], *(horizon or source.horizon_days for _, horizon in resolved[1:])]
    if None in days and any(days):
        raise NlabError(
            f"data.auxiliary_targets: the horizon of {targets[days.index(None)]!r} is unknown (its name does not end in a "
            "number of days), and that of others is not; set data.horizon_days"
        )
    return days[1:]


def _horizon_notes(source: Source, panel: Panel, target: str) -> list[str]:
    note, reach = horizon_note(target, source.horizon_days), panel.reach_days
    if reach == panel.horizon_days:
        return [note] if note else []
    furthest = [name for name, auxiliary in panel.auxiliary.items() if auxiliary.horizon_days == reach]
    own = f"the target looks {panel.horizon_days} ahead"
    return [*([note] if note else []), f"embargo and purge are those of {reach} days, which {furthest[0]} looks ahead; {own}"]


def _refuse_changed(table: Table, keys: StoreKeys, known: KnownChecksums) -> None:
    """What was read at different times must have come from the same files."""
    now = [content_of(paths, known) for paths in (table.tournament.tables, table.tournament.extras)]
    if now != [keys.tables, keys.extras]:
        raise NlabError(f"{table.tournament.tables[0]}: a data file changed while the data was read; run again")
