"""Fits by a factor in float32 that is corrected are as exact as by one in float64, and give way where they can't be."""

import numpy as np
import pytest

from numerai_lab.metrics import normal_equations
from numerai_lab.metrics.normal_equations import MOST_VECTORS, _corrected, solver


def correlated(rng: np.random.Generator, rows: int, columns: int, share: float) -> np.ndarray:
    """Centred features of which `share` is one common factor: the larger, the closer their correlations are to 1."""
    own, common = rng.normal(size=(rows, columns)), rng.normal(size=(rows, 1))
    features = np.sqrt(1 - share) * own + np.sqrt(share) * common
    return features - features.mean(0)


def solved(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Coefficients of the features as they are, by `solver`."""
    scatter = np.asfortranarray(features.T @ features)
    norms = np.sqrt(np.diag(scatter))
    solve, _ = solver(scatter, norms)
    return solve(features.T @ targets / norms[:, None]) / norms[:, None]


@pytest.mark.parametrize("n_targets", [1, 2, MOST_VECTORS + 5])
@pytest.mark.parametrize("share", [0.0, 0.9, 0.99])
def test_coefficients_are_those_of_least_squares(share: float, n_targets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features, targets = correlated(rng, 900, 120, share), rng.normal(size=(900, n_targets))

    def in_doubles(*_: object) -> None:
        raise AssertionError("the factor in float32 was given up")

    monkeypatch.setattr(normal_equations, "_solver_in_float64", in_doubles)
    wanted = np.linalg.lstsq(features, targets, rcond=None)[0]
    assert np.abs(solved(features, targets) - wanted).max() < 1e-13 * (1 + np.abs(wanted).max() / (1 - share))


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e10, 1e30])
def test_units_don_t_matter(scale: float) -> None:
    rng = np.random.default_rng(1)
    features, targets = correlated(rng, 500, 40, 0.5), rng.normal(size=(500, 3))
    scales = np.where(np.arange(40) % 2, scale, 1.0)
    assert solved(features * scales, targets) * scales[:, None] == pytest.approx(solved(features, targets), abs=1e-13)
    assert solved(features, targets * scale) / scale == pytest.approx(solved(features, targets), abs=1e-13)


def test_a_column_that_no_feature_explains_has_no_coefficients() -> None:
    features = correlated(np.random.default_rng(2), 200, 10, 0.2)
    assert (solved(features, np.zeros((200, 2))) == 0).all()


def test_what_float32_can_t_settle_is_solved_in_float64() -> None:
    rng = np.random.default_rng(3)
    lower = np.eye(40)
    for i in range(1, 40):  # pivots of .2 or more, and eigenvalues 1e8 apart
        lower[i, :i] = rng.normal(size=i) / np.sqrt(i)
        lower[i, i] = 0.3
    lower /= np.linalg.norm(lower, axis=1)[:, None]
    scatter, products = lower @ lower.T, rng.normal(size=(40, 2))
    norms = np.ones(40)
    factor = np.asfortranarray(np.linalg.cholesky(scatter).astype(np.float32))
    assert _corrected(products, np.asfortranarray(scatter), norms[:, None], factor) is None
    solve, _ = solver(np.asfortranarray(scatter), norms)
    for _ in range(2):  # and again, by the factor that is there by now
        coefficients = solve(products)
        left = np.abs(scatter @ coefficients - products).max()
        assert left < 1e-15 * 40 * np.abs(coefficients).max()
