"""A deployed model at the width of v5 in the container's packages: seconds, memory, bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.tournament.environments import environment, own_python
from numerai_lab.tournament.generator_arrays import generator_arrays
from numerai_lab.tournament.model_arrays import model_arrays
from numerai_lab.tournament.packing import pack, run_packed
from numerai_lab.tournament.source import predict_source
from tests.conftest import component, make_panel

READ, THERE, ROWS, TREES = 780, 2748, 6800, 1000
MOST_SECONDS, MOST_MB, MOST_BYTES_A_TREE = 60, 1000, 10_000


def blend() -> dict[str, Any]:
    """An average of 1,000 trees of XGBoost on raw features, umap and pca, and 1,000 of LightGBM on raw features."""
    panel = make_panel(n_eras=8, n_rows=500, n_features=READ)
    umap = {"mode": "parametric", "n_components": 60, "landmarks": 2000, "steps": 50, "hidden": 256, "batch_size": 512}
    generators = []
    for template in (component("umap", **umap), component("pca", n_components=40)):
        fit = template.fit(panel.without_target(), np.random.default_rng(0))
        fits = FittedGenerator(template, (fit.state(),), {})
        columns = np.concatenate([fits.columns_for(block) for block in panel.blocks()])
        panel = panel.with_columns(template.kind, columns)
        generators.append(generator_arrays(fits))
    models = []
    for kind, inputs in (("xgboost", ("raw", "umap", "pca")), ("lightgbm", ("raw",))):
        model = component(kind, n_estimators=TREES, max_depth=5, learning_rate=0.01, colsample_bytree=0.1)
        names = [f"c{i}" for i in range(READ + 100 * (kind == "xgboost"))]
        fitted = model.fit(TrainingStream(panel, inputs, tuple(names), 0, {}), np.random.default_rng(0))
        places = ["raw", *range(len(inputs) - 1)]
        models.append({**model_arrays(model, fitted.saved()[1]), "inputs": places})
    members = [{"models": [i], "members": [], "neutralize": None} for i in range(2)]
    return {
        "stores": [{"names": [f"feature_{i}" for i in range(READ)], "top": 4.0, "bins": True}],
        "sets": {},
        "n_raw": READ,
        "top": 4.0,
        "live_era": 1200,
        "generators": generators,
        "models": models,
        "seeds": [{"models": [], "members": members, "neutralize": None}],
    }


def test_a_blend_at_the_width_of_v5(tmp_path: Path) -> None:
    python = environment(own_python())
    pack(python, predict_source(), blend(), tmp_path / "predict.pkl")
    cells = np.random.default_rng(0).integers(0, 5, (ROWS, THERE), dtype=np.int8)
    index = pd.Index([f"n{i:06d}" for i in range(ROWS)], name="id")
    names = [f"feature_{i}" for i in range(THERE)]
    pd.DataFrame(cells, index=index, columns=names).assign(era="X").to_parquet(tmp_path / "live.parquet")
    facts = run_packed(python, tmp_path / "predict.pkl", tmp_path / "live.parquet", tmp_path).facts
    n_bytes = (tmp_path / "predict.pkl").stat().st_size
    print(
        f"\n{READ} of {THERE} columns, {ROWS} rows, 2 × {TREES} trees, umap 60, pca 40, blend, Python {own_python()}, one thread:"
    )
    print(f"{facts['seconds']} s, {facts['peak MB']} MB, predict.pkl {n_bytes:,} bytes")
    assert facts["seconds"] <= MOST_SECONDS
    assert facts["peak MB"] <= MOST_MB
    assert n_bytes <= 2 * TREES * MOST_BYTES_A_TREE
