"""Saved models of a run predict what the run predicted."""

import numpy as np
import polars as pl

from numerai_lab.config.loading import load_recorded
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.restored import Restored
from numerai_lab.runs.reading import Run
from tests.conftest import Quiet


def assert_saved_models_predict_as_recorded(run: Run, *variants: str) -> None:
    """The validation rows of these variants, predicted from the run folder alone, are those of predictions.parquet."""
    config = load_recorded(run.path / "config.yaml")
    loaded, splits = load_sealed(config)
    shared = FitPlan.of(config, splits).shared_models
    again = Restored(run, config, shared, variants).predictions(loaded.panel, splits.validation, Quiet())
    table = pl.read_parquet(run.path / "predictions.parquet").filter(pl.col("split") != "")
    for i, column in enumerate(again.columns):
        np.testing.assert_array_equal(again.values[:, i], table[f"{column.variant}@{column.seed}"].to_numpy())
