"""The same config, trained again under other seeds by real runs, on worlds whose truth is known.

`python -m tests.simulate.retrained FOLDER [WORLDS]` writes a per-era table a world into FOLDER; those that are there are kept.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from numerai_lab.config.loading import parse_config
from numerai_lab.experiment import RunOptions, run
from numerai_lab.metrics.changes import pairs_against, series_of
from numerai_lab.report.progress import Lines

TRAIN_ERAS, SCORED_ERAS, ROWS, FEATURES = 300, 536, 60, 30
"""18,000 training rows; 528 eras are scored, for the embargo takes 8."""
WORLDS, RUNS, SEEDS = 20, 5, 3
"""Runs of the same config in each world: 10 pairs of them; seeds in each run."""


def world(path: Path, seed: int) -> None:
    """A parquet of binned features and a target: weak effects of features that drift from era to era, and noise."""
    rng = np.random.default_rng(seed)
    n_eras = TRAIN_ERAS + SCORED_ERAS
    lasting, shocks = rng.normal(0, 0.03, FEATURES), rng.normal(0, 0.1, (n_eras + 3, FEATURES))
    passing = np.stack([shocks[i : i + 4].mean(0) for i in range(n_eras)])  # targets of neighbouring eras overlap
    bins = rng.integers(0, 5, (n_eras, ROWS, FEATURES), dtype=np.int8)
    centred = (bins - 2) / np.sqrt(2)
    pairs = centred[:, :, ::2] * centred[:, :, 1::2]
    signal = np.einsum("erf,ef->er", centred, lasting + passing) + 0.04 * pairs.sum(2) / 2
    raw = signal + rng.normal(size=signal.shape)
    ranks = raw.argsort(1).argsort(1) / (ROWS - 1)
    frame = {
        "id": [f"n{i:08d}" for i in range(n_eras * ROWS)],
        "era": np.repeat([f"{era:04d}" for era in range(1, n_eras + 1)], ROWS),
        "data_type": ["train"] * (TRAIN_ERAS * ROWS) + ["validation"] * (SCORED_ERAS * ROWS),
        **{f"feature_{i:02d}": bins[:, :, i].ravel() for i in range(FEATURES)},
        "target": np.round(ranks * 4).ravel() / 4,
    }
    pl.DataFrame(frame).write_parquet(path)


def per_era(folder: Path, number: int) -> pl.DataFrame:
    """Scores of every run of a world: run, seed, era, corr."""
    kept = folder / f"world-{number:02d}.parquet"
    if not kept.is_file():
        data = folder / f"data-{number:02d}.parquet"
        world(data, number)
        tables = []
        for i in range(RUNS):
            raw = {
                "name": "again",
                "seeds": [100 * i + seed for seed in range(SEEDS)],
                "data": {"source": "files", "path": str(data), "feature_set": "all", "horizon_days": 20},
                "splits": {"train": f"1-{TRAIN_ERAS}"},
                "model": {"kind": "xgboost", "n_estimators": 60, "learning_rate": 0.05, "max_depth": 4, "n_jobs": 1},
                "variants": {"baseline": {}},
            }
            done = run(parse_config(raw, "again"), folder / f"runs-{number:02d}", Lines(), options=RunOptions(cached=False))
            tables.append(done.per_era.select(pl.lit(i).alias("run"), "seed", "era", "corr"))
        pl.concat(tables).write_parquet(kept)
        data.unlink()
    return pl.read_parquet(kept)


def called_different(table: pl.DataFrame, seeds: int = SEEDS) -> list[tuple[bool, bool]]:
    """For each pair of runs of a world: whether they are called different, and whether era noise alone would call them so."""
    eras = table["era"].unique().sort().to_list()
    members = {}
    for i in range(RUNS):
        members[i] = {"corr": series_of(table.filter(run=i), eras, ["corr"])["corr"][:seeds]}
    averaged = {i: {name: scores.mean(0, keepdims=True) for name, scores in own.items()} for i, own in members.items()}
    found = []
    for one, other in combinations(range(RUNS), 2):
        p = [
            float(str(pairs_against(m, {one: other}, 4, statistics=[("corr", "mean")])[one]["delta_corr_mean_p_adjusted"]))
            for m in (members, averaged)
        ]
        found.append((p[0] < 0.05, p[1] < 0.05))
    return found


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    for number in range(int(sys.argv[2]) if len(sys.argv) > 2 else WORLDS):
        table = per_era(where, number)
        pairs = called_different(table)
        own = table.group_by("run", "seed").agg(pl.col("corr").mean())
        spread = own.group_by("run").agg(pl.col("corr").var()).select(pl.col("corr").mean().sqrt()).item()
        print(
            f"world {number}: corr {own['corr'].mean():.4f}, between seeds ±{spread:.5f}; {sum(a for a, _ in pairs)} of "
            f"{len(pairs)} pairs called different, {sum(b for _, b in pairs)} by era noise alone",
            flush=True,
        )
