"""Panels are views."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.core.panel import Panel
from tests.conftest import make_panel


def test_an_era_is_a_view_of_the_memory_map(panel: Panel) -> None:
    block = panel.block(3)
    assert np.shares_memory(block.features, panel.features)
    assert len(block) == 40
    np.testing.assert_array_equal(block.features, panel.features[80:120])


def test_a_view_on_some_eras_copies_nothing_and_keeps_their_rows(panel: Panel) -> None:
    some = panel.only([5, 2])
    assert some.eras.tolist() == [2, 5]
    assert some.features is panel.features
    assert some.n_rows == 80
    np.testing.assert_array_equal(some.block(5).features, panel.block(5).features)


def test_eras_outside_a_view_cannot_be_asked_for(panel: Panel) -> None:
    with pytest.raises(KeyError):
        panel.only([2]).block(3)
    with pytest.raises(ValueError, match="99"):
        panel.only([2, 99])


def test_a_panel_until_an_era_ends_with_its_rows_and_copies_nothing(panel: Panel) -> None:
    early = panel.only([2, 3, 4]).until(3)
    assert early.eras.tolist() == [2, 3]
    assert len(early.features) == len(early.ids) == 120
    assert np.shares_memory(early.features, panel.features)
    np.testing.assert_array_equal(early.block(3).features, panel.block(3).features)
    assert early.target is not None
    assert len(early.target) == 120


def test_without_target_hides_it_from_every_block(panel: Panel) -> None:
    assert panel.without_target().block(1).target is None
    assert panel.block(1).target is not None


def test_the_matrix_of_a_block_puts_raw_and_generated_columns_side_by_side_in_the_order_asked(panel: Panel) -> None:
    columns = np.arange(len(panel.ids) * 2, dtype=np.float32).reshape(-1, 2)
    block = panel.with_columns("g", columns).block(2)
    matrix = block.matrix(["g", "raw"])
    np.testing.assert_array_equal(matrix[:, :2], columns[40:80])
    np.testing.assert_array_equal(matrix[:, 2:], block.features)
    assert matrix.dtype == np.float32


def test_models_read_the_first_columns_scoring_may_read_more() -> None:
    wide = make_panel(n_features=6)
    panel = replace(wide, n_raw=4, feature_sets={"raw": np.arange(4), "odd": np.array([1, 5])})
    assert panel.block(1).features.shape == (40, 4)
    np.testing.assert_array_equal(panel.set_of("odd", 1), wide.features[:40][:, [1, 5]])


def test_unit_puts_bins_on_0_to_1() -> None:
    assert set(np.unique(make_panel().block(1).unit())) == {0, 0.25, 0.5, 0.75, 1}
