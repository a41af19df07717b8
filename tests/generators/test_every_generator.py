"""What every registered generator promises; a new one is under these tests when its line enters the dict."""

import numpy as np
import pytest

from numerai_lab.basics import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.panel import Block, Panel
from tests.conftest import component, make_panel

kinds = pytest.mark.parametrize("kind", GENERATORS)


def fitted(kind: str, panel: Panel, seed: int = 0) -> Generator:
    generator: Generator = component(kind).fit(shown(kind, panel), np.random.default_rng(seed))
    return generator


def shown(kind: str, panel: Panel) -> Panel:
    """What the program lets a fit see."""
    return panel if GENERATORS[kind].uses_labels else panel.without_target()


def columns(generator: Generator, panel: Panel) -> Float32:
    return np.concatenate([generator.transform(block) for block in panel.blocks()])


@kinds
def test_the_registry_and_the_class_agree_on_the_name(kind: str) -> None:
    assert GENERATORS[kind].model_fields["kind"].default == kind


@kinds
@pytest.mark.parametrize("binned", [True, False])
def test_columns_are_float32_of_the_declared_shape_without_nan(kind: str, binned: bool) -> None:
    panel = make_panel(binned=binned)
    generator = fitted(kind, panel.only(range(1, 16)))
    block = panel.block(20)
    values = generator.transform(block)
    assert values.dtype == np.float32
    assert values.shape == (len(block), len(generator.names_out()))
    assert len(set(generator.names_out())) == len(generator.names_out())
    assert np.isfinite(values).all()
    assert ((values.std(0) == 0) if generator.per_era else (values.std(0) > 0)).all()


@kinds
def test_the_same_seed_gives_the_same_bytes_another_others_if_stochastic(kind: str, panel: Panel) -> None:
    train = panel.only(range(1, 16))
    one, again, other = (columns(fitted(kind, train, seed), panel.only([20, 21])) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.array_equal(one, other) is not GENERATORS[kind].stochastic


@kinds
def test_a_block_is_transformed_the_same_whole_and_in_7_chunks_unless_said_otherwise(kind: str, panel: Panel) -> None:
    generator = fitted(kind, panel.only(range(1, 16)))
    block = panel.block(20)
    whole = generator.transform(block)
    np.testing.assert_array_equal(whole, generator.transform(block))
    if generator.whole_era:
        return
    parts = np.array_split(np.arange(len(block)), 7)
    chunks = [generator.transform(Block(20, block.features[rows], block.top)) for rows in parts]
    np.testing.assert_array_equal(whole, np.concatenate(chunks))


@kinds
def test_transforming_other_eras_first_changes_nothing(kind: str, panel: Panel) -> None:
    generator = fitted(kind, panel.only(range(1, 16)))
    before = generator.transform(panel.block(20))
    for era in (25, 3, 20):
        generator.transform(panel.block(era))
    np.testing.assert_array_equal(before, generator.transform(panel.block(20)))


@kinds
def test_fit_forgets_the_last_fit_and_leaves_its_template_unfitted(kind: str, panel: Panel) -> None:
    template = component(kind)
    elsewhere = make_panel(seed=9)
    twice = template.fresh().fit(shown(kind, elsewhere), np.random.default_rng(5))
    twice.fit(shown(kind, panel), np.random.default_rng(0))
    np.testing.assert_array_equal(columns(twice, panel.only([3])), columns(fitted(kind, panel), panel.only([3])))
    assert template.state() == {}


@kinds
def test_state_saved_as_plain_arrays_and_restored_transforms_the_same(kind: str, panel: Panel) -> None:
    generator = fitted(kind, panel.only(range(1, 16)))
    restored = component(kind).restored(arrays_from_bytes(arrays_to_bytes(generator.state())))
    np.testing.assert_array_equal(generator.transform(panel.block(20)), restored.transform(panel.block(20)))


@kinds
def test_the_panel_is_left_as_it_was(kind: str, panel: Panel) -> None:
    before = panel.features.copy()
    columns(fitted(kind, panel), panel)
    np.testing.assert_array_equal(panel.features, before)
