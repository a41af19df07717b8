"""Parametric UMAP on the synthetic tournament at its full size: 6.9 million rows × 780 to 100 columns, and shares of it.

Asked: from store to columns in under 10 minutes with under 4 GB beyond the page cache, on 2 cores. The data is made first unless
it lies in the cache folder that NLAB_BENCH_CACHE names: minutes and 11 GB. Run with `make bench-umap-full`, on a machine with
nothing else to do.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
import pytest
import torch

from numerai_lab.core.panel import Panel, release_pages
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.generators.umap_parametric import UMAPParametric

D = 100


@pytest.fixture(scope="module")
def panel() -> Panel:
    with pytest.MonkeyPatch.context() as patch:
        if "NLAB_BENCH_CACHE" in os.environ:
            patch.setenv("NLAB_CACHE", os.environ["NLAB_BENCH_CACHE"])
        return load(Synthetic(size="full", feature_set="medium", target="target")).panel.without_target()


@pytest.mark.parametrize("n_rows", [300_000, 1_000_000, 3_000_000, 6_900_000])
def test_the_whole_tournament_in_ten_minutes_and_four_gigabytes(panel: Panel, tmp_path: Path, n_rows: int) -> None:
    counts = panel.bounds[:, 1] - panel.bounds[:, 0]
    some = panel.only(panel.eras[-int(np.searchsorted(np.cumsum(counts[::-1]), n_rows)) - 1 :].tolist())
    peaks, start = [0], time.perf_counter()
    generator = UMAPParametric(n_components=D)
    learned = some.only(some.eras[: max(1, int(0.465 * len(some.eras)))].tolist())
    with watched(peaks):
        generator.fit(learned, np.random.default_rng(0))
    fitted = time.perf_counter()
    path = tmp_path / "columns.npy"
    columns = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(some.n_rows, D))
    at = 0
    for block in some.blocks():
        columns[at : at + len(block)] = generator.transform(block)
        release_pages(columns)
        at += len(block)
        peaks.append(anonymous())
    columns.flush()
    done = time.perf_counter()
    beyond = max(peaks) / 1e9  # of the whole process, libraries included
    print(
        f"\n{some.n_rows:,} rows × {some.n_raw} → {D} columns: {done - start:.0f} s (fit {fitted - start:.0f}, columns "
        f"{done - fitted:.0f}), {beyond:.2f} GB beyond the page cache, {torch.get_num_threads()} threads"
    )
    path.unlink()
    assert np.isfinite(columns[-1000:]).all()
    assert done - start < 600
    assert beyond < 4


@contextmanager
def watched(peaks: list[int]) -> Iterator[None]:
    """Adds what the process holds, ten times a second."""
    over = Event()

    def watch() -> None:
        while not over.wait(0.1):
            peaks.append(anonymous())

    thread = Thread(target=watch)
    thread.start()
    yield
    over.set()
    thread.join()


def anonymous() -> int:
    """Bytes of this process that are not pages of files."""
    info = psutil.Process().memory_info()
    return int(info.rss - info.shared)
