"""Recency: weights halve with age, counted in eras from the last one with a target."""

from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import component, make_panel


@pytest.mark.parametrize("half_life", [1.0, 5.0, 100.0])
def test_weights_halve_every_half_life(half_life: float) -> None:
    panel = make_panel(n_eras=20)
    target = panel.target.copy()  # type: ignore[union-attr]
    target[panel.rows(20)] = np.nan  # not known yet: age counts from era 19
    train = replace(panel, target=target).only([1, 4, 9, 14, 19, 20])
    weigher = component("recency", half_life=half_life).fit(train, np.random.default_rng(0))
    assert weigher.eras_.tolist() == [1, 4, 9, 14, 19]
    weights = np.array([weigher.weigh(era, 40) for era in (1, 4, 9, 14, 19)])
    np.testing.assert_allclose(weights / weights[-1], 0.5 ** (np.array([18, 15, 10, 5, 0]) / half_life))
