"""`make calibrate`: the default world beside published facts of the real tournament, mean of three seeds of `small`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import parse_config
from numerai_lab.core.panel import Panel
from numerai_lab.data.reader import load
from numerai_lab.experiment import run
from numerai_lab.fitting.truth import Truth
from numerai_lab.metrics.era import pearson
from tests.conftest import Quiet

pytestmark = pytest.mark.calibrate
SEEDS = (0, 1, 2)
BANDS = {
    "corr of XGBoost": (0.024, 0.008),
    "standard deviation of corr": (0.039, 0.008),
    "FNC / corr": (0.5, 0.25),
    "max feature exposure": (0.32, 0.08),
    "abs(mean / sd) of a feature's corr": (0.21, 0.04),
    "share of eras against a feature's mean": (0.43, 0.03),
    "sd of a feature's corr beyond sampling": (0.014, 0.004),
    "components for 50 % of variance": (0.05, 0.03),
    "components for 80 % of variance": (0.17, 0.06),
    "corr of the truth": (0.073, 0.02),
    "linear share of expected variance": (0.59, 0.1),
}
"""Fact → value and tolerance."""
CONFIG = {
    "name": "calibration",
    "model": {"kind": "xgboost", "n_estimators": 250, "learning_rate": 0.04, "max_depth": 5, "colsample_bytree": 0.1},
    "variants": {"baseline": {}},
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, float]:
    """Each fact, the mean over seeds."""
    of_seeds = [facts_of_world(seed, tmp_path_factory.mktemp("runs")) for seed in SEEDS]
    means = {name: float(np.mean([facts[name] for facts in of_seeds])) for name in BANDS}
    print()
    for name, (value, tolerance) in BANDS.items():
        print(f"{name:40}  {means[name]:.4f}  wanted {value} ± {tolerance}")
    return means


@pytest.mark.parametrize("name", BANDS)
def test_the_default_world_is_near_the_real_tournament(facts: Mapping[str, float], name: str) -> None:
    value, tolerance = BANDS[name]
    assert facts[name] == pytest.approx(value, abs=tolerance)


def facts_of_world(seed: int, runs: Path) -> dict[str, float]:
    data = {"source": "synthetic", "size": "small", "seed": seed, "feature_set": "medium"}
    config = parse_config({**CONFIG, "data": data}, "calibration")
    scores = run(config, runs, Quiet()).scores.filter(split="val").row(0, named=True)
    panel = load(config.data).panel
    path = config.data.truth
    assert path is not None
    known = [era for era in panel.eras.tolist() if np.isfinite(panel.target[panel.rows(era)]).all()]
    return {
        "corr of XGBoost": scores["corr_mean"],
        "standard deviation of corr": scores["corr_std"],
        "FNC / corr": scores["fnc_mean"] / scores["corr_mean"],
        "max feature exposure": scores["max_feature_exposure_mean"],
        **of_single_features(panel, known),
        **of_components(panel, known),
        "corr of the truth": float(np.mean([Truth.of(path, panel, 20).corr(era) for era in known])),
        "linear share of expected variance": linear_share(path),
    }


def of_single_features(panel: Panel, eras: list[int]) -> dict[str, float]:
    """Over all eras with a target, the correlation of each feature with it; of absent features where they are there."""
    rows = [panel.rows(era) for era in eras]
    corr = np.array([pearson(panel.features[at].astype(float), panel.target[at].astype(float)) for at in rows])
    mean, sd = np.nanmean(corr, 0), np.nanstd(corr, 0)
    against = np.where(np.isfinite(corr), np.sign(corr) != np.sign(mean), np.nan)
    sampling = np.mean([1 / (at.stop - at.start) for at in rows])
    return {
        "abs(mean / sd) of a feature's corr": float(np.mean(np.abs(mean / sd))),
        "share of eras against a feature's mean": float(np.nanmean(against)),
        "sd of a feature's corr beyond sampling": float(np.sqrt(max(0, np.mean(sd**2) - sampling))),
    }


def of_components(panel: Panel, eras: list[int]) -> dict[str, float]:
    """The share of principal components that hold half and four fifths of the variance of later eras' features."""
    correlations = np.mean([np.corrcoef(panel.features[panel.rows(era)].T.astype(float)) for era in eras[len(eras) // 2 :: 4]], 0)
    held = np.cumsum(np.sort(np.linalg.eigvalsh(correlations))[::-1]) / len(correlations)
    return {
        f"components for {share:.0%} of variance".replace("%", " %"): float((np.searchsorted(held, share) + 1) / len(held))
        for share in (0.5, 0.8)
    }


def linear_share(path: Path) -> float:
    """The part of the variance of expected 20-day returns, within eras, that premia on factors explain."""
    names = ["component_factors", "expected_20"]
    variances = pl.read_parquet(path).group_by("era").agg(pl.col(names).var())
    factors, expected = (variances[name].mean() for name in names)
    return factors / expected
