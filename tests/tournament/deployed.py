"""The function of a deployed model, in this process."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import PREDICTIONS
from numerai_lab.runs.reading import Run
from numerai_lab.tournament.artefact import Artefact, has_networks
from numerai_lab.tournament.packing import ContainerRun
from numerai_lab.tournament.prediction import predictor_of
from numerai_lab.tournament.source import predict_source
from numerai_lab.tournament.verification import Recorded, compared


def deployed(model: dict[str, Any]) -> dict[str, Any]:
    """What a deployed model defines, `predict` among it."""
    space: dict[str, Any] = {"__name__": "deployed"}
    exec(compile(predict_source(), "predict.py", "exec", dont_inherit=True), space)  # our own functions
    space["MODEL"] = model
    return space


def artefact(run: Run, variant: str) -> Artefact:
    predictor = predictor_of(run, variant)
    return Artefact(predictor.folder, predictor.config, predictor.facts, variant)


def refused_or_equal(run: Run, path: Path) -> set[str]:
    """Variants that can't be deployed. All others must predict the rows of a file as the run did."""
    frame = pd.read_parquet(path)
    recorded = pl.read_parquet(io.BytesIO(run.content(PREDICTIONS)))
    table = frame[["id", "era"]].assign(row=np.arange(len(frame)), era=frame["era"].astype(int))
    both = recorded.join(pl.DataFrame(table).with_columns(pl.col("era").cast(pl.Int32)), on=["id", "era"], maintain_order="left")
    assert len(both) == len(recorded) > 0
    refused = set()
    for variant in run.scores["variant"].unique():
        try:
            model = artefact(run, variant).model()
        except NlabError as error:
            assert "can't be deployed" in str(error)
            refused.add(variant)
            continue
        names = [name for name in recorded.columns if name.split("@")[0] == variant]
        unranked = np.empty((len(frame), len(names)), np.float32)
        space = deployed(model)
        for rows, values in space["predicted_eras"](space["by_id"](frame)):
            unranked[rows] = values
        ranked = space["predict"](frame.iloc[both["row"].to_numpy()])["prediction"].to_numpy()
        expected = Recorded(both["id"].to_list(), both["era"].to_numpy(), {}, both.select(names).to_numpy())
        facts = compared(expected, ContainerRun(ranked, unranked[both["row"].to_numpy()], {}), has_networks(model))
        assert facts["problems"] == [], variant
    return refused
