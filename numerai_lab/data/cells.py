"""Encodes feature columns as cells of a store: int8 where they hold bins, else float32."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.scan import is_no_number, may_be_number, number, reading, refuse_other_than_numbers, schema_of
from numerai_lab.data.table import Table

if TYPE_CHECKING:
    import polars as pl

BINS = 5


class BadCell(Exception):
    """A value that no feature may have; args: row and column in the batch."""


@dataclass(frozen=True)
class CellEncoding:
    """The encoding of a file's features: dtype and largest value of the cells, and the factor of each column.

    in_bins: whether floats of the file are bins; None where it has no floats. note: a remark for the user; empty without one.
    """

    dtype: str
    top: float
    factor: Float32
    in_bins: bool | None
    note: str = ""

    @property
    def accepted_values(self) -> str:
        """The values that features may take, as text."""
        if self.dtype == "int8":
            return f"bins 0 to {BINS - 1}, or 0, .25 … 1"
        return "0 to 1; rank or scale continuous features first"

    def cells(self, frame: "pl.DataFrame") -> tuple[Array, int]:
        """A batch as cells, and the number of missing values, which become the middle. Raises BadCell."""
        import polars as pl

        if self.dtype == "int8" and all(dtype == pl.Int8 for dtype in frame.dtypes) and not any(frame.null_count().row(0)):
            cells: Array = frame.to_numpy(order="c")
            missing = 0
        else:
            values = _numbers(frame).to_numpy(order="c") * self.factor
            empty = np.isnan(values)
            missing = int(empty.sum())
            cells = np.where(empty, np.float32(self.top / 2), values)
        if cells.size and (cells.min() < 0 or cells.max() > self.top):
            raise BadCell(*(int(i) for i in np.argwhere((cells < 0) | (cells > self.top))[0]))
        return cells.astype(self.dtype, copy=False), missing


@dataclass(frozen=True)
class _Notation:
    """The notation of features in a file.

    is_float: one per column. in_bins: whether floats are bins; None without floats, or where they hold 0 and 1 alone.
    odd: columns that hold neither bins nor quarters.
    """

    is_float: NDArray[np.bool_]
    in_bins: bool | None
    odd: tuple[str, ...]


def encodings_of(table: Table, columns: Sequence[str]) -> list[CellEncoding]:
    """An encoding per file: int8 if every column of every file holds bins 0..4 or 0, .25 … 1; else float32 on 0..1.

    Files may differ: one may hold bins and another the same features as quarters. Integers are bins. The largest value tells
    floats in bins from floats in quarters. Where floats hold 0 and 1 alone, the file's other features decide, then the other
    files, so that all stores of a run read a file alike. Raises NlabError for a column whose type holds no numbers.
    """
    files = zip(table.tournament.tables, table.scans, strict=True)
    notations = [_notation_of_file(table, path, lazy, columns) for path, lazy in files]
    odd = list(dict.fromkeys(name for notation in notations for name in notation.odd))
    known = {notation.in_bins if notation.is_float.any() else True for notation in notations}
    otherwise = True in known and False not in known
    if not odd:
        return [_encoding(notation, otherwise, "int8", BINS - 1) for notation in notations]
    note = f"{len(odd)} of {len(columns)} features, such as {odd[0]}, are no bins: all are kept as float32, in 4 × the memory"
    return [_encoding(notation, otherwise, "float32", 1, note) for notation in notations]


def _notation_of_file(table: Table, path: Path, lazy: "pl.LazyFrame", columns: Sequence[str]) -> _Notation:
    """The notation of some columns of a file; where it is ambiguous, the file's other features decide."""
    schema = schema_of(lazy, path)
    refuse_other_than_numbers(path, schema, columns, "feature")
    notation = _notation(path, lazy, columns)
    if notation.in_bins is not None or not notation.is_float.any():
        return notation
    own = set(columns)
    other_columns = [name for name in table.feature_columns if name not in own and name in schema and may_be_number(schema[name])]
    further = _notation(path, lazy, other_columns)
    beside_bins = not (notation.is_float.all() and further.is_float.all())
    return replace(notation, in_bins=True if further.in_bins is None and beside_bins else further.in_bins)


def _notation(path: Path, lazy: "pl.LazyFrame", columns: Sequence[str]) -> _Notation:
    import polars as pl

    schema = schema_of(lazy, path)
    is_float = np.array([not schema[name].is_integer() for name in columns], bool)
    floats = [name for name, is_one in zip(columns, is_float, strict=True) if is_one]
    if not floats:
        return _Notation(is_float, None, ())
    refuse_damaged_pages(path, floats)
    known = {name: number(name).fill_nan(None).drop_nulls() for name in floats}
    with reading(path):
        facts = lazy.select(
            pl.max_horizontal(values.max() for values in known.values()).alias("largest"),
            *[(values * 4 == (values * 4).round()).all().alias(f"quarters {name}") for name, values in known.items()],
            *[(values == values.round()).all().alias(f"whole {name}") for name, values in known.items()],
        ).collect(engine="streaming")
    in_bins = (facts["largest"].item() or 0) > 1
    odd = tuple(name for name in floats if not facts[f"{'whole' if in_bins else 'quarters'} {name}"].item())
    zeros_and_ones = not in_bins and all(facts[f"whole {name}"].item() for name in floats)
    return _Notation(is_float, None if zeros_and_ones else in_bins, odd)


def _encoding(notation: _Notation, otherwise: bool, dtype: str, top: float, note: str = "") -> CellEncoding:
    """The encoding of a file; otherwise: whether floats are bins where the notation is ambiguous."""
    in_bins = (otherwise if notation.in_bins is None else notation.in_bins) and not notation.odd
    largest = np.where(notation.is_float & (not in_bins), 1, BINS - 1)
    floats_in_bins = in_bins if notation.is_float.any() else None
    return CellEncoding(dtype, float(top), (top / largest).astype(np.float32), floats_in_bins, note)


def _numbers(frame: "pl.DataFrame") -> "pl.DataFrame":
    """A batch as Float32. Raises BadCell for a text that is no number."""
    import polars as pl

    numbers = frame.select(number(name) for name in frame.columns)
    for column, name in enumerate(frame.columns):
        if frame.schema[name] == pl.String and numbers[name].null_count() > frame[name].null_count():
            wrong = frame.select(is_no_number(name).arg_true()).to_series()
            if len(wrong):
                raise BadCell(int(wrong[0]), column)
    return numbers
