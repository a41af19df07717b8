"""Estimates before a run against what it then took: peak memory and disk, each within 30 %. Run with `make bench`.

The largest: `make bench-full`, whose manifest says the same of the tournament's own size.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = {
    "quickstart, xgboost": ["configs/quickstart.yaml"],
    "quickstart, lightgbm": ["configs/quickstart.yaml", "model.kind=lightgbm"],
    "quickstart, ridge": ["configs/quickstart.yaml", "model.kind=ridge"],
    "autoencoder": ["configs/autoencoder.yaml", "data.source=synthetic", "data.size=small", "model.n_estimators=100"],
    "umap_medium": ["configs/umap_medium.yaml", "data.source=synthetic", "data.size=small", "model.n_estimators=100"],
    "csi500": ["configs/csi500.yaml"],
    "medium": ["configs/quickstart.yaml", "data.size=medium", "model.n_estimators=50"],
}
LOW, HIGH = 0.7, 1.3


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("NLAB_BENCH_CACHE") or tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", RUNS)
def test_what_was_estimated_is_what_it_took(name: str, cache: Path, tmp_path: Path) -> None:
    config, *settings = RUNS[name]
    if name == "csi500":
        if "NLAB_CSI500" not in os.environ:
            pytest.skip("NLAB_CSI500 names no csi500_weekly.parquet")
        settings.append(f"data.path={os.environ['NLAB_CSI500']}")
    overrides = [part for context in settings for part in ("--set", context)]
    command = [
        sys.executable,
        "-m",
        "numerai_lab",
        "run",
        config,
        "--runs-dir",
        str(tmp_path),
        "--no-cache",
        *overrides,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NLAB_CACHE": str(cache)})
    (folder,) = tmp_path.iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    ratios = {}
    for what in ("memory_bytes", "disk_bytes"):
        expected, measured = manifest["expected"][what], manifest["measured"][what]
        ratios[what] = measured / expected
        print(f"{name}: {what} expected {expected / 1e6:,.0f} MB, measured {measured / 1e6:,.0f} MB, ratio {ratios[what]:.2f}")
    assert all(LOW <= ratio <= HIGH for ratio in ratios.values())
