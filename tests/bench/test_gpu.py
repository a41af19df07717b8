"""Neural generators on 300,000 × 780 random bins: a GPU beside the CPU. Skipped where there is none. Run with `make bench`.

A step is drawn from the memory-map, learned from, and judged every hundred; the GPU's is of mixed precision. The CPU has one
thread.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from numerai_lab.core.panel import Panel
from numerai_lab.generators import GENERATORS
from tests.bench.test_generators import P, panel_of, written

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

FEW, MANY = 30, 130


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    path: Path = written(tmp_path_factory.mktemp("bins"), 60)
    yield panel_of(path)
    path.unlink()


@pytest.mark.parametrize("kind", ["autoencoder", "contrastive", "era_autoencoder", "supervised_autoencoder", "siamese"])
def test_a_gpu_is_no_slower(panel: Panel, kind: str) -> None:
    measured: dict[str, tuple[float, float]] = {}
    panel.features.max()  # reads the file into the page cache, or the first of both would pay for that
    for device in ("cpu", "cuda"):
        seconds = []
        for steps in (FEW, MANY):
            model = GENERATORS[kind].model_validate({"max_steps": steps, "device": device, "patience": 100})
            shown = panel if model.uses_labels else replace(panel, target=None)
            start = time.perf_counter()
            fitted = model.fit(shown, np.random.default_rng(0))
            seconds.append(time.perf_counter() - start)
        fitted.transform(panel.block(30))
        start = time.perf_counter()
        fitted.transform(panel.block(30))
        measured[device] = ((seconds[1] - seconds[0]) / (MANY - FEW), len(panel.block(30)) / (time.perf_counter() - start))
        step, rate = measured[device]
        print(f"\n{kind} on {device}, {P} features: {step * 1e3:.2f} ms a step, transform {rate:,.0f} rows a second")
    assert measured["cuda"][0] <= 1.2 * measured["cpu"][0]
    assert measured["cuda"][1] >= measured["cpu"][1] / 1.2
