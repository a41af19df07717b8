"""What every registered augmenter promises."""

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from tests.conftest import component, make_panel

kinds = pytest.mark.parametrize("kind", AUGMENTERS)


@kinds
def test_the_registry_and_the_class_agree_on_the_name(kind: str) -> None:
    assert AUGMENTERS[kind].model_fields["kind"].default == kind


@kinds
@pytest.mark.parametrize("binned", [True, False])
def test_new_rows_have_the_eras_shape_units_and_targets_without_nan(kind: str, binned: bool) -> None:
    block = make_panel(binned=binned).block(3)
    made = component(kind).augment(block, np.random.default_rng(0))
    assert made.features.shape == block.features.shape
    assert (made.era, made.top) == (block.era, block.top)
    assert made.target is not None
    assert np.isfinite(made.features).all()
    assert np.isfinite(made.target).all()
    assert made.columns == {}
    assert not np.array_equal(made.features, block.features)


@kinds
def test_the_same_stream_gives_the_same_rows_another_gives_others_and_the_block_is_left_alone(kind: str) -> None:
    block = make_panel().block(3)
    before = block.features.copy()
    one, again, other = (component(kind).augment(block, np.random.default_rng(seed)).features for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(block.features, before)
