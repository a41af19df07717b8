"""Small worlds with plain gains, in which controls take seconds."""

import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from numerai_lab.data.world_size import SIZES, Size
from numerai_lab.data.worlds import WORLDS, Premium

SHARED = "seeds: [7]\nsplits: {train: train, val1: 17-72, val2: 81-136}\n"
CONFIGS = {
    "clusters": """\
        name: control_clusters
        data: {source: synthetic, world: clusters, size: control, seed: 11, feature_set: all}
        generators:
          factor_analysis: {kind: factor_analysis, n_components: 8, unusual: false}
          autoencoder: {kind: autoencoder, n_components: 8, hidden: 32, max_steps: 300}
          noise_8: {kind: random_columns, n_columns: 8}
        model: {kind: xgboost, n_estimators: 40, learning_rate: 0.1, max_depth: 4, colsample_bytree: 1.0}
        variants:
          baseline: {}
          raw+factor_analysis: {features: [raw, factor_analysis]}
          raw+autoencoder: {features: [raw, autoencoder]}
          raw+noise_8: {features: [raw, noise_8]}
        """,
    "steady": """\
        name: control_steady
        data: {source: synthetic, world: steady, size: control, seed: 11, feature_set: all}
        augmenters:
          gmm_targets: {kind: gmm_targets, alpha: 300.0}
          duplicate: {kind: duplicate}
        model: {kind: xgboost, n_estimators: 40, learning_rate: 0.1, max_depth: 4, colsample_bytree: 1.0}
        variants:
          baseline: {}
          gmm_targets: {augment: [gmm_targets]}
          duplicate: {augment: [duplicate]}
        """,
    "null": """\
        name: control_null
        data: {source: synthetic, world: "null", size: control, seed: 11, feature_set: all}
        model: {kind: ridge}
        variants: {baseline: {}}
        """,
}


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configs; worlds of 140 eras × 300 rows × 80 features, 8 eras to train on, and large premia."""
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    clusters = replace(WORLDS["clusters"], premia=(Premium("membermean", 0.4), Premium("member", 0.4)))
    steady = replace(WORLDS["steady"], premia=(Premium("linear", 0.2, factors=(0, 1)),))
    monkeypatch.setitem(SIZES, "control", Size((300,) * 140, n_train=8, n_small=0, n_medium=80))  # type: ignore[arg-type]
    monkeypatch.setitem(WORLDS, "clusters", clusters)  # type: ignore[arg-type]
    monkeypatch.setitem(WORLDS, "steady", steady)  # type: ignore[arg-type]
    folder = tmp_path / "controls"
    folder.mkdir()
    for world, text in CONFIGS.items():
        (folder / f"{world}.yaml").write_text(SHARED + textwrap.dedent(text))
    return folder
