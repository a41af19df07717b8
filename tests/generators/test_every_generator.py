"""What every registered generator promises; a new one is under these tests when its line enters the dict."""

from typing import Any

import numpy as np
import pytest

from numerai_lab.contracts.generators import CHECKS
from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Panel
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.contrastive import Scarf
from tests.conftest import component, make_panel

FURTHER: dict[str, dict[str, Any]] = {
    "umap exact": {"mode": "exact"},
    "umap placed": {"mode": "placed"},
    "umap per_era": {"fit_on": "per_era", "era_steps": 2},
    **{f"contrastive {method}": {"method": method} for method in Scarf.algorithms()},
}
"""Algorithms and settings that learn other things than the quick one of their kind."""

kinds = pytest.mark.parametrize("kind", GENERATORS)
ways = pytest.mark.parametrize("way", [*GENERATORS, *FURTHER])


def template(way: str) -> Generator:
    made: Generator = component(way.split()[0], **FURTHER.get(way, {}))
    return made


def fitted(way: str, panel: Panel, seed: int = 0) -> Generator:
    return template(way).fit(shown(way, panel), np.random.default_rng(seed))


def shown(way: str, panel: Panel) -> Panel:
    """What the program lets a fit see."""
    return panel if template(way).uses_labels else panel.without_target()


def columns(generator: Generator, panel: Panel) -> Float32:
    return np.concatenate([generator.transform(block) for block in panel.blocks()])


@kinds
def test_the_registry_and_the_class_agree_on_the_name(kind: str) -> None:
    assert GENERATORS[kind].model_fields["kind"].default == kind


@ways
@pytest.mark.parametrize("promise", CHECKS)
@pytest.mark.parametrize("binned", [True, False])
def test_it_keeps_the_promises_of_every_generator(way: str, promise: str, binned: bool) -> None:
    panel = make_panel(binned=binned).only(range(1, 17))
    assert CHECKS[promise](template(way), panel, 0.0) == ""


@ways
@pytest.mark.parametrize("binned", [True, False])
def test_columns_vary_over_the_rows_of_an_era_unless_all_of_them_get_the_same(way: str, binned: bool) -> None:
    panel = make_panel(binned=binned)
    generator = fitted(way, panel.only(range(1, 16)))
    values = generator.transform(panel.block(20))
    assert ((values.std(0) == 0) if generator.per_era else (values.std(0) > 0)).all()


@ways
def test_another_seed_gives_other_columns_if_it_is_stochastic(way: str, panel: Panel) -> None:
    train = panel.only(range(1, 16))
    one, other = (columns(fitted(way, train, seed), panel.only([20, 21])) for seed in (0, 1))
    assert np.array_equal(one, other) is not template(way).stochastic


@ways
def test_only_columns_of_umap_learn_depend_on_the_rows_of_the_era(way: str) -> None:
    assert template(way).whole_era == (way in ("umap exact", "umap per_era"))
