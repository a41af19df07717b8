"""A frame of live rows in, a frame of predictions out: the function that numerai-predict calls."""

from typing import Any

import numpy as np
import pandas as pd

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.metrics.era import rank
from numerai_lab.tournament.container.variants import predictions_of_era

MODEL: dict[str, Any] = {}
"""What was learned. Packing fills it."""


def predict(live_features: pd.DataFrame) -> pd.DataFrame:
    """Predictions, 0 to 1, as ranks within each era. Raises ValueError for rows that the model cannot read."""
    frame = by_id(live_features)
    ranks = np.empty(len(frame))
    for rows, values in predicted_eras(frame):
        ranks[rows] = rank(rank(values.astype(np.float64)).mean(1)[:, None])[:, 0]
        if len(rows) > 1 and np.ptp(ranks[rows]) == 0:
            raise ValueError("all rows of an era get the same prediction: are their features constant?")
    return pd.DataFrame({"prediction": ranks}, index=frame.index)


def by_id(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the index `id`. Raises ValueError where it has no rows, an id twice, or lacks a feature."""
    frame = frame.set_index("id") if "id" in frame.columns else frame.rename_axis("id")
    missing = [name for store in MODEL["stores"] for name in store["names"] if name not in frame.columns]
    if missing:
        raise ValueError(f"the rows lack {len(missing)} features of the model, such as {missing[0]!r}")
    if not len(frame):
        raise ValueError("there are no rows to predict")
    if frame.index.has_duplicates:
        raise ValueError(f"the id {frame.index[frame.index.duplicated()][0]!r} is there twice")
    return frame


def predicted_eras(frame: pd.DataFrame) -> list[tuple[Int64, Float32]]:
    """The rows of each era, sorted by id, and their predictions by seed."""
    cells = [cells_of(frame, store["names"], store["top"], store["bins"]) for store in MODEL["stores"]]
    numbers = eras_of(frame)
    by_rising_id = np.argsort(frame.index.to_numpy().astype(str), kind="stable")
    eras = [(era, by_rising_id[numbers[by_rising_id] == era]) for era in np.unique(numbers).tolist()]
    return [(rows, predictions_of_era(MODEL, [part[rows] for part in cells], era)) for era, rows in eras]


def eras_of(frame: pd.DataFrame) -> Int64:
    """The era of each row: the number in the column `era`, and that of the next round where there is none.

    Raises ValueError for several labels without a number: they would be ranked as one era.
    """
    if "era" not in frame.columns:
        return np.full(len(frame), MODEL["live_era"], np.int64)
    digits = frame["era"].astype(str).str.extract(r"^\D*(\d+)(?:\.0*)?$", expand=False)
    unknown = frame["era"][digits.isna() & frame["era"].notna()].unique()
    if len(unknown) > 1:
        raise ValueError(f"the eras {unknown[0]!r} and {unknown[1]!r} are no numbers; a frame of live rows has one label, as X")
    return digits.astype(np.float64).fillna(MODEL["live_era"]).to_numpy().astype(np.int64)


def cells_of(frame: pd.DataFrame, names: list[str], top: float, bins: bool) -> Array:
    """Cells of features, rows × names: int8 bins, or float32 on 0..1. What is missing becomes the middle.

    Bins may come as whole numbers or as 0, .25 … 1. Raises ValueError for anything else.
    """
    cells = np.empty((len(frame), len(names)), np.float32)
    for i, name in enumerate(names):
        cells[:, i] = pd.to_numeric(frame[name]).to_numpy(np.float32, na_value=np.nan)
    missing = np.isnan(cells)
    cells[missing] = 0
    if bins and (cells != np.rint(cells)).any() and cells.max() <= 1:
        cells *= 4
    cells[missing] = top / 2
    wrong = (cells < 0) | (cells > top) | (bins & (cells != np.rint(cells)))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        wanted = "bins 0 to 4, or 0, .25 … 1" if bins else "0 to 1"
        raise ValueError(f"feature {names[column]!r} holds {cells[row, column]:g} for id {frame.index[row]!r}, wanted {wanted}")
    return cells.astype(np.int8) if bins else cells
