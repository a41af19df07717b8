"""A lazy table of the rows of one or several files: its columns, order of rows and target."""

import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.core.eras import EraError, EraNumbers, era_label, era_number, number_eras
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.formatting import listed
from numerai_lab.data.features import groups_of, refuse_other_columns
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.rows import Rows, rows_in_order
from numerai_lab.data.scan import (
    decimal_advice,
    id_column,
    id_text,
    index_columns,
    is_no_number,
    may_be_number,
    number,
    reading,
    refuse_other_than_numbers,
    scan,
    schema_of,
)
from numerai_lab.data.source import Source, Tournament
from numerai_lab.data.targets import horizon_in, refuse_shorter_horizon, targets_there

if TYPE_CHECKING:
    import polars as pl

ALIAS, ALIAS_DAYS = "target", 20
"""Until v5.2 the alias `target` equalled a 20-day target, in v5.3 it equals a 60-day one."""
UNKNOWN = "; leave it empty where it is not known"
SHOWN = 5
"""Most columns that an error lists."""
NAMED_ELSEWHERE = "scoring.fnc_features, neutralize.features or a variant's features"
"""Keys of a config that name further feature sets."""
TARGET_KEYS = ("data.target", "data.auxiliary_targets")


@dataclass(frozen=True)
class FeatureColumns:
    """The feature columns that a run needs.

    raw: of the source's feature set. scoring: further ones for scoring and neutralisation, sorted by name. sets: feature set →
    positions in `raw` and `scoring` together, as far as its columns are among them.
    """

    raw: list[str]
    scoring: list[str]
    sets: dict[str, list[int]]


class Table:
    """The rows of one or several files, scanned lazily by polars.

    Raises NlabError for a file that can't be read, has no ids, or lacks columns of the first file.
    """

    def __init__(self, source: Source, tournament: Tournament) -> None:
        self.source, self.tournament = source, tournament
        scans = [scan(path) for path in tournament.tables]
        id_names = [id_column(path, lazy, source.id_column) for path, lazy in zip(tournament.tables, scans, strict=True)]
        self.schema = schema_of(scans[0], tournament.tables[0])
        self.id_column = self._named(source.id_column if id_names[0] is None else id_names[0], "data.id_column")
        self._scans = [
            lazy.with_columns(id_text(path, lazy, name).alias(self.id_column)) if name is not None else lazy
            for path, lazy, name in zip(tournament.tables, scans, id_names, strict=True)
        ]
        for lazy, path in zip(self._scans[1:], tournament.tables[1:], strict=True):
            missing = set(self.schema) - set(schema_of(lazy, path)) - set(index_columns(tournament.tables[0], list(self.schema)))
            if missing:
                raise NlabError(f"{path}: lacks {len(missing)} columns of {tournament.tables[0].name}, such as {min(missing)!r}")

    @property
    def scans(self) -> "list[pl.LazyFrame]":
        """A lazy scan of each file, of which all columns but the features can be decoded. Raises NlabError otherwise."""
        features = set(self.feature_columns)
        for path in self.tournament.tables:
            refuse_damaged_pages(path, [name for name in self.schema if name not in features])
        return self._scans

    def of_auxiliary(self, name: str) -> "Table":
        """The same rows with an auxiliary target in place of the target; its name decides its horizon.

        Raises NlabError where the data lack the column.
        """
        other = copy(self)
        column = self._named(name, "data.auxiliary_targets")
        other.source = self.source.model_copy(update={"target": column, "horizon_days": None})
        return other

    @property
    def declared_horizon_days(self) -> int | None:
        """The horizon that the config or the files' format declares, in business days; None where the target's name decides."""
        return self.source.horizon_days or self.tournament.horizon_days

    @property
    def feature_columns(self) -> list[str]:
        """All columns with the prefix of features."""
        return [name for name in self.schema if name.startswith(self.source.feature_prefix)]

    def columns(self, also: Sequence[str]) -> "FeatureColumns":
        """The feature columns to store; also: feature sets that scoring and neutralisation need.

        Raises NlabError for a feature set that is unknown, empty, partly absent, or holds other columns than features.
        """
        known = {name: list(names) for name, names in self.tournament.feature_sets.items()} or groups_of(self.feature_columns)
        known.setdefault("all", self.feature_columns)
        for name, where in ((self.source.feature_set, "data.feature_set"), *((name, NAMED_ELSEWHERE) for name in also)):
            if name not in known:
                raise NlabError(f"{where}: the data has no feature set {name!r}; {nearest(name, known)}")
            if not known[name]:
                raise NlabError(f"{where}: {name!r} is empty: {self._no_feature()}")
            absent = [column for column in known[name] if column not in self.schema]
            if absent:
                raise NlabError(f"{where}: {len(absent)} features of {name!r} are not in the data, such as {absent[0]!r}")
            self._refuse_other_columns(name, known[name])
        raw = dict.fromkeys(known[self.source.feature_set])
        further = sorted({column for name in also for column in known[name] if column not in raw})
        position = {column: i for i, column in enumerate([*raw, *further])}
        places = {name: sorted({position[column] for column in members if column in position}) for name, members in known.items()}
        return FeatureColumns(list(raw), further, {name: at for name, at in places.items() if at})

    def _no_feature(self) -> str:
        """That no column is a feature, and what the columns are."""
        known = (self.id_column, self.source.era_column, self.source.target)
        columns = [column for column in self.schema if column not in known]
        there = listed(columns, SHOWN) or "none but id, era and target"
        prefix = self.source.feature_prefix
        return f"no column begins with {prefix!r}; set data.feature_prefix to how features begin (columns: {there})"

    def _refuse_other_columns(self, feature_set: str, names: Sequence[str]) -> None:
        """Raises NlabError where a feature set holds a target, an id, or another model's predictions."""
        table, source = self.tournament.tables[0], self.source
        other_columns = dict.fromkeys(index_columns(table, list(self.schema)), "an index that pandas wrote")
        for path in self.tournament.extras:
            other_columns |= dict.fromkeys(schema_of(scan(path), path), f"a column of {path.name}")
        other_columns |= {self.id_column: "the id", source.era_column: "the era"}
        other_columns |= dict.fromkeys((source.target, *source.auxiliary_targets), "a target")
        listed = feature_set in self.tournament.feature_sets
        try:
            refuse_other_columns(names, other_columns)
        except NlabError as error:
            prefix = f"data.feature_prefix {source.feature_prefix!r} finds it: choose one that features alone begin with"
            way_out = "take it out of features.json" if listed else prefix
            raise NlabError(f"{table}: feature set {feature_set!r} holds {error}; {way_out}") from None

    @property
    def era_column(self) -> str:
        """The column of era labels. Raises NlabError where the data lack it."""
        return self._named(self.source.era_column, "data.era_column")

    @property
    def target_column(self) -> str:
        """The column of the target. Raises NlabError where the data lack it, and for a horizon shorter than its name's."""
        refuse_shorter_horizon(self.source.target, self.source.horizon_days)
        return self._named(self.source.target, "data.target")

    def _named(self, name: str, where: str) -> str:
        """`name`, checked to be a column. Raises NlabError with the nearest column names."""
        if name in self.schema:
            return name
        candidates = [column for column in self.schema if not column.startswith(self.source.feature_prefix)]
        hint = targets_there(name, candidates) if where in TARGET_KEYS else ""
        raise NlabError(f"{where}: {self.tournament.tables[0]} has no column {name!r}; {hint or nearest(name, candidates)}")

    def collect(self, *expressions: "pl.Expr") -> "pl.DataFrame":
        """Expressions over the rows of all files, in file order."""
        import polars as pl

        with reading(self.tournament.tables[0]):
            return pl.concat(
                [lazy.select(*expressions).collect(engine="streaming") for lazy in self.scans], how="vertical_relaxed"
            )

    def resolved_target(self) -> tuple[str, int | None]:
        """The named target that the chosen one equals in every row, and its horizon in business days.

        Raises NlabError where the data lack the target, and where the config's horizon is shorter than its name's.
        """
        name = self.target_column
        candidates = [c for c, dtype in self.schema.items() if c.startswith("target") and c != name and may_be_number(dtype)]
        if candidates and horizon_in(name) is None:
            own = number(name).fill_nan(None)
            same = self.collect(*[own.eq_missing(number(other).fill_nan(None)).all().alias(other) for other in candidates])
            name = next((other for other in candidates if same[other].all()), name)
        refuse_shorter_horizon(name, self.source.horizon_days)
        return name, self.source.horizon_days or horizon_in(name) or self.tournament.horizon_days

    def alias_note(self, resolved: str, horizon_days: int | None) -> str:
        """A note for tables when `target` no longer means the 20-day target; empty otherwise."""
        shorter = re.sub(r"_\d+d?$", f"_{ALIAS_DAYS}", resolved)
        if self.source.target != ALIAS or horizon_days == ALIAS_DAYS or shorter == resolved or shorter not in self.schema:
            return ""
        return f"ALIAS: target is {resolved} here, in older versions it was a {ALIAS_DAYS}-day one"

    def rows(self) -> Rows:
        """Order, eras and targets of all rows.

        Raises NlabError for an id that occurs twice in an era, eras that can't be read, an era of several data_types, and a
        target that is no number.
        """
        import polars as pl

        self._refuse_odd_target()
        has_type = "data_type" in self.schema
        label, name = era_label(self.era_column), pl.col(self.id_column).cast(pl.String)
        eras = self.eras()
        self._refuse_rows_without_id(name, label)
        columns = (
            name.alias("id"),
            era_number(label, eras.numbers).alias("era"),
            (pl.col("data_type").cast(pl.String) if has_type else pl.lit("")).cast(pl.Categorical).alias("data_type"),
            self._target().alias("target"),
        )
        return rows_in_order(self.collect(*columns).with_row_index("row"), self.tournament.tables[0], eras.dates)

    def target_of(self, rows: Rows) -> Float32:
        """The target in the order of `rows`. Raises NlabError for a target that is no number."""
        self._refuse_odd_target()
        return rows.ordered(self.collect(self._target().alias("target"))["target"].to_numpy())

    def _target(self) -> "pl.Expr":
        return number(self.target_column).fill_null(np.nan)

    def _refuse_odd_target(self) -> None:
        """Raises NlabError where the target is neither a finite number nor missing."""
        import polars as pl

        name = self.target_column
        for lazy, path in zip(self.scans, self.tournament.tables, strict=True):
            refuse_other_than_numbers(path, schema_of(lazy, path), [name], "target")
            with reading(path):
                wrong = lazy.filter(is_no_number(name)).select(pl.col(self.id_column).alias("id"), value=name).head(1).collect()
            if len(wrong):
                value, row = wrong["value"][0], wrong["id"][0]
                raise NlabError(
                    f"{path}: target {name!r} holds {value!r} for id {row!r}, not a number{decimal_advice(value) or UNKNOWN}"
                )

    def eras(self) -> EraNumbers:
        """Numbers for the era labels of all files together. Raises NlabError with file and row for a label that is no era."""
        label = era_label(self.era_column)
        labels: dict[str | None, Path] = {}
        for lazy, path in zip(self.scans, self.tournament.tables, strict=True):
            with reading(path):
                distinct = lazy.select(label.alias("era")).unique().collect(engine="streaming")["era"].sort()
            labels |= dict.fromkeys((era for era in distinct.to_list() if era not in labels), path)
        try:
            return number_eras(labels, self.source.days_per_era)
        except EraError as error:
            raise NlabError(self._placed(error, labels.get(error.label, self.tournament.tables[0]))) from error

    def _placed(self, error: EraError, path: Path) -> str:
        """The text of the error with the file, and the id of the first row with the label."""
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
