"""One part of the full-width bench in a process of its own: `python -m tests.bench.wide PART` prints what it took as JSON.

The process stands alone so that its peak memory is that of the part. NLAB_BENCH_SHARE=10 takes a tenth of the eras,
NLAB_BENCH_TREES another number of trees.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from numerai_lab.core.panel import Panel, release_pages
from numerai_lab.core.progress import FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.data.files import Files
from numerai_lab.data.reader import load, outline
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.data.synthetic_files import data_type, files_bytes
from numerai_lab.data.world_size import SIZES
from numerai_lab.fitting.estimate import LIBRARIES_BYTES, Training, ingest_bytes
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.metrics.scoring import Column, Predictions, Scoring, per_era
from numerai_lab.models import MODELS, Model
from numerai_lab.storage.machine import peak_memory
from numerai_lab.storage.scratch import Scratch
from tests.bench.test_umap_full import anonymous, watched

SIZE = SIZES["wide"]
SHARE = int(os.environ.get("NLAB_BENCH_SHARE", "1"))
TREES = int(os.environ.get("NLAB_BENCH_TREES", "200"))
SOURCE = Synthetic(size="wide", feature_set="all")
ERAS = tuple(range(SHARE, SIZE.n_eras + 1, SHARE))
TRAIN = tuple(era for era in ERAS if data_type(SIZE, era) == "train")
SCORED = 20
"""Eras that are scored: each costs the same."""


@dataclass(frozen=True)
class Expected:
    """Bytes that the estimate says: of memory, and of disk where the part writes any."""

    memory_bytes: int
    disk_bytes: int = 0


@dataclass(frozen=True)
class Done:
    """What a part has made: what was expected, what it wrote, and other numbers by name."""

    expected: Expected
    disk_bytes: int = 0
    numbers: Mapping[str, float] = field(default_factory=dict)


def panel_of(eras: tuple[int, ...]) -> Panel:
    """Eras of the wide world; its store is made where it is not there."""
    return load(SOURCE).panel.only(eras)


def decode() -> Done:
    """Merely decodes the features of both tables by pyarrow."""
    import pyarrow.parquet as pq

    names = json.loads((SOURCE.folder / "features.json").read_text())["feature_sets"]["all"]
    start = time.process_time()
    for table in ("train", "validation"):
        for batch in pq.ParquetFile(SOURCE.folder / f"{table}.parquet").iter_batches(10_000, columns=names):
            assert batch.num_rows
    return Done(Expected(0), numbers={"seconds": time.process_time() - start})


def files() -> Done:
    """Makes the files, where they are not there."""
    SOURCE.files()
    return Done(Expected(0, files_bytes(SIZE)), sum(path.stat().st_size for path in SOURCE.folder.iterdir()))


def ingest() -> Done:
    """Makes the store; where it is there, another one that is removed again."""
    there, folder = outline(SOURCE).in_store, SOURCE.folder
    with TemporaryDirectory(dir=os.environ["NLAB_CACHE"]) as work:
        if there:
            os.environ["NLAB_CACHE"] = work
        start, children = time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        panel = load(Files(path=str(folder), feature_set="all") if there else SOURCE).panel
        seconds = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)  # a process of its own decodes large files once before
        seconds += after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
        n_rows, stored = panel.n_rows, panel.features.nbytes
    return Done(Expected(ingest_bytes(n_rows, SIZE.n_features), SIZE.n_cells), stored, {"seconds": seconds})


def train(model: Model) -> Done:
    """Trains a model on the training eras, whose files, if it has any, lie in a folder of this part."""
    panel = panel_of(TRAIN)
    task = Training(model, panel.n_rows, panel.n_raw, 0, max(SIZE.rows))
    written = 0

    def look(*_: object) -> None:
        nonlocal written
        written = max(written, sum(path.stat().st_size for path in scratch.folder.rglob("*") if path.is_file()))

    with TemporaryDirectory(dir=os.environ["NLAB_CACHE"]) as folder:
        scratch = Scratch(Path(folder))
        stream = TrainingStream(panel, ("raw",), panel.raw_names, 0, array_cache=scratch)
        model.fit(stream, np.random.default_rng(0), FitContext(look))
    disk = model.training_disk_bytes(panel.n_rows, panel.n_raw)
    expected = Expected(LIBRARIES_BYTES + model.library_bytes + task.memory_bytes(), disk)
    return Done(expected, written, {"cells": panel.n_rows * panel.n_raw})


def columns(generator: Generator) -> Done:
    """Fits a generator on the training eras and writes its columns of all rows."""
    panel = panel_of(ERAS).without_target()
    start = time.process_time()
    shown = panel.only(TRAIN).for_fitting()
    generator.fit(shown, np.random.default_rng(0))
    fit = time.process_time() - start
    n_bytes = generator.fitting_bytes(shown.n_rows, panel.n_raw)
    shape = (panel.n_rows, len(generator.names_out()))
    with TemporaryDirectory(dir=os.environ["NLAB_CACHE"]) as folder:
        path = Path(folder) / "columns.npy"
        made = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        at = 0
        for block in panel.blocks():
            made[at : at + len(block)] = generator.transform(block)
            release_pages(made)
            at += len(block)
        assert np.isfinite(made[-1000:]).all()
        written = path.stat().st_size
    expected = Expected(LIBRARIES_BYTES + generator.library_bytes + n_bytes, 4 * shape[0] * shape[1])
    return Done(expected, written, {"fit": fit, "a million rows": (time.process_time() - start - fit) * 1e6 / panel.n_rows})


def scoring() -> Done:
    """Scores five variants: corr, FNC of all features, exposures."""
    panel = panel_of(ERAS[-SCORED - 12 : -12])
    rng = np.random.default_rng(0)
    assert panel.target is not None
    values = rng.normal(size=(panel.n_rows, 5)).astype(np.float32)
    rows = np.concatenate([np.arange(panel.rows(era).start, panel.rows(era).stop) for era in panel.eras.tolist()])
    predictions = Predictions(tuple(Column(f"v{i}", 0) for i in range(5)), rows, values)
    eras = tuple(panel.eras.tolist())
    half = len(eras) // 2
    splits = Splits((), (), eras[:half], eras[half:], 0, 0)
    setting = Scoring(reference="v0", fnc_features="all", meta_model=None, benchmark=None, horizon_days=None)
    start = time.process_time()
    table = per_era(panel, predictions, splits, setting)
    assert table["fnc"].is_finite().all()
    return Done(Expected(0), numbers={"seconds an era": (time.process_time() - start) / len(eras)})


PARTS: dict[str, Callable[[], Done]] = {
    "files": files,
    "decode": decode,
    "ingest": ingest,
    "pca": lambda: columns(GENERATORS["pca"]()),
    "factor_analysis": lambda: columns(GENERATORS["factor_analysis"]()),
    "autoencoder": lambda: columns(GENERATORS["autoencoder"]()),
    "umap": lambda: columns(UMAPParametric(n_components=100)),
    "xgboost": lambda: train(MODELS["xgboost"].model_validate({"n_estimators": TREES})),
    "xgboost from disk": lambda: train(MODELS["xgboost"].model_validate({"n_estimators": TREES, "external_memory": True})),
    "lightgbm": lambda: train(MODELS["lightgbm"].model_validate({"n_estimators": TREES})),
    "scoring": scoring,
}


def main(part: str) -> None:
    """Prints what a part took: seconds of CPU, bytes at its peak, and the same without pages of files."""
    held, start = [0], time.process_time()
    with watched(held):
        done = PARTS[part]()
    facts = {
        "cpu": time.process_time() - start,
        "peak": peak_memory(),
        "anonymous": max(*held, anonymous()),
        "disk": done.disk_bytes,
        "expected memory": done.expected.memory_bytes,
        "expected disk": done.expected.disk_bytes,
        **done.numbers,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
