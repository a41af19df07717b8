"""What a CSV file is before it is read: its separator and number of columns, and whether every line has as many."""

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from numerai_lab.core.errors import NlabError

SEPARATORS = (",", ";", "\t", "|")
LONGEST_HEADER = 50_000_000
"""Most bytes of a header to read."""
LONGEST_LINE = 1_000_000
"""Bytes at the end of a file in which its last line is searched for."""
BLOCK = 1 << 24
"""Bytes that are parsed at a time; a line is shorter."""
MAGIC = {
    b"PAR1": "is a parquet file; name it .parquet",
    b"PK\x03\x04": "is a zip archive or a workbook of Excel; unpack it, or save the sheet as CSV",
    b"BZh": "is compressed by bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; unpack it",
    b"\xfd7zXZ": "is compressed by xz; unpack it",
    b"ARROW1": "is an Arrow or Feather file; save it as parquet (pandas: to_parquet)",
    b"\xd0\xcf\x11\xe0": "is a workbook of Excel; save the sheet as CSV",
    b"\xff\xfe": "is text in UTF-16; save it as a CSV in UTF-8",
    b"\xfe\xff": "is text in UTF-16; save it as a CSV in UTF-8",
}
"""First bytes of a file → what is in it, and what to do."""


@dataclass(frozen=True)
class Dialect:
    """How the lines of a CSV are to be read."""

    separator: str
    n_columns: int


def dialect_of(path: Path) -> Dialect:
    """The dialect of a CSV by its first line.

    Raises NlabError for what is no CSV in UTF-8, for a header of one column or with two columns of one name, and for a last line
    that is cut off.
    """
    with path.open("rb") as file:
        head = file.read(8)
    zipped = head.startswith(b"\x1f\x8b")
    refuse_other_content(path, head, except_for="")
    header = _header(path, zipped)
    if header.count("\r") > 1:
        raise NlabError(f"{path}: ends its lines with CR alone, as old Macs did; save it with line ends of Unix or Windows")
    separator = max(SEPARATORS, key=re.sub(r'"[^"]*"', "", header).count)
    names = _fields(path, header, separator)
    _refuse_no_header(path, header, names)
    if not zipped:
        _refuse_cut_off(path, separator, len(names))
    return Dialect(separator, len(names))


def refuse_other_content(path: Path, head: bytes, except_for: str) -> None:
    """Raises NlabError where a file begins like one of another kind. except_for: the first bytes that are wanted."""
    for magic, what in MAGIC.items():
        if head.startswith(magic) and magic.decode("latin-1") != except_for:
            raise NlabError(f"{path}: {what}")


def refuse_ragged(path: Path) -> None:
    """Raises NlabError for a line with fewer or more fields than the first, which would be read as missing or left out.

    One empty field too many at the end of lines is no harm.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow

    dialect = dialect_of(path)
    wrong: list[arrow.InvalidRow] = []

    def judged(row: arrow.InvalidRow) -> str:
        if row.actual_columns != row.expected_columns + 1 or not row.text.endswith(dialect.separator):
            wrong.append(row)
        return "error" if wrong else "skip"

    names = [str(i) for i in range(dialect.n_columns)]
    read = arrow.ReadOptions(column_names=names, skip_rows=1, block_size=BLOCK, use_threads=False)
    parse = arrow.ParseOptions(delimiter=dialect.separator, newlines_in_values=True, invalid_row_handler=judged)
    convert = arrow.ConvertOptions(include_columns=["0"], column_types={"0": pa.binary()})
    try:
        with _stream(path) as lines, arrow.open_csv(lines, read, parse, convert) as batches:
            for _ in batches:
                pass
    except pa.ArrowInvalid as error:
        if not wrong:
            raise NlabError(f"{path}: can't be read: {str(error).splitlines()[0]}") from error
        row = wrong[0]
        raise NlabError(
            f"{path}: line {row.number} has {row.actual_columns} fields instead of {dialect.n_columns}, {_short(row.text)}; mend "
            "it, or quote fields that hold the separator"
        ) from error


def _stream(path: Path) -> "IO[bytes]":
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if zipped else path.open("rb")  # type: ignore[return-value]


def _header(path: Path, zipped: bool) -> str:
    """The first line that is not blank. Raises NlabError for what is no text in UTF-8."""
    try:
        with gzip.open(path) if zipped else path.open("rb") as binary:
            line = b"\n"
            while line and not line.strip(b"\r\n"):
                line = binary.readline(LONGEST_HEADER)
        if b"\x00" in line:
            raise NlabError(f"{path}: its first line holds NUL bytes, as text in UTF-16 does; save it as a CSV in UTF-8")
        return line.decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise NlabError(f"{path}: can't be read as UTF-8 text ({error}); save it as a CSV in UTF-8") from error


def _fields(path: Path, line: str, separator: str) -> list[str]:
    """The fields of the first or last line of a CSV. Raises NlabError for a line that is none of a CSV."""
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=separator), [])
    except csv.Error as error:
        raise NlabError(f"{path}: {_short(line)} is no line of a CSV ({error}); save it as a CSV in UTF-8") from error


def _refuse_no_header(path: Path, header: str, names: list[str]) -> None:
    """Raises NlabError for a first line that does not name columns, each by a name of its own."""
    wanted = "a CSV begins with the names of its columns, with , ; | or a tab between them"
    if header.lstrip().startswith(("{", "[")):
        raise NlabError(f"{path}: is JSON; {wanted} (pandas: read_json, to_csv)")
    if header.lower().startswith("sep="):
        raise NlabError(f"{path}: its first line, {_short(header)}, is for Excel; remove it: {wanted}")
    if len(names) == 1:
        raise NlabError(f"{path}: its first line is {_short(header)}; {wanted}")
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None and re.fullmatch(r"[-+.\d]+", twice):
        raise NlabError(f"{path}: its first line, {_short(header)}, has {twice!r} twice and seems to be a row; {wanted}")
    if twice is not None:
        raise NlabError(f"{path}: two columns are named {twice!r}; rename or remove one")


def _refuse_cut_off(path: Path, separator: str, n_columns: int) -> None:
    """Raises NlabError for a last line with too few fields, which polars would read as missing values."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LONGEST_LINE))
        tail = file.read().rstrip(b"\r\n")
    last = tail.rpartition(b"\n")[2].decode("utf-8", "replace")
    if b"\n" not in tail or last.count('"') % 2:  # a line with other fields, or a field of several lines
        return
    n_fields = len(_fields(path, last, separator))
    if n_fields < n_columns:
        raise NlabError(f"{path}: its last line has {n_fields} of {n_columns} fields: the file was cut off; fetch it again")


def _short(line: str) -> str:
    text = line.strip()
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
