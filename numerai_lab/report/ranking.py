"""The column that a score table is ranked by, and the ranked table."""

from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.report.tables import CORR, LEGACY, REST, SURE, best_is_high

if TYPE_CHECKING:
    import polars as pl

HALVES = ("val1", "val2", "val", "cv", "walk")
"""The order of a variant's rows."""


def sort_column(text: str, table: "pl.DataFrame") -> str:
    """The numeric column with this name.

    Raises NlabError with the most likely column otherwise: `sharpe` means corr_sharpe, `bmc` bmc_mean, `p adj` the column
    with this heading.
    """
    numeric = [name for name in table.columns if table[name].dtype.is_numeric()]
    if text in numeric:
        return text
    headings = {column.heading: column.name for column in (*CORR, *SURE, *REST, *LEGACY)}
    guesses = (f"corr_{text}", f"{text}_mean", f"delta_{text}_mean", headings.get(text, ""))
    likely = [name for name in guesses if name in numeric] + [name for name in numeric if name.startswith(f"{text}_")]
    advice = f"did you mean {likely[0]!r}?" if likely and text else nearest(text, numeric)
    raise NlabError(f"--sort: no column {text!r}; {advice}")


def ranked(table: "pl.DataFrame", column: str, split: str = "val") -> "pl.DataFrame":
    """The table with variants best first by a column in one split; rows of a variant stay together."""
    import polars as pl

    keys = [name for name in ("run", "variant") if name in table.columns]
    both = table.filter(pl.col("split") == split).with_columns(pl.col(column).cast(pl.Float64).fill_null(np.nan).alias("place"))
    # NaN sorts last whether high or low is best.
    best_first = pl.col("place") if best_is_high(column) is False else -pl.col("place")
    place = pl.when(pl.col("place").is_nan()).then(np.inf).otherwise(best_first)
    order = pl.col("split").replace_strict(HALVES, range(len(HALVES)), return_dtype=pl.Int8)
    placed = table.join(both.select(*keys, place.alias("place")), on=keys, how="left", maintain_order="left")
    return placed.sort("place", *keys, order).drop("place")
