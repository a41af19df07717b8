"""Whether a parquet file can be decoded. pyarrow raises on damaged pages; polars ends the process on some of them."""

from pathlib import Path

from numerai_lab.core.errors import NlabError
from numerai_lab.data.scan import is_parquet

BATCH_ROWS = 1 << 14
CHECKED_BYTES = 64_000_000
"""The largest file of a user that is decoded once more before it is read: a larger one would take twice as long."""


def decode_all(path: Path) -> None:
    """Decodes every page of a parquet file, and drops the rows.

    Raises ArrowException, ValueError or OSError where a page can't be decoded, or rows are missing.
    """
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        n_rows = sum(len(batch) for batch in file.iter_batches(BATCH_ROWS))
        if n_rows != file.metadata.num_rows:
            raise ValueError(f"it holds {n_rows} rows and says {file.metadata.num_rows}")


def refuse_damaged_pages(path: Path) -> None:
    """Raises NlabError for a parquet file of at most `CHECKED_BYTES` that can't be decoded; other files pass unread."""
    import pyarrow as pa

    if not is_parquet(path) or path.stat().st_size > CHECKED_BYTES:
        return
    try:
        decode_all(path)
    except pa.ArrowNotImplementedError:  # a type that polars may know
        return
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise NlabError(f"{path}: can't be read: {reason}; the file is damaged: get or write it anew") from error
