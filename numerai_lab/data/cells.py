"""How feature columns become cells of the store: int8 bins where nothing is lost by it, else float32."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.basics import Array, Float32, NlabError
from numerai_lab.data.table import Table

if TYPE_CHECKING:
    import polars as pl

BINS = 5


class BadCell(Exception):
    """A cell that holds what no feature holds; args: row and column in the batch."""


@dataclass(frozen=True)
class Encoding:
    """dtype of the store's cells, the largest value they take, and what each column is multiplied by to get there.

    note: what the user should know of it, empty when there is nothing to say.
    """

    dtype: str
    top: float
    factor: Float32
    note: str = ""

    @property
    def wanted(self) -> str:
        """The values that features may take, in words."""
        if self.dtype == "int8":
            return f"bins 0 to {BINS - 1}, or 0, .25 … 1"
        return "0 to 1; rank or scale continuous features first"

    def cells(self, frame: "pl.DataFrame") -> tuple[Array, int]:
        """A batch as cells and how many of them were missing, which become the middle. Raises BadCell."""
        import polars as pl

        if self.dtype == "int8" and all(dtype == pl.Int8 for dtype in frame.dtypes) and not any(frame.null_count().row(0)):
            cells: Array = frame.to_numpy(order="c")
            missing = 0
        else:
            values = frame.select(pl.all().cast(pl.Float32)).to_numpy(order="c") * self.factor
            empty = np.isnan(values)
            missing = int(empty.sum())
            cells = np.where(empty, np.float32(self.top / 2), values)
        if cells.size and (cells.min() < 0 or cells.max() > self.top):
            raise BadCell(*(int(i) for i in np.argwhere((cells < 0) | (cells > self.top))[0]))
        return cells.astype(self.dtype, copy=False), missing


def encoding_of(table: Table, columns: list[str]) -> Encoding:
    """int8 if every column holds bins 0..4 or 0, .25 … 1, told apart by the largest value seen; else float32 on 0..1."""
    import polars as pl

    others = [c for c in columns if not (table.schema[c].is_float() or table.schema[c].is_integer())]
    if others:
        raise NlabError(f"{table.tournament.tables[0]}: feature {others[0]!r} holds {table.schema[others[0]]}, not numbers")
    is_float = np.array([table.schema[column].is_float() for column in columns])
    floats = [column for column in columns if table.schema[column].is_float()]
    if not floats:
        return Encoding("int8", BINS - 1.0, np.ones(len(columns), np.float32))
    known = {c: pl.col(c).drop_nans().drop_nulls() for c in floats}
    facts = table.collect(
        pl.max_horizontal(values.max() for values in known.values()).alias("largest"),
        *[(values * 4 == (values * 4).round()).all().alias(f"quarters {c}") for c, values in known.items()],
        *[(values == values.round()).all().alias(f"whole {c}") for c, values in known.items()],
    )
    in_bins = bool((facts["largest"] > 1).any())
    odd = [c for c in floats if not facts[f"{'whole' if in_bins else 'quarters'} {c}"].all()]
    if not odd:
        return Encoding("int8", BINS - 1.0, np.where(is_float & (not in_bins), BINS - 1, 1).astype(np.float32))
    note = f"{len(odd)} of {len(columns)} features, such as {odd[0]}, are no bins: all are kept as float32, in 4 × the memory"
    return Encoding("float32", 1.0, np.where(is_float, 1, 1 / (BINS - 1)).astype(np.float32), note)
