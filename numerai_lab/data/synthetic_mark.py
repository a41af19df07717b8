"""The mark inside files of made-up data, by which a copy of a single file is recognised whatever its name and folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.data.scan import reading

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "numerai_lab.synthetic"
"""Key of a parquet file's metadata."""
ID_PREFIX = "nlab"
"""Made-up ids begin so. It survives CSV and tools that drop metadata; the tournament's ids are `n` and hexadecimal digits."""


def marked(schema: "pa.Schema", origin: str) -> "pa.Schema":
    """The schema of a parquet file with the mark in its metadata; origin: what made the rows."""
    return schema.with_metadata({**(schema.metadata or {}), KEY: origin})


def is_marked(path: Path) -> bool:
    """Whether a parquet file has the mark in its metadata."""
    import polars as pl

    if path.suffix != ".parquet":
        return False
    with reading(path):
        return KEY in pl.read_parquet_metadata(path)


def has_marked_ids(ids: NDArray[np.bytes_]) -> bool:
    """Whether any id begins as made-up ones do."""
    return bool((ids.astype(f"S{len(ID_PREFIX)}") == ID_PREFIX.encode()).any())
