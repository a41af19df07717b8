"""Predictions as a table, and remarks on eras without a score."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.eras import era_name
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.metrics.scoring import Column, Predictions

if TYPE_CHECKING:
    import polars as pl


def prediction_table(panel: Panel, splits: Splits, predictions: Predictions) -> "pl.DataFrame":
    """The table of predictions: id, era, target, split, and a column for each variant and seed, as `column_names` has it.

    Where eras are dates, `date` follows `era`.
    """
    import polars as pl

    future = panel.only(splits.validation)
    counts = future.bounds[:, 1] - future.bounds[:, 0]
    days = np.array([panel.dates.get(era, "NaT") for era in future.eras.tolist()], "datetime64[D]")
    assert panel.target is not None
    frame: dict[str, object] = {
        "id": [name.decode() for name in panel.ids[predictions.rows].tolist()],
        "era": np.repeat(future.eras, counts),
        **({"date": np.repeat(days, counts)} if panel.dates else {}),
        "target": panel.target[predictions.rows],
        "split": np.repeat([splits.name_of(era) for era in future.eras.tolist()], counts).tolist(),
    }
    for i, name in enumerate(column_names(predictions.columns)):
        frame[name] = predictions.values[:, i]
    return pl.DataFrame(frame)


def column_names(columns: Sequence[Column]) -> list[str]:
    """Names in predictions.parquet: `<variant>`, or `<variant>@<seed>` where there are several seeds."""
    several = len({column.seed for column in columns}) > 1
    return [f"{column.variant}@{column.seed}" if several else column.variant for column in columns]


def missing_scores(eras: "pl.DataFrame", dates: Mapping[int, str]) -> list[str]:
    """A remark for each variant and seed that has no corr in some eras."""
    import polars as pl

    lost = eras.filter(pl.col("corr").is_nan()).group_by("variant", "seed", maintain_order=True).agg(pl.col("era"))
    return [
        f"{variant}@{seed}: no corr in {len(missing)} eras (constant predictions or targets), "
        f"the first is era {era_name(missing[0], dates)}"
        for variant, seed, missing in lost.iter_rows()
    ]
