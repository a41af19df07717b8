"""DataFrames as data of a run: each is a parquet file of the cache, named by its content."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import built, cache_dir, key_of
from numerai_lab.storage.scratch import scratch

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

FRAMES = "frames"
"""The folder of the cache with a folder for each DataFrame."""
FILE = "dataframe.parquet"


def frame_file(frame: "pd.DataFrame | pl.DataFrame") -> Path:
    """The file with the rows of a DataFrame; equal DataFrames of one library have one file.

    Raises NlabError for anything else, and for a DataFrame that no parquet file can hold.
    """
    with scratch() as space:
        written = space.folder / FILE
        write_frame(frame, written, "data")
        with written.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        folder = cache_dir() / FRAMES / key_of("frame", digest)
        if folder.is_dir():
            os.utime(folder)  # used last now, by which `nlab cache prune` goes
        else:
            with built(folder) as work:
                shutil.move(written, work / FILE)
        return folder / FILE


def write_frame(frame: "pd.DataFrame | pl.DataFrame", path: Path, argument: str) -> None:
    """Writes a DataFrame as parquet, the index of pandas too unless it numbers the rows.

    Raises NlabError for anything else, by the name of the argument, and for a DataFrame that no parquet file can hold.
    """
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    if not isinstance(frame, pd.DataFrame | pl.DataFrame):
        raise NlabError(f"{argument}: {type(frame).__name__} is no table; wanted a DataFrame of pandas or polars")
    if isinstance(frame, pd.DataFrame):
        _refuse_periods(frame, argument)
    try:
        frame.write_parquet(path) if isinstance(frame, pl.DataFrame) else frame.to_parquet(path)
    except (pa.ArrowException, pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise NlabError(f"the DataFrame can't be read as a table ({str(error).splitlines()[0]})") from error


def _refuse_periods(frame: "pd.DataFrame", argument: str) -> None:
    """Raises NlabError for a column or an index of periods, which only pandas reads from parquet."""
    import pandas as pd

    index = {name: frame.index.get_level_values(i).dtype for i, name in enumerate(frame.index.names)}
    for name, dtype in [*frame.dtypes.items(), *index.items()]:
        if isinstance(dtype, pd.PeriodDtype):
            raise NlabError(f"{argument}: {name!r} holds periods of pandas; take their last days: .dt.end_time of a column")


@contextmanager
def named_frame(path: Path) -> Iterator[None]:
    """Calls the file at `path` "the DataFrame" in what an NlabError says."""
    try:
        yield
    except NlabError as error:
        if str(path) not in str(error):
            raise
        kind = NlabFailure if isinstance(error, NlabFailure) else NlabError
        raise kind(str(error).replace(str(path), "the DataFrame")) from error


def is_frame(path: Path) -> bool:
    """Whether a path is that of a DataFrame in a cache."""
    return path.name == FILE and path.parent.parent.name == FRAMES
