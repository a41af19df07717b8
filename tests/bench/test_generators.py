"""Every generator on 300,000 × 780 random bins in a memory-map: rows a second, peak memory; factor analysis against scikit-learn.

Asked: at most 4 GB beyond the page cache, also on 2.7 million rows; factor analysis 8 × as fast as scikit-learn's at equal
log-likelihood. Each fit in a process of its own, on one thread. Networks learn for 30 steps. Run with `make bench`.
"""

import multiprocessing
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from numerai_lab.core.panel import Panel
from numerai_lab.generators import GENERATORS
from numerai_lab.generators.linear import FactorAnalysis

P, N_ROWS = 780, 5000
FEW, MANY = 60, 540
"""Eras: 300,000 and 2,700,000 rows."""
SMALLER: dict[str, dict[str, Any]] = {"umap": {"landmarks": 2000, "n_epochs": 50}}
HEAVY = [kind for kind, each in GENERATORS.items() if "max_steps" in each.model_fields or kind in ("pca", "factor_analysis")]


@dataclass(frozen=True)
class Measured:
    """Seconds of fit; rows that it read: all, or those of its batches; rows a second of transform; peak bytes of fit."""

    fit: float
    rows: int
    transform: float
    peak: int


def written(folder: Path, n_eras: int) -> Path:
    path = folder / "features.npy"
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(n_eras * N_ROWS, P))
    rng = np.random.default_rng(0)
    for start in range(0, len(features), N_ROWS):
        features[start : start + N_ROWS] = rng.integers(0, 5, (N_ROWS, P), dtype=np.int8)
    features.flush()
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = written(tmp_path_factory.mktemp("few"), FEW)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = written(tmp_path_factory.mktemp("many"), MANY)
    yield path
    path.unlink()


def panel_of(path: Path) -> Panel:
    features = np.load(path, mmap_mode="r")
    n_eras = len(features) // N_ROWS
    starts = np.arange(n_eras) * N_ROWS
    return Panel(
        feature_names=tuple(f"feature_{i}" for i in range(P)),
        features=features,
        n_raw=P,
        top=4.0,
        ids=np.zeros(len(features), "S1"),
        eras=np.arange(1, n_eras + 1, dtype=np.int32),
        bounds=np.column_stack([starts, starts + N_ROWS]),
        data_types=("train",) * n_eras,
        target=np.random.default_rng(1).choice(np.float32([0, 0.25, 0.5, 0.75, 1]), len(features)),
        feature_sets={"all": np.arange(P), **{f"group{i}": np.arange(i, P, 8) for i in range(8)}},
    )


def anonymous() -> int:
    """Bytes of this process that are not pages of files."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def measure(kind: str, path: Path) -> Measured:
    """In a fresh process: fit on all of the panel, transform of one era."""
    warnings.simplefilter("ignore")
    trained = "max_steps" in GENERATORS[kind].model_fields
    parameters = SMALLER.get(kind, {}) | ({"max_steps": 30, "evaluate_every": 30, "device": "cpu"} if trained else {})
    generator = GENERATORS[kind].model_validate(parameters)
    panel = panel_of(path)
    panel = panel if generator.uses_labels else panel.without_target()
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous())

    if trained:
        import torch

        torch.set_num_threads(1)
    with threadpool_limits(1):
        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        fitted = generator.fit(panel, np.random.default_rng(0))
        took = time.perf_counter() - start
        done.set()
        watcher.join()
        block = panel.block(30)
        if kind in SMALLER:
            block = block.take(np.arange(N_ROWS) < 500)
        fitted.transform(block)
        start = time.perf_counter()
        fitted.transform(block)
        rate = len(block) / (time.perf_counter() - start)
    rows = 30 * generator.model_dump()["batch_size"] if trained else panel.n_rows
    return Measured(took, rows, rate, max(peak[0], anonymous()))


def measured(kind: str, path: Path) -> Measured:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(measure, kind, path).result()
    print(
        f"\n{kind}: fit {found.fit:.1f} s, {found.rows:,} rows, {found.rows / found.fit:,.0f} a second; "
        f"transform {found.transform:,.0f} rows/s; peak {found.peak / 1e9:.2f} GB beyond the page cache"
    )
    return found


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_generator_fits_300_000_rows_within_4_gb(few: Path, kind: str) -> None:
    assert measured(kind, few).peak <= 4e9


@pytest.mark.parametrize("kind", HEAVY)
def test_what_sees_every_row_fits_2_700_000_of_them_within_4_gb(many: Path, kind: str) -> None:
    assert measured(kind, many).peak <= 4e9


def log_likelihood(S: np.ndarray, covariance: np.ndarray) -> float:
    """Of a row, on average, under a normal distribution with this covariance."""
    return float(
        -0.5 * (len(S) * np.log(2 * np.pi) + np.linalg.slogdet(covariance)[1] + np.trace(np.linalg.solve(covariance, S)))
    )


def test_factor_analysis_is_eight_times_as_fast_as_scikit_learns_at_equal_log_likelihood() -> None:
    from sklearn.decomposition import FactorAnalysis as Theirs

    rng = np.random.default_rng(0)
    n, p, k = 60_000, 300, 10
    x = rng.normal(size=(n, k)) @ rng.normal(size=(k, p)) + rng.normal(size=(n, p)) * rng.uniform(0.5, 2, p)
    bins = np.clip(np.floor((x / x.std(0)) * 1.2 + 2.5), 0, 4).astype(np.int8)
    panel = Panel(
        feature_names=tuple(map(str, range(p))),
        features=bins,
        n_raw=p,
        top=4.0,
        ids=np.zeros(n, "S1"),
        eras=np.arange(1, 13, dtype=np.int32),
        bounds=np.column_stack([np.arange(12) * 5000, np.arange(1, 13) * 5000]),
        data_types=("train",) * 12,
        target=None,
    )
    with threadpool_limits(1):
        start = time.perf_counter()
        ours = FactorAnalysis(n_components=k, unusual=False).fit(panel, np.random.default_rng(0))
        took = time.perf_counter() - start
        unit = bins / 4 - 0.5
        start = time.perf_counter()
        theirs = Theirs(k, tol=1e-3, max_iter=2000).fit(unit)
        their_time = time.perf_counter() - start
    S = np.cov(unit, rowvar=False, bias=True)
    mine = log_likelihood(S, ours.loadings_ @ ours.loadings_.T + np.diag(ours.noise_variance_))
    other = log_likelihood(S, theirs.components_.T @ theirs.components_ + np.diag(theirs.noise_variance_))
    print(f"\nours {took:.2f} s, {mine:.8f} a row; scikit-learn {their_time:.2f} s, {other:.8f}; ratio {their_time / took:.1f}")
    assert abs(mine - other) <= 1e-6 * abs(other)
    assert their_time >= 8 * took
