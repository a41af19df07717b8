"""From parquet or CSV files to an int8 era store: the one reader that every source goes through."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Array, Float32, Int64, NlabError, Tick, nearest, silent
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.panel import Panel
from numerai_lab.splits import EraTable
from numerai_lab.store import STORE_VERSION, Store, built, cache_dir, create_features, key_of, write_store

if TYPE_CHECKING:
    import polars as pl

BINS = 5
BATCH_CELLS = 40_000_000
"""Cells decoded at a time: bounds the reader's memory whatever the size of the file."""
INDEX_NAMES = ("id", "__index_level_0__", "index")


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
    table = _Table(source, source.files(tick))
    columns, sets = table.columns(also)
    folder = cache_dir() / "stores" / table.key(columns, sets)
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
    table = _Table(source, source.files())
    columns, sets = table.columns(also)
    rows = table.rows()
    target, horizon = table.resolved_target()
    folder = cache_dir() / "stores" / table.key(columns, sets)
    counts = tuple((rows.bounds[:, 1] - rows.bounds[:, 0]).tolist())
    return Outline(rows.era_table(), counts, len(columns), target, horizon, folder.is_dir())


@dataclass(frozen=True)
class _Rows:
    """Rows of all files in store order. destination: file row → store row, −1 for rows left out (live)."""

    destination: Int64
    ids: NDArray[np.bytes_]
    eras: NDArray[np.int32]
    bounds: Int64
    data_types: tuple[str, ...]
    target: Float32

    def era_table(self) -> EraTable:
        known = tuple(bool(np.isfinite(self.target[first:last]).sum() >= 2) for first, last in self.bounds)
        return EraTable(tuple(self.eras.tolist()), self.data_types, known)


class _Table:
    """The rows of one or several files as polars sees them, scanned lazily."""

    def __init__(self, source: Source, tournament: Tournament) -> None:
        self.source, self.tournament = source, tournament
        self.scans = [_scan(path) for path in tournament.tables]
        self.schema = _schema(self.scans[0], tournament.tables[0])
        for scan, path in zip(self.scans[1:], tournament.tables[1:], strict=True):
            missing = set(self.schema) - set(_schema(scan, path))
            if missing:
                raise NlabError(f"{path}: lacks {len(missing)} columns of {tournament.tables[0].name}, such as {min(missing)!r}")

    def identity(self) -> str:
        """A name for these very files: their names, sizes and times of change."""
        paths = (*self.tournament.tables, *self.tournament.extras)
        return key_of(*[(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths])

    def key(self, columns: Sequence[str], sets: dict[str, list[int]]) -> str:
        asked = (self.source.target, self.source.horizon_days, self.source.id_column, self.source.era_column)
        return key_of(STORE_VERSION, self.identity(), columns, sets, asked)

    def columns(self, also: Sequence[str]) -> tuple[list[str], dict[str, list[int]]]:
        """Columns to store, those of the source's feature set first, and the position of each feature set in them."""
        known = {name: list(names) for name, names in self.tournament.feature_sets.items()}
        known.setdefault("all", [name for name in self.schema if name.startswith(self.source.feature_prefix)])
        for name, where in ((self.source.feature_set, "data.feature_set"), *((name, "feature set") for name in also)):
            if name not in known:
                raise NlabError(f"{where}: the data has no feature set {name!r}; {nearest(name, known)}")
            if not known[name]:
                raise NlabError(f"{where}: {name!r} is empty: no column begins with {self.source.feature_prefix!r}")
            absent = [column for column in known[name] if column not in self.schema]
            if absent:
                raise NlabError(f"{where}: {len(absent)} features of {name!r} are not in the data, such as {absent[0]!r}")
        raw = dict.fromkeys(known[self.source.feature_set])
        columns = list(raw) + [c for c in dict.fromkeys(c for name in also for c in known[name]) if c not in raw]
        position = {column: i for i, column in enumerate(columns)}
        wanted = dict.fromkeys((self.source.feature_set, *also))
        return columns, {name: sorted(position[column] for column in known[name]) for name in wanted}

    @property
    def id_column(self) -> str:
        return self._named(self.source.id_column, "data.id_column", INDEX_NAMES if self.source.id_column == "id" else ())

    @property
    def target_column(self) -> str:
        return self._named(self.source.target, "data.target")

    def _named(self, name: str, where: str, aliases: Sequence[str] = ()) -> str:
        for candidate in (name, *aliases):
            if candidate in self.schema:
                return candidate
        others = [column for column in self.schema if not column.startswith(self.source.feature_prefix)]
        raise NlabError(f"{where}: {self.tournament.tables[0]} has no column {name!r}; {nearest(name, others)}")

    def collect(self, *expressions: "pl.Expr") -> "pl.DataFrame":
        """Expressions over the rows of all files, in file order."""
        import polars as pl

        with _reading(self.tournament.tables[0]):
            return pl.concat([scan.select(*expressions).collect(engine="streaming") for scan in self.scans], how="vertical_relaxed")

    def resolved_target(self) -> tuple[str, int | None]:
        """The named target that the chosen one equals, and its horizon in business days."""
        import polars as pl

        name = self.target_column
        others = [c for c in self.schema if c.startswith("target") and c != name] if _horizon(name) is None else []
        if others:
            same = self.collect(*[pl.col(name).eq_missing(pl.col(other)).all().alias(other) for other in others])
            name = next((other for other in others if same[other].all()), name)
        return name, self.source.horizon_days or _horizon(name)

    def rows(self) -> _Rows:
        """Order, eras and targets of all rows; duplicates of (era, id) and eras that are no numbers are refused."""
        import polars as pl

        has_type = "data_type" in self.schema
        era_column = self._named(self.source.era_column, "data.era_column")
        frame = self.collect(
            pl.col(self.id_column).cast(pl.String).alias("id"),
            pl.col(era_column).cast(pl.String).alias("text"),
            (pl.col("data_type").cast(pl.String) if has_type else pl.lit("")).alias("data_type"),
            pl.col(self.target_column).cast(pl.Float32).fill_null(np.nan).alias("target"),
        )
        frame = frame.with_columns(pl.col("text").str.extract(r"^(?:era)?0*(\d+)$").cast(pl.Int32).alias("era")).with_row_index("row")
        self._refuse(frame)
        kept = frame.filter(pl.col("era").is_not_null()).sort("era", "id")
        twice = kept.filter(pl.struct("era", "id").is_duplicated())
        if len(twice):
            raise NlabError(f"{self.tournament.tables[0]}: id {twice['id'][0]!r} stands twice in era {twice['era'][0]}")
        destination = np.full(len(frame), -1, np.int64)
        destination[kept["row"].to_numpy()] = np.arange(len(kept))
        per_era = kept.group_by("era", maintain_order=True).agg(pl.len(), pl.col("data_type").first())
        ends = np.cumsum(per_era["len"].to_numpy()).astype(np.int64)
        return _Rows(
            destination,
            np.array(kept["id"].to_list(), dtype=np.bytes_),
            per_era["era"].to_numpy(),
            np.column_stack([ends - per_era["len"].to_numpy(), ends]),
            tuple(per_era["data_type"].to_list()),
            kept["target"].to_numpy(),
        )

    def _refuse(self, frame: "pl.DataFrame") -> None:
        import polars as pl

        odd = frame.filter(pl.col("era").is_null() & ~pl.col("text").is_in(["X", "eraX"]).fill_null(False))
        if len(odd):
            raise NlabError(
                f"{self.tournament.tables[0]}: era {odd['text'][0]!r} of id {odd['id'][0]!r} is not a number "
                "(wanted: 0001, era1 or 1; X for live)"
            )
        if frame["id"].null_count():
            raise NlabError(f"{self.tournament.tables[0]}: {frame['id'].null_count()} rows have no id")


def _ingest(table: _Table, columns: list[str], sets: dict[str, list[int]], folder: Path, tick: Tick) -> None:
    rows = table.rows()
    target, horizon = table.resolved_target()
    encoding = _encoding(table, columns)
    features = create_features(folder, len(rows.ids), len(columns), encoding.dtype)
    n_missing = _fill(table, columns, encoding, rows.destination, features, tick)
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


def _encoding(table: _Table, columns: list[str]) -> _Encoding:
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


def _fill(table: _Table, columns: list[str], encoding: _Encoding, destination: Int64, features: Array, tick: Tick) -> int:
    """Streams every file into `features`, row by row to its place; returns how many cells were missing."""
    import polars as pl

    chunk = max(1, BATCH_CELLS // len(columns))
    start = n_missing = 0
    for scan, path in zip(table.scans, table.tournament.tables, strict=True):
        with _reading(path):
            for frame in scan.select(pl.col(columns)).collect_batches(chunk_size=chunk, maintain_order=True):
                cells, missing = _cells(frame, encoding, path)
                to = destination[start : start + len(cells)]
                features[to[to >= 0]] = cells[to >= 0]
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
            raise NlabError(f"{path}: feature {frame.columns[column]!r} holds {frame[int(row), int(column)]}, wanted bins 0 to {BINS - 1}")
    return cells.astype(encoding.dtype, copy=False), missing


def _has_nulls(frame: "pl.DataFrame") -> bool:
    return any(frame.null_count().row(0))


def _extras(table: _Table, rows: _Rows) -> dict[str, Float32]:
    """Columns of the extra files by id, NaN for rows they lack."""
    import polars as pl

    ids = pl.DataFrame({"id": [name.decode() for name in rows.ids.tolist()]}).with_row_index("row")
    out: dict[str, Float32] = {}
    for path in table.tournament.extras:
        frame = _scan(path).collect(engine="streaming")
        id_column = next((name for name in INDEX_NAMES if name in frame.columns), None)
        if id_column is None:
            raise NlabError(f"{path}: has no id column")
        names = [c for c in frame.columns if frame.schema[c].is_float()]
        found = frame.select(pl.col(id_column).cast(pl.String).alias("id"), *names).join(ids, on="id", how="inner")
        for name in names:
            values = out.setdefault(name, np.full(len(rows.ids), np.nan, np.float32))
            values[found["row"].to_numpy()] = found[name].cast(pl.Float32).fill_null(np.nan).to_numpy()
    return out


def _scan(path: Path) -> "pl.LazyFrame":
    import polars as pl

    return pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema_length=2000)


def _schema(scan: "pl.LazyFrame", path: Path) -> "dict[str, Any]":
    with _reading(path):
        return dict(scan.collect_schema())


class _reading:  # noqa: N801
    """Turns polars' errors about a file into one sentence for the user."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from polars.exceptions import PolarsError

        if isinstance(error, PolarsError | OSError):
            raise NlabError(f"{self.path}: can't be read: {str(error).splitlines()[0]}") from error


def _horizon(name: str) -> int | None:
    """`target_ender_20` → 20 business days."""
    match = re.search(r"_(\d+)d?$", name)
    return int(match[1]) if match else None
