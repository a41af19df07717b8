"""Whether a parquet file can be decoded. polars ends the process on some damaged pages.

So columns are decoded once before they are read: a file that is not large whole, by pyarrow, which raises; columns of a large
one by polars in a process of its own, which costs a tenth of what reading them does.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from numerai_lab.core.errors import NlabError

BATCH_ROWS = 1 << 14
BATCH_CELLS = 40_000_000
"""Most cells that polars decodes at a time, which bounds its memory whatever the size of a file."""
PYARROW_BYTES = 64_000_000
"""The largest file that pyarrow decodes, as a process takes a second to start."""
CRASHES = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP)
"""Signals that end a process by its own fault."""


def is_parquet(path: Path) -> bool:
    """Whether a file is read as parquet, by its name; any other is read as CSV."""
    return path.suffix.lower() == ".parquet"


def decode_all(path: Path) -> None:
    """Decodes every page of a parquet file, and drops the rows.

    Raises ArrowException, ValueError or OSError where a page can't be decoded, or rows are missing.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        n_rows = sum(len(batch) for batch in file.iter_batches(BATCH_ROWS))
        if n_rows != file.metadata.num_rows:
            raise ValueError(f"it holds {n_rows} rows and says {file.metadata.num_rows}")


def refuse_damaged_pages(path: Path, columns: Collection[str]) -> None:
    """Raises NlabError for a parquet file whose columns can't be decoded; other files pass unread.

    A process decodes what it reads once, as long as the file does not change.
    """
    if is_parquet(path) and columns:
        facts = path.stat()
        small = facts.st_size <= PYARROW_BYTES
        _refuse(path, (facts.st_size, facts.st_mtime_ns), None if small else frozenset(columns))


@cache
def _refuse(path: Path, version: tuple[int, int], columns: frozenset[str] | None) -> None:
    """As `refuse_damaged_pages`. version: of the file. columns: None for a whole file that is small."""
    reason = _of_pyarrow(path) if columns is None else _of_polars(path, columns)
    if reason:
        raise NlabError(f"{path}: can't be read: {reason}; the file is damaged: get or write it anew")


def _of_pyarrow(path: Path) -> str:
    """Why pyarrow can't decode a file; empty where it can, or where it does not know a type, which polars may."""
    import pyarrow as pa

    try:
        decode_all(path)
    except pa.ArrowNotImplementedError:
        return ""
    except (pa.ArrowException, OSError, ValueError) as error:
        return (str(error).splitlines() or [repr(error)])[0]
    return ""


def _of_polars(path: Path, columns: Collection[str]) -> str:
    """How a process ended in which polars decodes columns; empty where polars did not end it."""
    what = json.dumps([str(path.absolute()), sorted(columns), max(1, BATCH_CELLS // len(columns)), os.getpid()])
    command = [sys.executable, "-P", "-m", "numerai_lab.data.decoding"]
    done = subprocess.run(command, input=what, capture_output=True, text=True, check=False)
    if -done.returncode not in CRASHES:
        return ""
    says = done.stderr.strip().splitlines()
    return f"its reader ends: {says[0] if says else signal.strsignal(-done.returncode)}"
