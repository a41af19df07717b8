"""`mlp` with its defaults on as many rows as the tournament's training eras: 574 × 4,700 rows × 780 random bins in a memory-map.

Asked: six epochs of 1024-512-256 within 40 minutes and 4 GB beyond the page cache on two cores. Run with `make bench-full-mlp`,
on a machine with nothing else to do; it takes 2.1 GB of disk. NLAB_BENCH_SHARE=50 trains on every 50th era, and says what all of
them would take.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import MLP
from tests.bench.test_umap_full import anonymous, watched
from tests.conftest import make_panel

N_ERAS, N_ROWS, P = 574, 4700, 780
SHARE = int(os.environ.get("NLAB_BENCH_SHARE", "1"))


@pytest.fixture
def panel(tmp_path: Path) -> Panel:
    n_eras, path = N_ERAS // SHARE, tmp_path / "features.npy"
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(n_eras * N_ROWS, P))
    rng = np.random.default_rng(0)
    for start in range(0, len(features), N_ROWS):
        features[start : start + N_ROWS] = rng.integers(0, 5, (N_ROWS, P), dtype=np.int8)
    features.flush()
    starts = np.arange(n_eras) * N_ROWS
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], len(features), p=[0.05, 0.2, 0.5, 0.2, 0.05]).astype(np.float32)
    return replace(
        make_panel(n_eras, 2),
        feature_names=tuple(f"feature_{i}" for i in range(P)),
        features=np.load(path, mmap_mode="r"),
        n_raw=P,
        bounds=np.column_stack([starts, starts + N_ROWS]),
        target=target,
    )


def test_six_epochs_take_forty_minutes_and_four_gigabytes_at_most(panel: Panel) -> None:
    peaks, start = [anonymous()], time.perf_counter()
    with watched(peaks):
        model = MLP(device="cpu").fit(TrainingStream(panel, ("raw",), panel.raw_names, 0), np.random.default_rng(0))
    minutes = (time.perf_counter() - start) / 60 * N_ERAS / len(panel.eras)
    beyond = max(peaks) / 1e9  # of the whole process, libraries included
    print(
        f"\n{panel.n_rows:,} rows × {P}, {model.epochs} epochs, {torch.get_num_threads()} threads: {beyond:.2f} GB beyond the "
        f"page cache; {N_ERAS * N_ROWS:,} rows take {minutes:.0f} minutes"
    )
    assert minutes <= 40
    assert beyond <= 4
