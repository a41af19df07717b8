"""Scores that are too good to be true: a run says so itself, and names the feature that carries them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.data.reader import Loaded
from numerai_lab.experiment import run
from tests.conftest import Quiet, make_config


@pytest.fixture
def leaking(tiny: Loaded, tmp_path: Path) -> dict[str, Any]:
    """The data slice of a file whose feature_7 lies as far from the middle bin as the target does."""
    panel = tiny.panel
    assert panel.target is not None
    features = np.array(panel.features[:, :12])
    sign = np.random.default_rng(0).choice([-1, 1], len(features))
    away = np.nan_to_num(np.abs(panel.target * 4 - 2))
    features[:, 7] = np.clip(2 + sign * away, 0, 4)
    rows = pl.DataFrame(features, schema=[f"feature_{i}" for i in range(12)]).with_columns(
        pl.Series("id", panel.ids.astype(str)),
        pl.Series("era", np.repeat(panel.eras, panel.bounds[:, 1] - panel.bounds[:, 0])),
        pl.Series("target", np.where(np.isfinite(panel.target), away / 2, np.nan), pl.Float32),
    )
    rows.write_parquet(tmp_path / "leaking.parquet")
    return {"source": "files", "path": str(tmp_path / "leaking.parquet"), "feature_set": "all", "horizon_days": 20}


def warnings_of(tmp_path: Path, data: dict[str, Any], **scoring: float) -> list[str]:
    model = {"kind": "lightgbm", "n_estimators": 20, "learning_rate": 0.3}
    config = make_config(data=data, model=model, scoring=scoring, splits={"train": "60%"})
    return [str(line) for line in run(config, tmp_path, Quiet()).manifest["warnings"] if line.startswith("implausible")]


def test_a_run_on_a_leaking_feature_warns_and_names_it(leaking: dict[str, Any], tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, leaking)
    assert "baseline corr +0." in warning
    assert "The feature that tells most alone is feature_7, corr 1.0000" in warning
    assert "nlab audit" in warning
    assert warnings_of(tmp_path, leaking, implausible_corr=2.0, implausible_sharpe=1e9) == []


def test_an_honest_run_does_not_warn(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, {"source": "synthetic", "size": "tiny"}) == []
