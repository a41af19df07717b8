"""Seconds that the stage cache saves: configs/umap_medium.yaml again with another model.

Asked: at least 90 % of the first run's generator time. Run with `make bench`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ASKED = 0.9


def manifest(runs: Path, cache: Path, *settings: str) -> dict[str, Any]:
    """The manifest of a run of umap_medium with these settings."""
    overrides = [part for context in settings for part in ("--set", context)]
    command = [sys.executable, "-m", "numerai_lab", "run", "configs/umap_medium.yaml", "--runs-dir", str(runs), *overrides]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NLAB_CACHE": str(cache)})
    (folder,) = runs.iterdir()
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def test_another_model_reuses_the_generators(tmp_path: Path) -> None:
    first = manifest(tmp_path / "first", tmp_path / "cache", "model.kind=ridge")
    again = manifest(tmp_path / "again", tmp_path / "cache", "model.kind=lightgbm", "model.n_estimators=50")
    before, after = (found["stages"]["transform"]["seconds"] for found in (first, again))
    saved = 1 - after / before
    print(f"generators: {before:.1f} s in the first run, {after:.1f} s with another model; {saved:.1%} saved, asked {ASKED:.0%}")
    print(f"from the cache: {', '.join(hit['stage'] for hit in again['cache_hits'])}")
    print(f"ratio {ASKED / saved:.2f}")
    assert first["cache_hits"] == []
    assert saved >= ASKED
