"""Scoring against numerai-tools, and 600 large eras from disk. Run with `make bench`.

Asked on 40 eras × 5,000 rows × 780 features, where the processor has products of integers and torch is loaded, as it is
for whole tournaments: corr, FNC, max exposure and MMC at least 80 × faster than numerai-tools for one prediction column
and 300 × for ten, in CPU seconds of one process with one thread each; without them 30 × and 100 ×. 600 eras × 6,000 ×
780 × 5 variants from a memory-map in less than 3 minutes, with at most 1 GB of memory beside the store.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numerai_tools import scoring as peer
from threadpoolctl import threadpool_info, threadpool_limits

from numerai_lab.core.integer_products import integers_are_faster, prepare
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.metrics.scoring import Column, Predictions, Scoring, per_era

N_FEATURES = 780
PEER_ERAS = {1: 4, 10: 1}
"""Eras that numerai-tools scores, by number of columns: 40 would take it minutes, with ten columns half an hour."""
SETTING = Scoring(reference="v0", fnc_features="all", meta_model="meta", benchmark=None, horizon_days=None)


def tournament(n_eras: int, n_rows: int, n_columns: int, features: np.ndarray) -> tuple[Panel, Predictions, Splits]:
    """Random targets, meta model and predictions beside the given features."""
    rng = np.random.default_rng(1)
    n = n_eras * n_rows
    starts = np.arange(n_eras) * n_rows
    panel = Panel(
        feature_names=tuple(f"feature_{i}" for i in range(N_FEATURES)),
        features=features,
        n_raw=N_FEATURES,
        top=4.0,
        ids=np.array([b"id"]),
        eras=np.arange(1, n_eras + 1, dtype=np.int32),
        bounds=np.column_stack([starts, starts + n_rows]),
        data_types=("validation",) * n_eras,
        target=rng.choice([0, 0.25, 0.5, 0.75, 1], n, p=[0.05, 0.2, 0.5, 0.2, 0.05]).astype(np.float32),
        extras={"meta": rng.uniform(size=n).astype(np.float32)},
        feature_sets={"all": np.arange(N_FEATURES)},
    )
    columns = tuple(Column(f"v{i}", 0) for i in range(n_columns))
    values = rng.normal(size=(n, n_columns), scale=2).astype(np.float32)
    for start in range(0, n, n_rows):  # some exposure to the first features
        values[start : start + n_rows] += features[start : start + n_rows, :n_columns]
    eras = tuple(range(1, n_eras + 1))
    half = n_eras // 2
    splits = Splits(train=(), embargo=(), val1=eras[:half], val2=eras[half:], embargo_eras=0, required_eras=0)
    return panel, Predictions(columns, np.arange(n), values), splits


def frame_of(panel: Panel, predictions: Predictions, n_eras: int) -> pd.DataFrame:
    """The first eras as users of numerai-tools hold them: int8 features, era, target, meta model, predictions."""
    n = int(panel.bounds[n_eras - 1, 1])
    assert panel.target is not None
    frame = pd.DataFrame(panel.features[:n], columns=list(panel.feature_names), index=[f"n{i:07d}" for i in range(n)])
    frame["era"] = np.repeat(panel.eras[:n_eras], np.diff(panel.bounds[:n_eras])[:, 0])
    frame["target"], frame["meta"] = panel.target[:n].astype(float), panel.extras["meta"][:n].astype(float)
    return frame.assign(**{c.variant: predictions.values[:n, i].astype(float) for i, c in enumerate(predictions.columns)})


def by_numerai_tools(frame: pd.DataFrame, features: list[str], column: str) -> pd.DataFrame:
    """A row an era."""

    def of_era(rows: pd.DataFrame) -> pd.Series:
        prediction = rows[[column]]
        return pd.Series(
            {
                "corr": peer.numerai_corr(prediction, rows["target"])[column],
                "fnc": peer.feature_neutral_corr(prediction, rows[features], rows["target"])[column],
                "max_feature_exposure": peer.max_feature_correlation(rows[column], rows[features])[1],
                "mmc": peer.correlation_contribution(prediction, rows["meta"], rows["target"])[column],
            }
        )

    return frame.groupby("era").apply(of_era)


def anonymous_bytes() -> int:
    """Memory of this process that is no file's: RssAnon, as the Linux kernel counts it."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds, CPU seconds, and the peak of anonymous memory, read every 10 ms: its rise, and all of the process."""
    found: dict[str, float] = {}
    done = threading.Event()
    before = peak = anonymous_bytes()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        yield found
    finally:
        found["cpu"] = time.process_time() - cpu
        found["seconds"] = time.perf_counter() - start
        done.set()
        watcher.join()
        found["rise"], found["peak"] = peak - before, peak


def product_and_kernels() -> str:
    """Which product the Gram matrices take, and the kernels of numpy's and scipy's BLAS."""
    kernels = {str(library.get("architecture")) for library in threadpool_info() if library["user_api"] == "blas"}
    return f"{'integer' if integers_are_faster() else 'float32'} products, BLAS kernels {', '.join(sorted(kernels))}"


def peer_seconds(frame: pd.DataFrame, predictions: Predictions, n_eras: int) -> tuple[float, list[pd.DataFrame]]:
    """CPU seconds an era of numerai-tools, called once a column; its scores."""
    names = [name for name in frame if name.startswith("feature_")]
    with measured() as found:
        scores = [by_numerai_tools(frame, names, column.variant) for column in predictions.columns]
    print(
        f"  numerai-tools: {found['cpu'] / n_eras:.2f} CPU s an era ({n_eras} measured), "
        f"anonymous memory rose by {found['rise'] / 1e6:.0f} MB"
    )
    return found["cpu"] / n_eras, scores


@pytest.mark.parametrize(("n_columns", "asked", "asked_of_floats"), [(1, 80, 30), (10, 300, 100)])
def test_forty_eras_are_scored_at_least_that_many_times_faster_than_by_numerai_tools(
    n_columns: int, asked: int, asked_of_floats: int
) -> None:
    prepare(np.inf)
    features = np.random.default_rng(0).integers(0, 5, (40 * 5000, N_FEATURES), dtype=np.int8)
    panel, predictions, splits = tournament(40, 5000, n_columns, features)
    n_eras = PEER_ERAS[n_columns]
    asked = asked if integers_are_faster() else asked_of_floats
    with threadpool_limits(1):
        runs = []
        for _ in range(3):
            with measured() as ours:
                table = per_era(panel, predictions, splits, SETTING)
            runs.append(ours["cpu"])
        print(
            f"\n{n_columns} column(s), 40 eras × 5,000 × {N_FEATURES}, one thread each, {product_and_kernels()}: ours "
            f"{min(runs) / 40 * 1000:.1f} CPU ms an era, the best of {', '.join(f'{run / 40 * 1000:.1f}' for run in runs)}; "
            f"anonymous memory rose by {ours['rise'] / 1e6:.0f} MB"
        )
        theirs, wanted = peer_seconds(frame_of(panel, predictions, n_eras), predictions, n_eras)
    ratio = theirs * 40 / min(runs)
    print(f"  ratio {ratio:.0f}, asked {asked}")
    for name, bound in (("corr", 1e-9), ("fnc", 1e-5), ("max_feature_exposure", 1e-5), ("mmc", 1e-9)):
        scores = [table.filter(pl.col("variant") == c.variant)[name].to_numpy()[:n_eras] for c in predictions.columns]
        difference = max(np.abs(a - b[name].to_numpy()).max() for a, b in zip(scores, wanted, strict=True))
        print(f"  largest difference in {name}: {difference:.1e}, asked {bound:.0e}")
        assert difference <= bound
    assert ratio >= asked


def test_600_large_eras_with_five_variants_stream_from_disk_within_three_minutes_and_a_gigabyte(tmp_path: Path) -> None:
    n_eras, n_rows = 600, 6000
    path = tmp_path / "features.npy"
    store = np.lib.format.open_memmap(path, "w+", np.int8, (n_eras * n_rows, N_FEATURES))
    rng = np.random.default_rng(0)
    try:
        for start in range(0, len(store), n_rows):
            store[start : start + n_rows] = rng.integers(0, 5, (n_rows, N_FEATURES), dtype=np.int8)
        store.flush()
        panel, predictions, splits = tournament(n_eras, n_rows, 5, np.load(path, mmap_mode="r"))
        panel.release()
        prepare(np.inf)
        with measured() as found:
            table = per_era(panel, predictions, splits, SETTING)
        print(
            f"\n600 eras × 6,000 × {N_FEATURES} × 5 variants from a memory-map of {store.nbytes / 1e9:.1f} GB, "
            f"{product_and_kernels()}: {found['seconds']:.0f} s, asked 180\n"
            f"  anonymous memory (RssAnon read every 10 ms; mapped pages of the store not counted): whole process "
            f"{found['peak'] / 1e6:.0f} MB at its peak, asked 1,000; {found['rise'] / 1e6:.0f} MB of it rose while scoring"
        )
        assert len(table) == n_eras * 5
        assert table["fnc"].is_finite().all()
        assert found["peak"] <= 1e9
        assert found["seconds"] <= 180
    finally:
        path.unlink()
