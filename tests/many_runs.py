"""Run folders made up for benchmarks and tests of pages over many runs: random scores, nothing trained."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from numerai_lab.config.loading import parse_config
from numerai_lab.metrics import ERA_METRICS
from numerai_lab.metrics.scoring import Scoring, score_table
from numerai_lab.runs.layout import CONFIG, PROGRESS, UNFINISHED
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK
from numerai_lab.storage.stamped_json import with_stamp
from numerai_lab.storage.whole_files import write_whole

SCORING = Scoring("baseline", "medium", None, None, 20)


def make_runs(
    folder: Path, n_runs: int, variants: Sequence[str] = ("baseline", "raw+pca", "cutout"), n_eras: int = 100
) -> list[Path]:
    """Folders with all that `nlab compare` reads; each run has another learning rate, and a report that says nothing."""
    rng = np.random.default_rng(0)
    return [_make_run(folder / f"20260101-{i:06d}_run", i, variants, n_eras, rng) for i in range(n_runs)]


@contextmanager
def run_in_progress(folder: Path, name: str, **progress: object) -> Iterator[Path]:
    """The folder of a run that this process seems to work on until the block ends; then it looks as if it was killed."""
    path = folder / f"{UNFINISHED}{name}-abc"
    path.mkdir(parents=True)
    (path / CONFIG).write_text("name: run")
    tell_progress(path, **progress)
    with Lock(path / LOCK) as lock:
        assert lock.take()
        yield path


def tell_progress(path: Path, **progress: object) -> None:
    """Writes how far a run in progress is."""
    write_whole(path / PROGRESS, json.dumps(progress).encode())


def _make_run(path: Path, number: int, variants: Sequence[str], n_eras: int, rng: np.random.Generator) -> Path:
    path.mkdir(parents=True)
    common = rng.normal(0.02, 0.02, size=n_eras)
    halves = ["val1"] * (n_eras // 2) + ["val2"] * (n_eras - n_eras // 2)
    eras = pl.concat(
        pl.DataFrame({"variant": [name] * n_eras, "seed": 0, "era": range(1, n_eras + 1), "split": halves}).with_columns(
            *[pl.Series(metric, common + rng.normal(0, 0.01, size=n_eras)) for metric in ERA_METRICS]
        )
        for name in variants
    )
    eras.write_parquet(path / "per_era.parquet")
    score_table(eras, SCORING, {}).write_csv(path / "scores.csv")
    raw = {
        "name": "run",
        "data": {"source": "synthetic"},
        "generators": {"pca": {"kind": "pca"}},
        "augmenters": {"cutout": {"kind": "cutout"}},
        "model": {"kind": "xgboost", "learning_rate": 0.01 + number / 1e4},
    }
    (path / "config.yaml").write_text(parse_config(raw, "bench").to_yaml())
    comparable = {"data version": "made up", "target": "target", "horizon (days)": 20, "val1": "1-50", "val2": "51-100"}
    sizes = {"features": 10, "train_rows": 100, "identity": "made up"}
    manifest = {
        "name": "run",
        "started": "2026-01-01",
        "comparable": comparable,
        "data": {"horizon_days": 20, "synthetic": True, "resolved_target": "target", **sizes},
        "scoring": {"reference": "baseline", "fnc": "fnc[medium]@target"},
        "splits": {key: [] for key in ("train", "embargo", "val1", "val2")},
        "stages": {"train": {"seconds": 1.0, "peak_bytes": 1}},
        "leak": "",
        **{key: {} for key in ("packages", "machine")},
        **{key: [] for key in ("warnings", "cache_hits", "seeds", "command")},
    }
    (path / "manifest.json").write_text(with_stamp(manifest))
    (path / "report.html").write_text("<!doctype html><title>made up</title>")
    return path
