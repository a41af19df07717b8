"""Work that is done once: stages that the cache saves, and the preparation that seeds share. Run with `make bench`.

Asked: umap_medium.yaml again with another model saves at least 90 % of the first run's generator time; three seeds of
quickstart.yaml prepare their models in at most .75 of three times the CPU seconds of one seed. Preparation is all of the
phases of fits and trainings but the growing of trees.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ASKED, ASKED_OF_SEEDS = 0.9, 0.75
PREPARATION = """
import os, time, xgboost
from contextlib import contextmanager
from numerai_lab.cli.app import main
from numerai_lab.runs.writing import RunFolder

growing, phases = [0.0], {}
update, phase = xgboost.Booster.update, RunFolder.phase

def timed(*arguments, **named):
    start = time.process_time()
    update(*arguments, **named)
    growing[0] += time.process_time() - start

@contextmanager
def counted(folder, name):
    start = time.process_time()
    with phase(folder, name):
        yield
    phases[name] = time.process_time() - start

xgboost.Booster.update, RunFolder.phase = timed, counted
try:
    main()
finally:
    print(phases["transform"] + phases["train"] - growing[0], growing[0], file=open(os.environ["NLAB_SECONDS"], "w"))
"""
"""Runs `nlab` and writes CPU seconds of preparation, and of growing trees, into the file that NLAB_SECONDS names."""


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


def preparation(folder: Path, cache: Path, seeds: list[int]) -> tuple[float, float]:
    """CPU seconds that a run of the quickstart with these seeds takes to prepare its models, and to grow their trees."""
    folder.mkdir()
    command = [sys.executable, "-c", PREPARATION, "run", "configs/quickstart.yaml", "--runs-dir", str(folder / "runs")]
    environment = {**os.environ, "NLAB_CACHE": str(cache), "NLAB_SECONDS": str(folder / "seconds")}
    command += ["--set", f"seeds={seeds}", "--no-cache"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    prepared, grown = map(float, (folder / "seconds").read_text().split())
    return prepared, grown


def test_three_seeds_share_their_preparation(tmp_path: Path) -> None:
    (one, one_grown), (three, three_grown) = (preparation(tmp_path / str(n), tmp_path / "cache", [7, 8, 9][:n]) for n in (1, 3))
    print(f"preparation: {one:.1f} CPU s for one seed, {three:.1f} for three: {three / one / 3:.2f} of three times one seed's")
    print(f"trees: {one_grown:.1f} CPU s for one seed, {three_grown:.1f} for three")
    print(f"ratio {three / one / 3 / ASKED_OF_SEEDS:.2f}")
    assert three / one / 3 <= ASKED_OF_SEEDS
