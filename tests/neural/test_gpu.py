"""What networks promise on a GPU. Skipped where there is none; the other tests of networks run on it too where there is one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.generators import GENERATORS
from numerai_lab.neural.neighbours import nearest
from numerai_lab.storage.machine import used_gpu
from tests.conftest import QUICK, component, make_panel

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

WAYS: dict[str, dict[str, Any]] = {
    **{kind: {} for kind, each in (GENERATORS | AUGMENTERS).items() if "max_steps" in each.model_fields},
    **{f"contrastive {method}": {"method": method} for method in ("vime", "subtab", "vicreg", "barlow", "simsiam", "switchtab")},
    **{f"contrastive {method}": {"method": method} for method in ("lfr", "era")},
    "autoencoder masked": {"objective": "masked"},
    "diffusion set": {"structure": "set", "condition": "era"},
    "umap parametric": {},
    "umap placed": {"mode": "placed"},
}

ways = pytest.mark.parametrize("way", WAYS)


class Killed(Exception):
    """Stands for the end of a process."""


def template(way: str, device: str = "cuda") -> Any:
    kind = way.split()[0]
    return component(kind, **WAYS[way], device=device)


def shown(way: str) -> Panel:
    panel = make_panel().only(range(1, 16))
    return panel if isinstance(template(way), tuple(AUGMENTERS.values())) or template(way).uses_labels else panel.without_target()


def assert_same(one: Component, other: Component) -> None:
    assert one.state().keys() == other.state().keys()
    for name, value in one.state().items():
        np.testing.assert_array_equal(other.state()[name], value, err_msg=name)


@ways
def test_the_same_seed_gives_the_same_bytes_and_so_does_a_fit_that_was_killed(way: str) -> None:
    panel = shown(way)
    one, again = (template(way).fit(panel, np.random.default_rng(0)) for _ in range(2))
    assert_same(one, again)
    assert used_gpu()
    if way == "umap placed":
        return  # nothing is trained
    array_cache: list[bytes] = []

    def keep(arrays: Mapping[str, Array]) -> None:
        array_cache.append(arrays_to_bytes(arrays))
        if len(array_cache) == 1:
            raise Killed

    with pytest.raises(Killed):
        template(way).fit(panel, np.random.default_rng(0), FitContext(save_checkpoint=keep))
    resumed = template(way).fit(
        panel, np.random.default_rng(0), FitContext(load_checkpoint=lambda: arrays_from_bytes(array_cache[0]))
    )
    assert_same(one, resumed)


@pytest.mark.parametrize("way", [way for way in WAYS if way.split()[0] in GENERATORS])
def test_columns_are_those_that_a_cpu_makes_of_the_same_network(way: str) -> None:
    panel = make_panel()
    fitted = template(way).fit(shown(way), np.random.default_rng(0))
    on_cpu = template(way, "cpu").restored(fitted.state())
    for era in (16, 20):
        values, wanted = (each.transform(panel.block(era)) for each in (fitted, on_cpu))
        near = np.isclose(values, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())
        # Of landmarks that pull a row alike, rounding may choose another one.
        assert near.mean() >= (0.9 if way == "umap placed" else 1)


@pytest.mark.parametrize("kind", ["mlp", "tabm"])
def test_a_model_has_the_same_bytes_again_also_after_a_kill_and_predicts_what_a_cpu_predicts(kind: str) -> None:
    panel = make_panel()
    blocks = TrainingStream(panel.only(range(1, 16)), ("raw",), panel.raw_names, 0)
    model = component(kind, device="cuda")
    fitted, again = (model.fresh().fit(blocks, np.random.default_rng(0)) for _ in range(2))
    assert fitted.saved() == again.saved()
    array_cache: list[bytes] = []

    def keep(arrays: Mapping[str, Array]) -> None:
        array_cache.append(arrays_to_bytes(arrays))
        if len(array_cache) == 2:
            raise Killed

    with pytest.raises(Killed):
        model.fresh().fit(blocks, np.random.default_rng(0), FitContext(save_checkpoint=keep))
    context = FitContext(load_checkpoint=lambda: arrays_from_bytes(array_cache[-1]))
    assert model.fresh().fit(blocks, np.random.default_rng(0), context).saved() == fitted.saved()
    X = panel.block(25).matrix(["raw"])
    on_cpu = component(kind, device="cpu").loaded(fitted.saved()[1]).predict(X)
    np.testing.assert_allclose(fitted.predict(X), on_cpu, rtol=1e-3, atol=1e-3)
    assert np.corrcoef(on_cpu, panel.block(25).target)[0, 1] > 0.3  # type: ignore[arg-type]


def test_it_learns_as_well_as_on_a_cpu() -> None:
    found = {}
    for device in ("cpu", "cuda"):
        longer = GENERATORS["autoencoder"].model_validate({**QUICK["autoencoder"], "max_steps": 400, "device": device})
        found[device] = longer.fit(make_panel(n_rows=200), np.random.default_rng(0)).state()["curve_"][:, 2]
    assert found["cuda"].min() < 0.9 * found["cuda"][0]
    assert found["cuda"].min() == pytest.approx(found["cpu"].min(), rel=0.03)


def test_neighbours_are_those_that_a_cpu_finds() -> None:
    points = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    (positions, squared), (found, measured) = nearest(points, 15), nearest(points.cuda(), 15)
    assert (positions == found.cpu()).float().mean() > 0.999  # but for ties
    np.testing.assert_allclose(measured.cpu().numpy(), squared.numpy(), atol=1e-4)
