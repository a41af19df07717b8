"""Compares the predictions of a deployed model with those that the run wrote."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.era import rank
from numerai_lab.runs.layout import PREDICTIONS
from numerai_lab.runs.reading import RunFiles
from numerai_lab.storage.scratch import scratch
from numerai_lab.tournament.generator_arrays import Plain
from numerai_lab.tournament.packing import ContainerRun
from numerai_lab.tournament.prediction import Predictor

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 100_000
"""Rows of validation that are compared at most, by whole eras, unless a single era has more."""
EQUAL_SHARE, NETWORK_SHARE = 0.9999, 0.999
"""Shares of rows that must be the same to the bit, and with networks within the bound."""
BOUND, OF_DEVIATION = 1e-6, 1e-5
"""Largest difference, and with networks its size in standard deviations of the predictions where that is more."""
LEAST_RANK_CORR = 0.99999


@dataclass(frozen=True)
class Recorded:
    """Validation rows and what the run predicted for them.

    eras: of each row; features: rows × stores' columns by name; unranked: float32, rows × seeds.
    """

    ids: list[str]
    eras: Int64
    features: dict[str, Any]
    unranked: Float32

    def write(self, path: Path) -> None:
        """Writes the rows as numerai-predict reads live ones, with a column that no model reads and features in reverse."""
        import polars as pl

        columns = {name: self.features[name] for name in reversed(self.features)}
        table = {"id": self.ids, "era": self.eras, "data_type": ["live"] * len(self.ids), **columns}
        frame = pl.DataFrame(table).to_pandas().set_index("id")
        frame.to_parquet(path)


def recorded_rows(run: RunFiles, panel: Panel, model: Plain, columns: list[str]) -> Recorded:
    """Validation eras, evenly spread, with all features that the model reads.

    columns: of predictions.parquet, one a seed. Raises NlabError where data and predictions do not fit.
    """
    table = _predictions(run, columns)
    eras = _spread(table["era"].unique(maintain_order=True).to_list(), len(table))
    ids, features = _rows_of(panel, eras, model)
    chosen = table.filter(table["era"].is_in(eras))
    if chosen["id"].to_list() != ids:
        raise NlabError(f"{run.path}: the data no longer holds the rows that the run predicted; deploy where the run was made")
    numbers, unranked = chosen["era"].to_numpy().astype(np.int64), chosen.select(columns).to_numpy().astype(np.float32)
    return Recorded(ids, numbers, features, unranked)


def rows_as_live(predictor: Predictor, panel: Panel, model: Plain, display: ProgressDisplay) -> Recorded:
    """The newest era as if it were live, and what nlab itself predicts for it: for models that predicted nothing in the run."""
    era = int(panel.eras[-1])
    ids, features = _rows_of(panel, [era], model)
    unknown = Recorded(ids, np.full(len(ids), model["live_era"]), features, np.empty((len(ids), 0), np.float32))
    with scratch() as space:
        path = space.folder / "rows.parquet"
        unknown.write(path)
        predicted = predictor.predict(path, display).raw_table()
    return replace(unknown, unranked=predicted.drop("id").to_numpy().astype(np.float32))


def _rows_of(panel: Panel, eras: list[int], model: Plain) -> tuple[list[str], dict[str, Any]]:
    """Ids of the rows of some eras, and the features that the model reads, by name."""
    names = [name for store in model["stores"] for name in store["names"]]
    place, n_first = {name: i for i, name in enumerate(panel.feature_names)}, panel.features.shape[1]
    rows = np.concatenate([np.arange(panel.rows(era).start, panel.rows(era).stop) for era in eras])

    def column(at: int) -> Array:
        if at < n_first:
            return np.asarray(panel.features[rows, at])
        assert panel.scoring_features is not None
        return np.asarray(panel.scoring_features[rows, at - n_first])

    return [name.decode() for name in panel.ids[rows].tolist()], {name: column(place[name]) for name in names}


def _predictions(run: RunFiles, columns: list[str]) -> "pl.DataFrame":
    """Predictions of val1 and val2, era by era."""
    import polars as pl

    table = run.table(PREDICTIONS, ["id", "era", "split", *columns])
    return table.filter(pl.col("split").is_in(["val1", "val2"])).select("id", "era", *columns)


def _spread(eras: list[int], n_rows: int) -> list[int]:
    """As many eras as `MOST_ROWS` allows, evenly spread, the first and last among them."""
    n_eras = min(len(eras), max(2, len(eras) * MOST_ROWS // max(1, n_rows)))
    return [eras[i] for i in np.unique(np.linspace(0, len(eras) - 1, n_eras).round().astype(int)).tolist()]


def compared(recorded: Recorded, done: ContainerRun, networks: bool) -> dict[str, Any]:
    """Facts of the comparison; `problems` is empty where the model predicts what the run predicted."""
    difference = np.abs(done.unranked.astype(np.float64) - recorded.unranked)
    bound = BOUND if not networks else np.maximum(BOUND, OF_DEVIATION * recorded.unranked.std(0))
    equal, near = float((difference == 0).all(1).mean()), float((difference <= bound).all(1).mean())
    corr = _rank_corr(recorded.unranked, done.unranked)
    problems = []
    if networks and near < NETWORK_SHARE:
        problems.append(f"{1 - near:.2%} of the rows differ by more than {np.max(bound):.1e}")
    if not networks and equal < EQUAL_SHARE:
        problems.append(f"{1 - equal:.2%} of the rows differ")
    if not networks and near < 1:
        problems.append(f"predictions differ by up to {difference.max():.1e}")
    if corr < LEAST_RANK_CORR:
        problems.append(f"the rank correlation is {corr:.6f}")
    if not np.array_equal(done.ranked, _ranks(done.unranked, recorded.eras)):
        problems.append("what it returns is not the rank of what it computes")
    return {
        "rows": len(recorded.ids),
        "eras": len(np.unique(recorded.eras)),
        "equal to the bit": equal,
        "largest difference": float(difference.max()),
        "rank correlation": corr,
        "problems": problems,
    }


def _rank_corr(recorded: Float32, predicted: Float32) -> float:
    """The smallest correlation of ranks of a seed's predictions."""
    a, b = (rank(values.astype(np.float64)) - 0.5 for values in (recorded, predicted))
    norms = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    return float(np.divide((a * b).sum(0), norms, out=np.ones(a.shape[1]), where=norms > 0).min())


def _ranks(values: Float32, eras: Int64) -> Float64:
    """The rank within the era of the mean over seeds of ranks within the era."""
    out = np.empty(len(values))
    for era in np.unique(eras).tolist():
        rows = eras == era
        out[rows] = rank(rank(values[rows].astype(np.float64)).mean(1)[:, None])[:, 0]
    return out
