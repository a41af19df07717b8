"""Decodes columns of a parquet file by polars and drops them: `python -m numerai_lab.data.decoding`, with JSON on stdin.

The JSON is a list of the path, the columns, the rows of a batch and the process id of the parent. Where a damaged page ends this
process, the parent goes on.
"""

import json
import sys

from numerai_lab.core.parents import end_with_parent


def main() -> None:
    """Decodes. The exit code is 0 also where polars refuses the file with an error: the parent's own reading says which."""
    path, columns, n_rows, parent = json.load(sys.stdin)
    end_with_parent(parent)
    import polars as pl

    lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
    try:
        for _ in lazy.select(columns).collect_batches(chunk_size=n_rows, maintain_order=True):
            pass
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return


if __name__ == "__main__":
    main()
