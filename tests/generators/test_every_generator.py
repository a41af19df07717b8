"""What every registered generator promises; a new one is under these tests when its line enters the dict."""

from typing import Any

import numpy as np
import pytest

from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.panel import Block, Panel
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
@pytest.mark.parametrize("binned", [True, False])
def test_columns_are_float32_of_the_declared_shape_without_nan(way: str, binned: bool) -> None:
    panel = make_panel(binned=binned)
    generator = fitted(way, panel.only(range(1, 16)))
    block = panel.block(20)
    values = generator.transform(block)
    assert values.dtype == np.float32
    assert values.shape == (len(block), len(generator.names_out()))
    assert len(set(generator.names_out())) == len(generator.names_out())
    assert np.isfinite(values).all()
    assert ((values.std(0) == 0) if generator.per_era else (values.std(0) > 0)).all()


@ways
def test_the_same_seed_gives_the_same_bytes_another_others_if_stochastic(way: str, panel: Panel) -> None:
    train = panel.only(range(1, 16))
    one, again, other = (columns(fitted(way, train, seed), panel.only([20, 21])) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.array_equal(one, other) is not template(way).stochastic


@ways
def test_a_block_is_transformed_the_same_whole_and_in_7_chunks_unless_said_otherwise(way: str, panel: Panel) -> None:
    generator = fitted(way, panel.only(range(1, 16)))
    block = panel.block(20)
    whole = generator.transform(block)
    np.testing.assert_array_equal(whole, generator.transform(block))
    if generator.whole_era:
        assert way in ("umap exact", "umap per_era")
        return
    parts = np.array_split(np.arange(len(block)), 7)
    chunks = [generator.transform(Block(20, block.features[rows], block.top)) for rows in parts]
    np.testing.assert_array_equal(whole, np.concatenate(chunks))


@ways
def test_transforming_other_eras_first_changes_nothing(way: str, panel: Panel) -> None:
    generator = fitted(way, panel.only(range(1, 16)))
    before = generator.transform(panel.block(20))
    for era in (25, 3, 20):
        generator.transform(panel.block(era))
    np.testing.assert_array_equal(before, generator.transform(panel.block(20)))


@ways
def test_fit_forgets_the_last_fit_and_leaves_its_template_unfitted(way: str, panel: Panel) -> None:
    unfitted = template(way)
    elsewhere = make_panel(seed=9)
    twice = unfitted.fresh().fit(shown(way, elsewhere), np.random.default_rng(5))
    twice.fit(shown(way, panel), np.random.default_rng(0))
    np.testing.assert_array_equal(columns(twice, panel.only([3])), columns(fitted(way, panel), panel.only([3])))
    assert unfitted.state() == {}


@ways
def test_state_saved_as_plain_arrays_and_restored_transforms_the_same(way: str, panel: Panel) -> None:
    generator = fitted(way, panel.only(range(1, 16)))
    restored = template(way).restored(arrays_from_bytes(arrays_to_bytes(generator.state())))
    np.testing.assert_array_equal(generator.transform(panel.block(20)), restored.transform(panel.block(20)))


@ways
def test_the_panel_is_left_as_it_was(way: str, panel: Panel) -> None:
    before = panel.features.copy()
    columns(fitted(way, panel), panel)
    np.testing.assert_array_equal(panel.features, before)
