"""Opens a user's parquet or CSV file without guessing types: every column of a CSV is text."""

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.errors import NlabError
from numerai_lab.data.csv_files import dialect_of, refuse_other_content
from numerai_lab.data.parquet_pages import is_parquet, refuse_damaged_pages
from numerai_lab.storage.plain_files import ANY_SIZE, odd

if TYPE_CHECKING:
    import polars as pl

ID_PIECE = 200_000
TEXT = (".csv", ".tsv", ".txt")
"""Suffixes of files that are read as CSV, also with .gz behind them."""
MISSING = ("", "nan", "na", "n/a", "#n/a", "<na>", "null", "none", "-nan")
"""Lower-case texts that stand for a missing number, as pandas, R and spreadsheets write them."""
UNNAMED_INDEX = re.compile(r"(__index_level_\d+__|Unnamed: \d+|level_\d+|index)?")
"""Names that pandas gives to an unnamed index: in parquet, read back from CSV, after reset_index; empty in CSV."""


def scan(path: Path) -> "pl.LazyFrame":
    """A lazy scan of a parquet or CSV file. No wildcards in the path; columns of a CSV are String.

    Raises NlabError for what is no such file, and as `dialect_of` does.
    """
    import polars as pl

    refuse_odd(path)
    with reading(path):
        if is_parquet(path):
            _refuse_no_parquet(path)
            return pl.scan_parquet(path, glob=False, hive_partitioning=False)
        return pl.scan_csv(path, glob=False, infer_schema=False, separator=dialect_of(path).separator)


def is_named_as_data(path: Path) -> bool:
    """Whether the name of a file says that it is parquet or CSV."""
    return path.name.lower().endswith((".parquet", *(f"{kind}{zipped}" for kind in TEXT for zipped in ("", ".gz"))))


def refuse_odd(path: Path) -> None:
    """Raises NlabError for a pipe, a device or a folder in the place of a file, which would be waited for or never end."""
    why = odd(path, most=ANY_SIZE, links=True)
    if why:
        raise NlabError(f"{path}: {why}; name a .parquet or .csv file")


def schema_of(lazy: "pl.LazyFrame", path: Path) -> "dict[str, pl.DataType]":
    """Column names and types of a scanned file."""
    with reading(path):
        return dict(lazy.collect_schema())


def index_columns(path: Path, names: Collection[str]) -> list[str]:
    """The columns of an index that pandas wrote, by the file's own metadata, else by their names."""
    listed: list[Any] = []
    if is_parquet(path):
        import polars as pl

        with reading(path):
            written = pl.read_parquet_metadata(path).get("pandas", "{}")
        try:
            listed = list(json.loads(written)["index_columns"])
        except (ValueError, KeyError, TypeError):
            listed = []
    return [name for name in names if name in listed or UNNAMED_INDEX.fullmatch(name)]


def id_column(path: Path, lazy: "pl.LazyFrame", column: str = "id") -> str | None:
    """The column of row ids: `column`, or, where that is `id`, the index that pandas wrote.

    None where there is neither. Raises NlabError where the index only numbers the rows.
    """
    import polars as pl

    names = list(schema_of(lazy, path))
    if column in names:
        return column
    candidates = [name for name in index_columns(path, names) if name not in ("era", "data_type")] if column == "id" else []
    if len(candidates) != 1:
        return None
    (name,) = candidates
    if UNNAMED_INDEX.fullmatch(name):
        refuse_damaged_pages(path, [name])
        with reading(path):
            counted = lazy.select(pl.col(name).cast(pl.String).str.contains(r"^(0|[1-9]\d*)$").all()).collect().item()
        if counted:
            label = repr(name) if name else "without a name"
            raise NlabError(
                f"{path}: has no column 'id', and its index, column {label}, numbers the rows; save the ids as a column "
                f"`id`, or name the column that holds them (data.id_column)"
            )
    return name


def id_text(path: Path, lazy: "pl.LazyFrame", name: str) -> "pl.Expr":
    """A column of ids as text. Whole floats, as pandas makes of integers beside a missing value, become integers.

    Raises NlabError for other floats, which two ids may share.
    """
    import polars as pl

    column, dtype = pl.col(name), schema_of(lazy, path)[name]
    if dtype.is_float():
        largest = 2**24 if dtype == pl.Float32 else 2**53
        with reading(path):
            odd = lazy.filter((column != column.round()) | (column.abs() > largest)).select(column).head(1).collect()
        if len(odd):
            raise NlabError(f"{path}: id {odd.item()!r} is a float, which other ids may have been rounded to; save ids as text")
        column = column.fill_nan(None).cast(pl.Int64)
    return column.cast(pl.String)


def as_bytes(names: "pl.Series") -> NDArray[np.bytes_]:
    """Strings as fixed-width bytes, in pieces: millions of Python strings at once would take gigabytes."""
    widest = names.str.len_bytes().max()
    width = widest if isinstance(widest, int) and widest > 0 else 1
    out = np.empty(len(names), dtype=f"S{width}")
    for start in range(0, len(names), ID_PIECE):
        piece = names[start : start + ID_PIECE]
        out[start : start + ID_PIECE] = [name.encode() for name in piece.to_list()]
    return out


def number(name: str, dtype: "type[pl.DataType] | None" = None) -> "pl.Expr":
    """A column as numbers, Float32 by default; null where it holds none."""
    import polars as pl

    return pl.col(name).cast(dtype or pl.Float32, strict=False)


def is_no_number(name: str) -> "pl.Expr":
    """An expression that is true where a column holds neither a finite number nor a missing value."""
    import polars as pl

    value = number(name, pl.Float64)
    odd = value.is_null() & pl.col(name).is_not_null()
    return (odd & ~pl.col(name).cast(pl.String).str.to_lowercase().is_in(MISSING)) | value.is_infinite()


def decimal_advice(value: object) -> str:
    """Advice for `0,5`, a decimal comma as in spreadsheets of many countries; empty for anything else."""
    comma = isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d*,\d+\s*", value)
    return "; write decimals with a point (pandas: `decimal=','` reads the file)" if comma else ""


def may_be_number(dtype: "pl.DataType") -> bool:
    """Whether a column of this type can hold numbers; text can."""
    import polars as pl

    return dtype.is_numeric() or dtype in (pl.String, pl.Null)


def refuse_other_than_numbers(path: Path, schema: "dict[str, pl.DataType]", names: Sequence[str], what: str) -> None:
    """Raises NlabError for a column whose type holds no numbers at all."""
    for name in names:
        if not may_be_number(schema[name]):
            raise NlabError(f"{path}: {what} {name!r} holds {schema[name]}, not numbers; save it as numbers, or leave it out")


class reading:
    """A context that turns polars' errors about a file into an NlabError of one sentence."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from polars.exceptions import PanicException, PolarsError

        if isinstance(error, PolarsError | PanicException | OSError):
            why = (str(error).splitlines() or [repr(error)])[0]
            way_out = "save it as a CSV in UTF-8" if "utf-8" in why.lower() else "if it is damaged, fetch or write it again"
            raise NlabError(f"{self.path}: can't be read: {why}; {way_out}") from error


def _refuse_no_parquet(path: Path) -> None:
    """Raises NlabError for a file of another kind, and for one that ends before its end."""
    with path.open("rb") as file:
        head = file.read(8)
    refuse_other_content(path, head, except_for="PAR1")
    if not head.startswith((b"PAR1", b"PARE")):
        raise NlabError(f"{path}: can't be read as parquet: name it .csv if it is text, or fetch or write it again")
