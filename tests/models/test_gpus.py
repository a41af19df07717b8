"""Where models run: what a pretended GPU changes in choices, estimates and refusals. No GPU is needed."""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from numerai_lab.core import gpus as probing
from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.gpus import Gpu
from numerai_lab.core.splits import Splits
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting import plan, room
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.room import refuse_too_much
from numerai_lab.models import LightGBM, XGBoost, boosting, lightgbm
from numerai_lab.neural import settings
from numerai_lab.storage.folders import cache_dir
from tests.conftest import component, make_config, make_panel, quick

CARD = Gpu("Pretended 4000", 2_000_000_000)
SPLITS = Splits(tuple(range(1, 101)), (), tuple(range(101, 111)), (), 0, 0)


class Driver:
    """What NVIDIA's driver answers on a machine with two cards."""

    def cuInit(self, flags: int) -> int:
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 2
        return 0

    def cuDeviceGet(self, device: Any, number: int) -> int:
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name: Any, length: int, device: Any) -> int:
        name.value = f"Card {device.value}".encode()
        return 0

    def cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> int:
        memory._obj.value = 10**9 * (1 + device.value)
        return 0


@pytest.fixture(autouse=True)
def probed_anew() -> Iterator[None]:
    caches = (probing.gpus, boosting.has_cuda, lightgbm.gpu_type)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


def with_card(patch: pytest.MonkeyPatch, *cards: Gpu) -> None:
    for module in (boosting, lightgbm, settings, plan, room):
        patch.setattr(module, "gpus", lambda: cards)


def task(**model: Any) -> EstimateInputs:
    config = make_config(data={"source": "synthetic", "feature_set": "medium"}, model=model, variants={"baseline": {}})
    return EstimateInputs(FitPlan.of(config, SPLITS), dict.fromkeys(range(1, 111), 50_000), 780)


def test_the_driver_names_the_cards_and_no_driver_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert probing.gpus() == (Gpu("Card 0", 10**9), Gpu("Card 1", 2 * 10**9))
    probing.gpus.cache_clear()

    def missing(name: str) -> Driver:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert probing.gpus() == ()


@pytest.mark.parametrize(("cards", "built", "device"), [((CARD,), True, "cuda"), ((CARD,), False, "cpu"), ((), True, "cpu")])
def test_auto_is_cuda_where_xgboost_is_built_for_it_and_there_is_a_card(
    monkeypatch: pytest.MonkeyPatch, cards: tuple[Gpu, ...], built: bool, device: str
) -> None:
    import xgboost

    with_card(monkeypatch, *cards)
    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": built})
    chosen: list[str] = []
    plain = xgboost.Booster

    def on_cpu(parameters: Any = None, *rest: Any) -> Any:
        if parameters:
            chosen.append(parameters["device"])
        return plain({**(parameters or {}), "device": "cpu"}, *rest)

    monkeypatch.setattr(xgboost, "Booster", on_cpu)
    panel = make_panel()
    XGBoost(n_estimators=2, device="auto", n_jobs=1).fit(
        TrainingStream(panel.only(range(1, 11)), ("raw",), panel.raw_names, 0), np.random.default_rng(0)
    )
    assert {*chosen} == {device}
    config = make_config(model={"kind": "xgboost", "device": "auto"})
    assert config.resolved()["model"]["device"] == "auto"


def test_lightgbm_says_that_it_can_use_no_gpu_and_auto_gives_the_trees_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import lightgbm as library

    def refused(*arguments: object) -> None:
        raise library.basic.LightGBMError("CUDA Tree Learner was not enabled in this build.")

    panel = make_panel()
    stream = TrainingStream(panel.only(range(1, 11)), ("raw",), panel.raw_names, 0)
    with monkeypatch.context() as patch:
        patch.setattr(library, "train", refused)
        assert LightGBM(device="gpu").refusal(panel).startswith("device: gpu: LightGBM can use no GPU here")
        with_card(patch, CARD)
        assert not LightGBM(device="auto").uses_gpu
    saved = [component("lightgbm", device=device).fit(stream, np.random.default_rng(0)).saved() for device in ("cpu", "auto")]
    assert saved[0] == saved[1]


def test_lightgbm_on_a_gpu_is_asked_for_the_kind_that_its_build_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import lightgbm as library

    asked: list[dict[str, Any]] = []
    plain = library.train

    def on_cpu(parameters: dict[str, Any], data: Any, *rest: Any, **further: Any) -> Any:
        asked.append(parameters)
        return plain({**parameters, "device_type": "cpu"}, data, *rest, **further)

    with_card(monkeypatch, CARD)
    monkeypatch.setattr(lightgbm, "gpu_type", lambda: "gpu")
    monkeypatch.setattr(library, "train", on_cpu)
    panel = make_panel()
    component("lightgbm", device="auto").fit(
        TrainingStream(panel.only(range(1, 11)), ("raw",), panel.raw_names, 0), np.random.default_rng(0)
    )
    assert [parameters["device_type"] for parameters in asked] == ["gpu"]
    assert "force_row_wise" not in asked[0]


def test_memory_of_the_card_is_estimated_where_a_model_runs_on_it_and_too_little_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import xgboost

    monkeypatch.setattr(xgboost, "build_info", lambda: {"USE_CUDA": True})
    assert need(task(kind="xgboost", device="auto")).gpu_bytes == 0
    boosting.has_cuda.cache_clear()
    with_card(monkeypatch, CARD)
    assert need(task(kind="xgboost")).gpu_bytes == 0
    on_card = task(kind="xgboost", device="auto")
    assert need(on_card).gpu_bytes == XGBoost().training_bytes(5_000_000, 780) == 8_000_000_000
    message = "about 8.0 GB of GPU memory needed, Pretended 4000 has 2.0 GB\n    would fit: device: cpu"
    with pytest.raises(NlabError, match=message):
        refuse_too_much(on_card, cache_dir(), memory=10**12)
    config = make_config(model={**quick("xgboost"), "device": "auto"}, variants={"baseline": {}})
    planned = plan.plan(config)
    assert planned.gpu_bytes == 4800 * (2 * 60 + 40)
    assert f"gpu      about {human_bytes(768_000)} of {CARD.name}, 2.0 GB (estimate)" in planned.lines()
    assert planned.as_dict()["gpu"] == f"{CARD.name}, 2.0 GB"
    assert not [line for line in plan.plan(make_config(model=quick("xgboost"))).lines() if line.startswith("gpu")]


def test_networks_on_a_card_count_where_torch_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    with_card(monkeypatch, CARD)
    assert need(task(**quick("mlp"))).gpu_bytes == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert need(task(**quick("mlp"))).gpu_bytes > 1000
    assert need(task(**quick("mlp"), device="cpu")).gpu_bytes == 0
