"""Networks, trees and diffusion on random bins: a GPU beside the CPU. Skipped where there is none. Run with `make bench`.

A step is drawn from the memory-map, learned from, and judged every hundred; the GPU's is of mixed precision. The CPU has one
thread.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS, Model
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


def fitted_on(device: str, model: Model, shown: Panel) -> tuple[Model, float]:
    """The model, trained on raw features, and the seconds that it took."""
    on_device = model.model_copy(update={"device": device})
    start = time.perf_counter()
    fitted = on_device.fit(TrainingStream(shown, ("raw",), shown.raw_names, 0), np.random.default_rng(0))
    return fitted, time.perf_counter() - start


@pytest.mark.parametrize(
    ("kind", "parameters", "gpu"),
    [
        ("xgboost", {"n_estimators": 100, "learning_rate": 0.1}, "cuda"),
        ("lightgbm", {"n_estimators": 100, "learning_rate": 0.1}, "gpu"),
        ("mlp", {"epochs": 2}, "cuda"),
        ("tabm", {"epochs": 2}, "cuda"),
    ],
)
def test_models_on_a_gpu_predict_as_on_the_cpu_and_need_no_more_of_it_than_estimated(
    panel: Panel, kind: str, parameters: dict[str, Any], gpu: str
) -> None:
    signal = panel.features[:, :5].astype(np.float32).sum(1) / 20
    noise = np.random.default_rng(1).normal(size=len(signal)).astype(np.float32)
    shown = replace(panel, target=np.clip(signal + 0.3 * noise, 0, 1), auxiliary={}).only(panel.eras[:-1].tolist())
    model = MODELS[kind].model_validate(parameters)
    if message := model.model_copy(update={"device": gpu}).refusal(shown):
        pytest.skip(message)
    before, _ = torch.cuda.mem_get_info()
    torch.cuda.reset_peak_memory_stats()
    on_cpu, cpu_seconds = fitted_on("cpu", model, shown)
    on_gpu, gpu_seconds = fitted_on(gpu, model, shown)
    again, _ = fitted_on(gpu, model, shown)
    X = panel.block(int(panel.eras[-1])).matrix(["raw"])
    corr = float(np.corrcoef(on_cpu.predict(X), on_gpu.predict(X))[0, 1])
    peak = torch.cuda.max_memory_allocated() or before - torch.cuda.mem_get_info()[0]
    estimate = model.training_bytes(shown.n_rows, P)
    print(
        f"\n{torch.cuda.get_device_name()}, {kind}: {cpu_seconds:.1f} s on a CPU thread, {gpu_seconds:.1f} s on {gpu}; "
        f"predictions correlate {corr:.4f}; the same bytes again: {on_gpu.saved() == again.saved()}; "
        f"{peak / 1e9:.2f} GB of the card, {estimate / 1e9:.2f} estimated"
    )
    assert corr > 0.95
    assert peak <= 1.3 * estimate + 0.5e9


def test_sets_that_are_sampled_together_are_those_that_are_sampled_alone(panel: Panel) -> None:
    from numerai_lab.augmenters import diffusion

    shown = replace(panel, target=panel.features[:, 0].astype(np.float32) / 4, auxiliary={}).only(panel.eras[:20].tolist())
    parameters = {"structure": "set", "max_steps": 200, "device": "cuda", "patience": 100}
    fitted = AUGMENTERS["diffusion"].model_validate(parameters).fit(shown, np.random.default_rng(0))
    seconds, rows = {}, {}
    for together in (1, 256):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(diffusion, "most_rows", lambda device, sets=together: sets * 64)
            fitted.invent(0, 640, np.random.default_rng(1))
            start = time.perf_counter()
            rows[together] = fitted.invent(0, 5000, np.random.default_rng(1)).features
            seconds[together] = time.perf_counter() - start
    same = float((rows[1] == rows[256]).mean())
    print(f"\ndiffusion, 5,000 rows: {seconds[1]:.2f} s set by set, {seconds[256]:.2f} s together; {same:.4f} of cells equal")
    assert same > 0.99
