"""A file of predictions, and whether Numerai will take it.

Source: the validators of the PyPI package numerai-tools 0.7.2, which are assertions; these raise whatever Python's flags are.
"""

import hashlib
import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.errors import NlabError

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ["id", "prediction"]
LARGEST = 200_000_000
"""Bytes; a submission of 7,000 rows has some hundred kB."""


@dataclass(frozen=True)
class SubmissionFile:
    """A file as it was read once: what was checked is what is uploaded. sha: of its bytes, hexadecimal."""

    path: Path
    content: bytes
    sha: str
    rows: "pl.DataFrame"


def read_submission(path: Path) -> SubmissionFile:
    """A CSV of `id,prediction`. Raises NlabError where Numerai would refuse it whatever the live ids are."""
    import polars as pl

    if not path.is_file():
        raise NlabError(f"{path}: there is no such file; `nlab live RUN --out {path.name}` writes one")
    if path.stat().st_size > LARGEST:
        raise NlabError(f"{path}: larger than {LARGEST / 1e6:.0f} MB, so no file of predictions for live rows")
    try:
        content = path.read_bytes()
        rows = pl.read_csv(io.BytesIO(content), schema_overrides={"id": pl.String}, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise NlabError(f"{path}: can't be read as CSV ({type(error).__name__}); wanted lines of id,prediction") from None
    if rows.columns != COLUMNS:
        raise NlabError(f"{path}: has the columns {', '.join(rows.columns)[:100]!r}, wanted exactly 'id, prediction'")
    if not rows["prediction"].dtype.is_numeric():
        raise NlabError(f"{path}: prediction holds text, wanted numbers from 0 to 1")
    check_submission(rows, str(path))
    return SubmissionFile(path, content, hashlib.sha256(content).hexdigest(), rows)


def check_submission(rows: "pl.DataFrame", where: str, live_ids: Collection[str] | None = None) -> str:
    """Checks predictions as Numerai does and returns a note on ids that are not live, or "".

    rows: id, prediction; live_ids: None where nobody knows them, which leaves out what depends on them. Raises NlabError.
    """
    if rows["id"].null_count():
        raise NlabError(f"{where}: {rows['id'].null_count()} rows have no id")
    note = ""
    if live_ids is not None:
        live = rows.filter(rows["id"].is_in(list(live_ids)))
        absent = len(set(live_ids)) - live["id"].n_unique()
        if absent:
            raise NlabError(
                f"{where}: lacks {absent:,} of {len(set(live_ids)):,} live ids; a file of an earlier round looks so: "
                "`nlab live RUN --out FILE` writes that of this round"
            )
        note = f"{len(rows) - len(live):,} rows are not live and will be dropped" if len(live) < len(rows) else ""
        rows = live
    if rows["id"].n_unique() < len(rows):
        twice = rows["id"].filter(rows["id"].is_duplicated())
        raise NlabError(f"{where}: {twice.n_unique():,} ids are there twice, such as {twice[0]!r}")
    _check_values(rows["prediction"], where)
    return note


def _check_values(column: "pl.Series", where: str) -> None:
    values = column.cast(float).to_numpy()
    bad = int(np.isnan(values).sum())
    if bad:
        raise NlabError(f"{where}: {bad:,} predictions are missing (NaN)")
    if len(values) < 2:
        raise NlabError(f"{where}: has {len(values)} rows of predictions, wanted one for each live id")
    low, high = values.min(), values.max()
    if not ((low >= 0 or np.isclose(low, 0)) and (high <= 1 or np.isclose(high, 1))):
        raise NlabError(f"{where}: predictions reach from {low:g} to {high:g}, wanted 0 to 1; ranks within the era do it")
    if np.isclose(0, values.std(ddof=1)):
        raise NlabError(f"{where}: all predictions are the same (standard deviation {values.std(ddof=1):.0e})")
