"""Diagnostics of generated columns, against columns of which it is known."""

import numpy as np

from numerai_lab.metrics.columns import alike, explained, neighbours_kept, plane


def test_linear_columns_are_explained_noise_and_products_are_not_and_constants_have_no_share() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 10))
    z = np.column_stack([x @ rng.normal(size=10), rng.normal(size=4000), x[:, 0] * x[:, 1], np.ones(4000)])
    r2 = explained(x[:2000], z[:2000], x[2000:], z[2000:])
    assert r2[0] > 0.99
    assert (r2[1:3] < 0.02).all()
    assert np.isnan(r2[3])


def test_a_regression_that_fails_later_explains_nothing_later() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 3))
    z = x[:, :1] * np.repeat([[1.0], [-1.0]], 500, axis=0)
    assert explained(x[:500], z[:500], x[500:], z[500:])[0] == 0


def test_neighbours_are_kept_by_a_rotation_and_lost_in_noise() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 5))
    x = (x - x.mean(0)) / x.std(0)
    assert neighbours_kept(x, x[:, ::-1], 10) > 0.99
    assert abs(neighbours_kept(x, rng.normal(size=(400, 5)), 10) - 10 / 399) < 0.02


def test_sets_of_columns_are_alike_up_to_a_linear_map() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(2000, 4))
    assert alike(z, z @ rng.normal(size=(4, 4)) + 3) > 0.999
    assert alike(z, rng.normal(size=(2000, 4))) < 0.1
    half = np.column_stack([z[:, :2], rng.normal(size=(2000, 2))])
    assert 0.45 < alike(z, half) < 0.6
    assert np.isnan(alike(z, np.ones((2000, 2))))


def test_a_plane_shows_what_varies_and_its_signs_are_fixed() -> None:
    rng = np.random.default_rng(4)
    direction = rng.normal(size=2000)
    z = np.column_stack([direction + rng.normal(size=2000) / 10 for _ in range(5)])
    placed = plane(z)
    assert placed.shape == (2000, 2)
    assert abs(np.corrcoef(placed[:, 0], direction)[0, 1]) > 0.99
    np.testing.assert_allclose(plane(z * 7 + 2), placed, atol=1e-8)
    assert plane(z[:, :1]).shape == (2000, 2)
