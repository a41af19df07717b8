"""Joins the meta model and benchmark models to the rows of the data, by era and id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32, Int32, Int64
from numerai_lab.core.eras import EraError, era_label, era_name, era_number, match_eras
from numerai_lab.core.errors import NlabError
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.rows import Rows
from numerai_lab.data.scan import as_bytes, id_column, id_text, index_columns, number, reading, scan, schema_of

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 500_000
NO_MODELS = ("id", "era", "date", "data_type", "split", "target")
"""Columns beside predictions that hold something else, together with all that begin with `target`."""


@dataclass(frozen=True)
class RowIndex:
    """Finds rows of the data by id.

    ids: bytes, sorted within each era. eras: one per era. bounds: eras × 2. dates: ISO date by era, empty for plain numbers.
    """

    ids: NDArray[np.bytes_]
    eras: Int32
    bounds: Int64
    dates: Mapping[int, str]

    def by_era(self, ids: NDArray[np.bytes_], eras: Int32) -> Int64:
        """The row of each id within its era, −1 where there is none."""
        place = np.full(len(ids), -1, np.int64)
        order = np.argsort(eras, kind="stable")
        named, starts = np.unique(eras[order], return_index=True)
        for era, own in zip(named.tolist(), np.split(order, starts[1:]), strict=True):
            at = int(np.searchsorted(self.eras, era))
            if at < len(self.eras) and self.eras[at] == era:
                first, last = self.bounds[at]
                place[own] = _positions(self.ids[first:last], ids[own], int(first))
        return place

    def by_id(self, ids: NDArray[np.bytes_]) -> Int64 | None:
        """The row of each id, −1 where there is none; None where an id occurs in several eras of the data."""
        order, known, unique = self._sorted
        at = _positions(known, ids, 0)
        return np.where(at >= 0, order[at], -1) if unique else None

    def era_of(self, row: int) -> str:
        """The era of a row, as the user's files name it."""
        return era_name(int(self.eras[np.searchsorted(self.bounds[:, 1], row, side="right")]), self.dates)

    @cached_property
    def _sorted(self) -> tuple[Int64, NDArray[np.bytes_], bool]:
        """Rows sorted by id, their ids, and whether each id occurs in a single era."""
        order = np.argsort(self.ids, kind="stable")
        known = self.ids[order]
        return order, known, not np.any(known[1:] == known[:-1])


def model_columns(path: Path, names: Sequence[str]) -> list[str]:
    """The columns of a file that may hold predictions: no ids, eras, targets, or index columns of pandas."""
    known = {*NO_MODELS, *index_columns(path, names)}
    return [name for name in names if name not in known and not name.startswith("target")]


def read_extras(paths: Sequence[Path], rows: Rows) -> dict[str, Float32]:
    """Columns of numbers from these files, one value per row of the data, NaN where the files have none.

    Rows are joined by era and id; in a file without eras by id. Raises NlabError where ids of such a file occur in several
    eras of the data, where an id occurs in another era than in the data, and where a row has two values of one column.
    """
    columns: dict[str, Float32] = {}
    index = RowIndex(rows.ids, rows.eras, rows.bounds, rows.dates)
    filled: dict[str, Array] = {}
    for path in paths:
        lazy = scan(path)
        schema = schema_of(lazy, path)
        refuse_damaged_pages(path, list(schema))
        names = [name for name in model_columns(path, list(schema)) if schema[name].is_numeric()]
        for frame in _batches(path, lazy, "era" in schema, names):
            ids = as_bytes(frame["id"])
            place = find_rows(path, index, ids, numbered(path, frame["era"], rows.dates) if "era" in schema else None)
            matched = place >= 0
            for name in names:
                there = filled.setdefault(name, np.zeros(len(rows.ids), bool))
                _refuse_twice(path, name, place[matched], there, index)
                there[place[matched]] = True
                values = columns.setdefault(name, np.full(len(rows.ids), np.nan, np.float32))
                values[place[matched]] = frame[name].to_numpy()[matched]
    return columns


def find_rows(path: Path, index: RowIndex, ids: NDArray[np.bytes_], eras: Int32 | None) -> Int64:
    """The data's row of each row of a file, −1 where there is none. eras: of the file's rows, None where it has none.

    Raises NlabError where ids alone are ambiguous, and where the file has an id in another era than the data.
    """
    if eras is None:
        by_id = index.by_id(ids)
        if by_id is None:
            raise NlabError(f"{path}: ids of this data repeat between eras; give the file a column `era`")
        return by_id
    place = index.by_era(ids, eras)
    lost = np.flatnonzero((place < 0) & (eras >= 0))
    elsewhere = index.by_id(ids[lost]) if len(lost) else None
    if elsewhere is not None and np.any(elsewhere >= 0):
        i = int(np.flatnonzero(elsewhere >= 0)[0])
        row = lost[i]
        raise NlabError(
            f"{path}: id {ids[row].decode()!r} stands in era {era_name(int(eras[row]), index.dates)}, "
            f"in the data in era {index.era_of(int(elsewhere[i]))}"
        )
    return place


def numbered(path: Path, labels: "pl.Series", dates: Mapping[int, str]) -> Int32:
    """The era number of each label of a file; −1 for live rows and for dates that the data lack.

    Raises NlabError for a label that is no era, and where one side has dates and the other numbers.
    """
    import polars as pl

    try:
        numbers = match_eras(labels.unique(maintain_order=True).to_list(), dates)
    except EraError as error:
        raise NlabError(f"{path}: {error}") from error
    eras = labels.to_frame("era").select(era_number(pl.col("era"), numbers).fill_null(-1))
    return np.asarray(eras.to_series().to_numpy(), np.int32)


def _batches(path: Path, lazy: "pl.LazyFrame", has_era: bool, names: Sequence[str]) -> Iterator["pl.DataFrame"]:
    """Yields id, era label (null in a file without eras) and models, some rows at a time."""
    import polars as pl

    id_name = id_column(path, lazy)
    if id_name is None:
        raise NlabError(f"{path}: has no column 'id'")
    era = era_label("era") if has_era else pl.lit(None, pl.String)
    columns = [id_text(path, lazy, id_name).alias("id"), era.alias("era"), *(number(name).fill_null(np.nan) for name in names)]
    with reading(path):
        for frame in lazy.select(columns).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
            yield frame.drop_nulls("id")


def _refuse_twice(path: Path, name: str, place: Int64, there: Array, index: RowIndex) -> None:
    rows, counts = np.unique(place, return_counts=True)
    twice = rows[(counts > 1) | there[rows]]
    if len(twice):
        row = int(twice[0])
        raise NlabError(f"{path}: id {index.ids[row].decode()!r} of era {index.era_of(row)} has two values of {name!r}")


def _positions(known: NDArray[np.bytes_], ids: NDArray[np.bytes_], first: int) -> Int64:
    """Positions of ids among sorted ones, counted from `first`; −1 where absent."""
    place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
    return np.where(known[place] == ids, place + first, -1)
