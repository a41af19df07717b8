"""Rows of data files in the order of a store: by era, then id."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Float32, Int64
from numerai_lab.core.eras import era_name
from numerai_lab.core.errors import NlabError
from numerai_lab.core.splits import EraTable
from numerai_lab.data.scan import as_bytes

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Rows:
    """Rows of all files in store order.

    destination: file row → store row, −1 for rows left out (live). dates: ISO date by era, empty where eras are numbers.
    """

    destination: Int64
    ids: NDArray[np.bytes_]
    eras: NDArray[np.int32]
    bounds: Int64
    data_types: tuple[str, ...]
    target: Float32
    dates: Mapping[int, str] = field(default_factory=dict)

    def era_table(self, days_per_era: int) -> EraTable:
        """The facts for splits."""
        table = EraTable.of(self.eras, self.bounds, self.data_types, self.target)
        return replace(table, dates=self.dates, days_per_era=days_per_era)

    def ordered(self, values: Float32) -> Float32:
        """Values of file rows in store order, without rows that are left out."""
        stored, there = np.empty(len(self.ids), np.float32), self.destination >= 0
        stored[self.destination[there]] = values[there]
        return stored


def rows_in_order(frame: "pl.DataFrame", path: Path, dates: Mapping[int, str]) -> Rows:
    """Rows sorted by era and id, without live rows.

    frame: row (in the files), id, era, data_type, target. path: the file that errors name. Raises NlabError where no row is
    left, for an id that occurs twice in an era, and for an era of several data_types.
    """
    import polars as pl

    ordered, n_rows = frame.filter(pl.col("era").is_not_null()).sort("era", "id"), len(frame)
    del frame  # free the ids of all rows, which are gigabytes
    _refuse_odd_rows(ordered, path, dates, n_rows - len(ordered))
    destination = np.full(n_rows, -1, np.int64)
    destination[ordered["row"].to_numpy()] = np.arange(len(ordered))
    per_era = ordered.group_by("era", maintain_order=True).agg(
        pl.len(), pl.col("data_type").first().cast(pl.String).fill_null("")
    )
    ends = np.cumsum(per_era["len"].to_numpy()).astype(np.int64)
    return Rows(
        destination,
        as_bytes(ordered["id"]),
        per_era["era"].to_numpy(),
        np.column_stack([ends - per_era["len"].to_numpy(), ends]),
        tuple(per_era["data_type"].to_list()),
        ordered["target"].to_numpy(),
        dates,
    )


def _refuse_odd_rows(rows: "pl.DataFrame", path: Path, dates: Mapping[int, str], n_live: int) -> None:
    """Raises NlabError as `rows_in_order` does. rows: sorted by era and id, without the live ones."""
    import polars as pl

    if rows.is_empty():
        raise NlabError(f"{path}: holds no rows{' but live ones' * bool(n_live)}")
    twice = rows.filter((pl.col("era") == pl.col("era").shift()) & (pl.col("id") == pl.col("id").shift()))
    if len(twice):
        raise NlabError(f"{path}: id {twice['id'][0]!r} stands twice in era {era_name(twice['era'][0], dates)}")
    odd = rows.filter(pl.col("id").str.contains("\x00", literal=True)).head(1)
    if len(odd):
        raise NlabError(f"{path}: id {odd['id'][0]!r} holds a NUL byte: the file is damaged; fetch or write it again")
    _refuse_mixed_types(path, rows, dates)


def _refuse_mixed_types(path: Path, rows: "pl.DataFrame", dates: Mapping[int, str]) -> None:
    """Raises NlabError for an era of several data_types, since an era is trained on or scored as a whole."""
    import polars as pl

    mixed = rows.group_by("era", maintain_order=True).agg(kinds=pl.col("data_type").unique(maintain_order=True))
    for era, kinds in mixed.filter(pl.col("kinds").list.len() > 1).head(1).iter_rows():
        named = " and ".join(str(kind or "none") for kind in kinds)
        raise NlabError(
            f"{path}: era {era_name(era, dates)} has rows of data_type {named}; an era is trained on or scored as a whole"
        )
