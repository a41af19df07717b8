"""The rows of one or several files as polars sees them: which columns, which order, which target."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Float32, Int64, NlabError, nearest
from numerai_lab.data.source import Source, Tournament
from numerai_lab.eras import EraError, EraNumbers, era_label, era_number, number_eras
from numerai_lab.splits import EraTable
from numerai_lab.store import STORE_VERSION, key_of

if TYPE_CHECKING:
    import polars as pl

ID_PIECE = 200_000
ALIAS, ALIAS_DAYS = "target", 20
"""Until v5.2 the alias `target` equalled a 20-day target, in v5.3 it equals a 60-day one."""
INDEX_NAMES = ("id", "__index_level_0__", "index")


@dataclass(frozen=True)
class Rows:
    """Rows of all files in store order. destination: file row → store row, −1 for rows left out (live)."""

    destination: Int64
    ids: NDArray[np.bytes_]
    eras: NDArray[np.int32]
    bounds: Int64
    data_types: tuple[str, ...]
    target: Float32

    def era_table(self) -> EraTable:
        """What splitting needs to know."""
        return EraTable.of(self.eras, self.bounds, self.data_types, self.target)


class Table:
    """The rows of one or several files as polars sees them, scanned lazily."""

    def __init__(self, source: Source, tournament: Tournament) -> None:
        self.source, self.tournament = source, tournament
        self.scans = [scan(path, source.feature_prefix) for path in tournament.tables]
        self.schema = _schema(self.scans[0], tournament.tables[0])
        for lazy, path in zip(self.scans[1:], tournament.tables[1:], strict=True):
            missing = set(self.schema) - set(_schema(lazy, path))
            if missing:
                raise NlabError(f"{path}: lacks {len(missing)} columns of {tournament.tables[0].name}, such as {min(missing)!r}")

    def of_auxiliary(self, name: str) -> "Table":
        """The same rows with an auxiliary target in the target's place; its horizon is the one that its name tells."""
        other = copy(self)
        column = self._named(name, "data.auxiliary_targets")
        other.source = self.source.model_copy(update={"target": column, "horizon_days": None})
        return other

    def identity(self) -> str:
        """A name for these very files: their names, sizes and times of change."""
        paths = (*self.tournament.tables, *self.tournament.extras)
        return key_of(*[(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths])

    def key(self, columns: Sequence[str], sets: dict[str, list[int]]) -> str:
        """The name of the store that these columns of these files belong in."""
        return key_of(STORE_VERSION, self.identity(), columns, sets, self.source.id_column, self.source.era_column)

    def label_key(self) -> str:
        """The name of the store that the chosen target of these files belongs in."""
        asked = (self.target_column, self.source.horizon_days or self.tournament.horizon_days)
        return key_of(STORE_VERSION, self.identity(), asked, self.source.id_column, self.source.era_column)

    def columns(self, also: Sequence[str]) -> tuple[list[str], dict[str, list[int]]]:
        """Columns to store, those of the source's feature set first, and the position of each feature set in them.

        Of sets that nobody asked for, such as the tournament's groups, the members that are stored for others' sake.
        """
        every = [name for name in self.schema if name.startswith(self.source.feature_prefix)]
        known = {name: list(names) for name, names in self.tournament.feature_sets.items()} or _groups(every)
        known.setdefault("all", every)
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
        places = {name: sorted(position[column] for column in members if column in position) for name, members in known.items()}
        return columns, {name: at for name, at in places.items() if at}

    @property
    def id_column(self) -> str:
        """The column that holds row ids."""
        return self._named(self.source.id_column, "data.id_column", INDEX_NAMES if self.source.id_column == "id" else ())

    @property
    def era_column(self) -> str:
        """The column that holds era labels."""
        return self._named(self.source.era_column, "data.era_column")

    @property
    def target_column(self) -> str:
        """The column of the chosen target; where there is but one, `target` means it."""
        targets = [column for column in self.schema if column.startswith("target")]
        alone = targets if self.source.target == ALIAS and len(targets) == 1 else []
        return self._named(self.source.target, "data.target", alone)

    def _named(self, name: str, where: str, aliases: Sequence[str] = ()) -> str:
        for candidate in (name, *aliases):
            if candidate in self.schema:
                return candidate
        others = [column for column in self.schema if not column.startswith(self.source.feature_prefix)]
        raise NlabError(f"{where}: {self.tournament.tables[0]} has no column {name!r}; {nearest(name, others)}")

    def collect(self, *expressions: "pl.Expr") -> "pl.DataFrame":
        """Expressions over the rows of all files, in file order."""
        import polars as pl

        with reading(self.tournament.tables[0]):
            return pl.concat(
                [lazy.select(*expressions).collect(engine="streaming") for lazy in self.scans], how="vertical_relaxed"
            )

    def resolved_target(self) -> tuple[str, int | None]:
        """The named target that the chosen one equals, and its horizon in business days."""
        import polars as pl

        name = self.target_column
        others = [c for c, dtype in self.schema.items() if c.startswith("target") and c != name and dtype.is_numeric()]
        if others and _horizon(name) is None and self.schema[name].is_numeric():
            same = self.collect(*[pl.col(name).eq_missing(pl.col(other)).all().alias(other) for other in others])
            name = next((other for other in others if same[other].all()), name)
        return name, self.source.horizon_days or _horizon(name) or self.tournament.horizon_days

    def alias_note(self, resolved: str, horizon_days: int | None) -> str:
        """What to stamp on tables when `target` no longer means the 20-day target; empty otherwise."""
        shorter = re.sub(r"_\d+d?$", f"_{ALIAS_DAYS}", resolved)
        if self.source.target != ALIAS or horizon_days == ALIAS_DAYS or shorter == resolved or shorter not in self.schema:
            return ""
        return f"ALIAS: target is {resolved} here, in older versions it was a {ALIAS_DAYS}-day one"

    def rows(self) -> Rows:
        """Order, eras and targets of all rows; duplicates of (era, id) and eras that can't be read are refused."""
        import polars as pl

        has_type = "data_type" in self.schema
        label, name = era_label(self.era_column), pl.col(self.id_column).cast(pl.String)
        eras = self.eras()
        self._refuse_rows_without_id(name, label)
        frame = self.collect(
            name.alias("id"),
            era_number(label, eras.numbers).alias("era"),
            (pl.col("data_type").cast(pl.String) if has_type else pl.lit("")).cast(pl.Categorical).alias("data_type"),
            self._target().alias("target"),
        ).with_row_index("row")
        kept = frame.filter(pl.col("era").is_not_null()).sort("era", "id")
        n_rows = len(frame)
        del frame
        if kept.is_empty():
            raise NlabError(f"{self.tournament.tables[0]}: holds no rows but live ones")
        twice = kept.filter((pl.col("era") == pl.col("era").shift()) & (pl.col("id") == pl.col("id").shift()))
        if len(twice):
            raise NlabError(f"{self.tournament.tables[0]}: id {twice['id'][0]!r} stands twice in era {twice['era'][0]}")
        destination = np.full(n_rows, -1, np.int64)
        destination[kept["row"].to_numpy()] = np.arange(len(kept))
        per_era = kept.group_by("era", maintain_order=True).agg(pl.len(), pl.col("data_type").first().cast(pl.String))
        ends = np.cumsum(per_era["len"].to_numpy()).astype(np.int64)
        return Rows(
            destination,
            as_bytes(kept["id"]),
            per_era["era"].to_numpy(),
            np.column_stack([ends - per_era["len"].to_numpy(), ends]),
            tuple(per_era["data_type"].to_list()),
            kept["target"].to_numpy(),
        )

    def target_of(self, rows: Rows) -> Float32:
        """The target of rows that were put in order with another one."""
        found = self.collect(self._target().alias("target"))["target"].to_numpy()
        target, kept = np.empty(len(rows.ids), np.float32), rows.destination >= 0
        target[rows.destination[kept]] = found[kept]
        return target

    def _target(self) -> "pl.Expr":
        import polars as pl

        return pl.col(self.target_column).cast(pl.Float32).fill_null(np.nan)

    def eras(self) -> EraNumbers:
        """Numbers for the era labels of all files together. Raises NlabError that names file and row."""
        label = era_label(self.era_column)
        labels: dict[str | None, Path] = {}
        for lazy, path in zip(self.scans, self.tournament.tables, strict=True):
            with reading(path):
                distinct = lazy.select(label.alias("era")).unique().collect(engine="streaming")["era"].sort()
            labels |= dict.fromkeys((era for era in distinct.to_list() if era not in labels), path)
        try:
            return number_eras(labels)
        except EraError as error:
            raise NlabError(self._placed(error, labels.get(error.label, self.tournament.tables[0]))) from error

    def _placed(self, error: EraError, path: Path) -> str:
        """The error with the file, and the id of the first row that has the label."""
        import polars as pl

        lazy = self.scans[self.tournament.tables.index(path)]
        wrong = era_label(self.era_column).eq_missing(pl.lit(error.label, pl.String))
        with reading(path):
            ids = lazy.filter(wrong).select(pl.col(self.id_column).cast(pl.String)).head(1).collect().to_series().to_list()
        return f"{path}: {error}{f'; the first such row has id {ids[0]!r}' if ids else ''}"

    def _refuse_rows_without_id(self, name: "pl.Expr", label: "pl.Expr") -> None:
        for lazy, path in zip(self.scans, self.tournament.tables, strict=True):
            with reading(path):
                eras = lazy.filter(name.is_null()).select(label.alias("era")).head(1).collect()["era"].to_list()
            if eras:
                raise NlabError(f"{path}: a row of era {eras[0]!r} has no id")


def as_bytes(names: "pl.Series") -> NDArray[np.bytes_]:
    """Strings as fixed-width bytes, piece by piece: millions of Python strings at once would take gigabytes."""
    widest = names.str.len_bytes().max()
    width = widest if isinstance(widest, int) and widest > 0 else 1
    out = np.empty(len(names), dtype=f"S{width}")
    for start in range(0, len(names), ID_PIECE):
        piece = names[start : start + ID_PIECE]
        out[start : start + ID_PIECE] = [name.encode() for name in piece.to_list()]
    return out


def scan(path: Path, feature_prefix: str = "feature") -> "pl.LazyFrame":
    """A parquet or CSV file, read when asked."""
    import polars as pl

    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    with reading(path):
        names = pl.scan_csv(path, infer_schema_length=0).collect_schema().names()
    # Guessed from the first rows, a column of 0s and 1s would be integers, and an unresolved target text.
    numbers = {name: pl.Float32 for name in names if name.startswith((feature_prefix, "target"))}
    return pl.scan_csv(path, infer_schema_length=2000, schema_overrides=numbers)


def _groups(features: list[str]) -> dict[str, list[str]]:
    """Feature sets of files that list none: `feature_charisma7` belongs to `charisma`, as in 2019 to 2021."""
    groups: dict[str, list[str]] = {}
    for name in features:
        match = re.fullmatch(r"feature_([a-z]+)\d+", name)
        if match:
            groups.setdefault(match[1], []).append(name)
    return groups


def _schema(scan: "pl.LazyFrame", path: Path) -> "dict[str, Any]":
    with reading(path):
        return dict(scan.collect_schema())


class reading:
    """Turns polars' errors about a file into one sentence for the user."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from polars.exceptions import PanicException, PolarsError

        if isinstance(error, PolarsError | PanicException | OSError):
            raise NlabError(f"{self.path}: can't be read: {(str(error).splitlines() or [repr(error)])[0]}") from error


def _horizon(name: str) -> int | None:
    """`target_ender_20` → 20 business days."""
    match = re.search(r"_(\d+)d?$", name)
    return int(match[1]) if match else None
