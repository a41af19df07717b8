"""Estimates of memory and disk against what runs then took, on configs of all families. Run with `make bench-estimates`.

Wide layers, cross-fit, six copies, materialized rows, three seeds, cross-validation and retraining among them; each run is on the
small synthetic tournament, whose files and stores are made first.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

LOW, HIGH = 0.7, 1.3
SCRATCH = "scratch"
FEW = {"max_steps": 20, "evaluate_every": 10}
TREES = {"kind": "xgboost", "n_estimators": 30}
THREE = [7, 8, 9]


def generator(seeds: tuple[int, ...] = (7,), **parameters: Any) -> dict[str, Any]:
    """A config with raw features and the columns of a generator."""
    return {"generators": {"g": parameters}, "variants": {"raw+g": {"features": ["raw", "g"]}}, "seeds": [*seeds]}


def augmenter(seeds: tuple[int, ...] = (7,), **parameters: Any) -> dict[str, Any]:
    """A config with the rows of an augmenter."""
    return {"augmenters": {"a": parameters}, "variants": {"a": {"augment": ["a"]}}, "seeds": [*seeds]}


def model(**parameters: Any) -> dict[str, Any]:
    """A config with a model on raw features."""
    return {"model": parameters, "variants": {"baseline": {}}}


CONFIGS: dict[str, dict[str, Any]] = {
    "pca, folds": generator(kind="pca", n_components=40) | {"cv": {"folds": 3, "scheme": "blocked", "embargo": 12}},
    "pca of selected features, folds": generator(kind="pca", n_components=4, select={"by": "variance", "top_k": 150})
    | {"cv": {"folds": 3, "scheme": "blocked", "embargo": 12}},
    "pca, six copies by cutout": generator(kind="pca", n_components=40)
    | {"augmenters": {"a": {"kind": "cutout", "copies": 6}}, "variants": {"both": {"features": ["raw", "g"], "augment": ["a"]}}},
    "the oracle's features, folds": {
        "data": {"source": "synthetic", "size": "small", "feature_set": "all", "world": "clusters", "oracle": True},
        "variants": {"baseline": {}, "raw+oracle": {"features": ["raw", "oracle"]}},
        "cv": {"folds": 3, "scheme": "blocked", "embargo": 12},
    },
    "factor analysis, transductive": generator(kind="factor_analysis", n_components=20, fit_on="all"),
    "umap, exact": generator(kind="umap", mode="exact", n_components=20, landmarks=5_000, n_epochs=20),
    "umap, parametric": generator(kind="umap", mode="parametric", n_components=20, landmarks=10_000, n_epochs=20),
    "autoencoder": generator(kind="autoencoder", **FEW),
    "autoencoder, hidden 4,096": generator(kind="autoencoder", hidden=4096, n_components=512, **(FEW | {"max_steps": 10})),
    "contrastive, scarf": generator(kind="contrastive", method="scarf", **FEW),
    "era autoencoder": generator(kind="era_autoencoder", **FEW),
    "supervised autoencoder, cross-fit": generator(kind="supervised_autoencoder", scheme="cross_fit", emit="prediction", **FEW),
    "siamese, three seeds": generator((7, 8, 9), kind="siamese", **FEW),
    "random columns, three seeds": generator((7, 8, 9), kind="random_columns", n_columns=100),
    "cutout, six copies": augmenter(kind="cutout", copies=6),
    "noise, six copies, materialized": augmenter(kind="gaussian_noise", copies=6, materialize=True),
    "averages in bins, three seeds, materialized": augmenter((7, 8, 9), kind="average", rebin=True, copies=2, materialize=True),
    "diffusion": augmenter(kind="diffusion", **FEW),
    "copula": augmenter(kind="copula"),
    "xgen": augmenter(kind="xgen", n_estimators=10, most_features=40),
    "lightgbm": model(kind="lightgbm", n_estimators=30),
    "catboost": model(kind="catboost", n_estimators=30),
    "mlp": model(kind="mlp", epochs=1),
    "ridge, three seeds": model(kind="ridge") | {"seeds": THREE},
    "forest": model(kind="sklearn", estimator="RandomForestRegressor", parameters={"n_estimators": 20, "max_features": 0.1}),
    "xgboost, retrained, from disk": model(**TREES, external_memory=True) | {"retrain": {"every": 26, "window": 60}},
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the data."""
    folder = Path(os.environ.get("NLAB_BENCH_CACHE") or tmp_path_factory.mktemp("cache"))
    measured({"variants": {"baseline": {}}, "model": {"kind": "ridge"}}, folder, tmp_path_factory.mktemp("first"))
    return folder


def measured(parts: dict[str, Any], cache: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """What a run was estimated to take and took, in bytes, by resource."""
    shared = {"name": "estimated", "data": {"source": "synthetic", "size": "small", "feature_set": "all"}, "model": TREES}
    (folder / "config.yaml").write_text(yaml.safe_dump({**shared, **parts}))
    command = [sys.executable, "-m", "numerai_lab", "run", "config.yaml", "--no-cache"]
    environment = {**os.environ, "NLAB_CACHE": str(cache)}
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=said, env=environment)
    most = last = 0
    while process.poll() is None:
        now = in_files(cache / SCRATCH)  # without a cache a run keeps its stages there too
        most, last = max(most, now + in_files(folder / "runs")), now or last
        time.sleep(0.002)
    assert process.returncode == 0, (folder / "said").read_text()[-2000:]
    (run,) = (folder / "runs").iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    expected, peak = manifest["expected"], manifest["measured"]["memory_bytes"]
    return {"memory": (expected["memory_bytes"], peak), "disk": (expected["disk_bytes"], max(most, last + in_files(run)))}


def in_files(folder: Path) -> int:
    """Bytes of the files below a folder."""
    total = 0
    for place, _, names in os.walk(folder):  # which bears folders that vanish meanwhile
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


@pytest.mark.parametrize("name", CONFIGS)
def test_what_was_estimated_is_what_it_took(name: str, cache: Path, tmp_path: Path) -> None:
    ratios = []
    for what, (expected, taken) in measured(CONFIGS[name], cache, tmp_path).items():
        ratios.append(taken / expected)
        print(f"| {name} | {what} | {expected / 1e6:,.0f} | {taken / 1e6:,.0f} | {ratios[-1]:.2f} |", flush=True)
    assert all(LOW <= ratio <= HIGH for ratio in ratios), ratios
