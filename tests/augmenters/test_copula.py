"""The copula and the covariance path give back what they were fitted on, and new eras that differ as eras do."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters.bins import Marginals, feature_marginals
from numerai_lab.augmenters.copula import Copula, as_correlation, behind_bins, positive
from numerai_lab.augmenters.latent import Pooled
from numerai_lab.augmenters.path import CovariancePath
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from tests.conftest import make_panel


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def correlations(blocks: list[Block]) -> np.ndarray:
    return np.corrcoef(np.concatenate([np.column_stack([block.features, block.target]) for block in blocks]).T)


def rms(one: np.ndarray, other: np.ndarray) -> float:
    upper = np.triu_indices(len(one), 1)
    return float(np.sqrt(np.mean((one - other)[upper] ** 2)))


def two_halves(panel: Panel) -> tuple[list[Block], list[Block]]:
    return [panel.block(e) for e in panel.eras[::2].tolist()], [panel.block(e) for e in panel.eras[1::2].tolist()]


def test_the_loading_of_a_bin_is_its_correlation_with_the_variable_behind_it() -> None:
    shares = np.array([[0.2] * 5, [0.05, 0.2, 0.5, 0.2, 0.05]])
    marginals = Marginals(np.tile(np.arange(5.0), (2, 1)), shares)
    normal = rng().standard_normal((400_000, 2)).astype(np.float32)
    bins = marginals.cut(normal, np.dtype(np.int8))
    for column in range(2):
        measured = np.corrcoef(bins[:, column], normal[:, column])[0, 1]
        assert marginals.series[column, 0] == pytest.approx(measured, abs=0.002)
        np.testing.assert_allclose(np.bincount(bins[:, column]) / 400_000, shares[column], atol=0.003)


def test_correlations_of_normal_variables_are_found_behind_those_of_their_bins() -> None:
    shares = np.array([[0.2] * 5, [0.05, 0.2, 0.5, 0.2, 0.05], [0.1, 0.1, 0.6, 0.1, 0.1]])
    marginals = Marginals(np.tile(np.arange(5.0), (3, 1)), shares)
    planted = np.array([[1, 0.9, -0.4], [0.9, 1, -0.1], [-0.4, -0.1, 1]])
    normal = (rng().standard_normal((400_000, 3)) @ np.linalg.cholesky(planted).T).astype(np.float32)
    found = behind_bins(np.corrcoef(marginals.cut(normal, np.dtype(np.int8)).T), marginals.series)
    np.testing.assert_allclose(found, planted, atol=0.008)  # the first order alone is off by .05


@pytest.mark.parametrize("scope", ["era", "pooled"])
def test_a_copula_has_the_correlations_of_what_it_was_fitted_on(scope: str) -> None:
    panel = make_panel(n_eras=20, n_rows=1000)
    fitted = Copula(scope=scope).fit(panel, rng())  # type: ignore[arg-type]
    made = [fitted.augment(panel.block(era), rng(era)) for era in panel.eras.tolist()]
    own, other = two_halves(panel)
    floor = rms(correlations(own), correlations(other))  # two samples of the same law
    assert rms(correlations(made), correlations(own + other)) < 1.5 * floor
    shares = np.stack([np.bincount(np.concatenate([b.features[:, j] for b in made]), minlength=5) for j in range(12)]) / 20_000
    assert np.abs(shares - 0.2).max() < 0.015  # five standard errors
    real = {tuple(row) for row in panel.features.tolist()}
    repeated = np.mean([tuple(row) in real for block in made for row in block.features.tolist()])
    assert repeated < 0.05  # rows are drawn, not copied


def test_an_eras_own_copula_keeps_the_sign_of_its_own_relation_a_pooled_one_does_not() -> None:
    panel = make_panel(n_eras=20, n_rows=1000)
    assert panel.target is not None
    even = np.repeat(panel.eras % 2 == 0, 1000)
    panel = replace(panel, target=np.where(even, 1 - panel.target, panel.target).astype(np.float32))

    def relation(block: Block) -> np.ndarray:
        return np.corrcoef(np.column_stack([block.features, block.target]).T)[-1, :-1]

    for scope, wanted in (("era", 1.0), ("pooled", 0.0)):
        fitted = Copula(scope=scope).fit(panel, rng())  # type: ignore[arg-type]
        made = np.concatenate([relation(fitted.augment(panel.block(era), rng(era))) for era in panel.eras.tolist()])
        real = np.concatenate([relation(block) for block in panel.blocks()])
        # With the sign of the era the slope is 1; the pooled relation is 0 and has nothing to do with the era's.
        assert np.polyfit(real, made, 1)[0] == pytest.approx(wanted, abs=0.12)


def test_a_copula_counts_targets_exactly_and_leaves_absent_features_absent() -> None:
    panel = make_panel(n_eras=10, n_rows=999)
    features = panel.features.copy()
    features[panel.rows(3), 4] = 2
    panel = replace(panel, features=features)
    made = Copula().fit(panel, rng()).augment(panel.block(3), rng(1))
    assert (made.features[:, 4] == 2).all()
    own = np.bincount((panel.target * 4).astype(int)) / panel.n_rows  # type: ignore[operator]
    np.testing.assert_allclose(np.bincount((made.target * 4).astype(int)) / 999, own, atol=1 / 999)  # type: ignore[operator]


def test_a_feature_that_some_eras_lack_has_the_bins_and_correlations_of_the_others() -> None:
    panel = make_panel(n_eras=10, n_rows=500)
    whole = feature_marginals(panel, rng()), Pooled.of(panel)
    features = panel.features.copy()
    features[: panel.rows(4).stop, 4] = 2
    lacking = replace(panel, features=features)
    found = feature_marginals(lacking, rng()), Pooled.of(lacking)
    np.testing.assert_allclose(found[0].shares[4], whole[0].shares[4], atol=0.03)  # else .52 in the middle
    one, other = (as_correlation(pooled.covariance)[4] for _, pooled in (found, whole))
    np.testing.assert_allclose(one, other, atol=0.06)
    features[:, 4] = 2
    assert feature_marginals(replace(panel, features=features), rng()).shares[4].tolist() == [0, 0, 1, 0, 0]


def test_an_era_with_fewer_rows_than_features_has_a_copula_too() -> None:
    panel = make_panel(n_eras=10, n_rows=15, n_features=40)
    made = Copula().fit(panel, rng()).augment(panel.block(3), rng(1))
    assert made.features.std(0).min() > 0.3


def test_raised_eigenvalues_leave_a_unit_diagonal() -> None:
    broken = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    mended = positive(broken, 0.01)
    assert np.linalg.eigvalsh(broken)[0] < 0 < np.linalg.eigvalsh(mended)[0]
    np.testing.assert_allclose(np.diag(mended), 1)


@pytest.mark.parametrize("most_features", [60, 5])
def test_a_thousand_new_eras_have_positive_definite_covariances(most_features: int) -> None:
    fitted = CovariancePath(most_features=most_features, factors=4).fit(make_panel(n_eras=40, n_rows=100), rng())
    path = fitted.walk(1000, rng(1))
    smallest = [np.linalg.eigvalsh(fitted.covariance(place))[0] for place in path]
    assert min(smallest) > 0
    assert fitted.covariance(path[0]).shape == ((13, 13) if most_features == 60 else (5, 5))


@pytest.mark.parametrize("most_features", [60, 5])
def test_new_eras_have_on_average_the_correlations_of_the_training_eras(most_features: int) -> None:
    panel = make_panel(n_eras=40, n_rows=500)
    fitted = CovariancePath(most_features=most_features, factors=4).fit(panel, rng())
    made = [fitted.invent(number, 500, rng(number)) for number in range(40)]
    own, other = two_halves(panel)
    floor = rms(correlations(own), correlations(other))
    independent = rms(correlations(own), np.eye(13))
    error = rms(correlations(made), correlations(own + other))
    assert error < (4 if most_features == 60 else 6) * floor  # shrinking, clipping and first-order bins cost some floors
    assert error < 0.15 * independent
    np.testing.assert_allclose(np.unique(made[0].features), [0, 1, 2, 3, 4])


def test_new_eras_differ_as_the_training_eras_do_and_follow_each_other_with_inertia() -> None:
    panel = make_panel(n_eras=80, n_rows=400)
    assert panel.target is not None
    slow = np.repeat(np.sin(np.arange(80) / 6) > 0, 400)  # a relation that turns round every twenty eras or so
    panel = replace(panel, target=np.where(slow, 1 - panel.target, panel.target).astype(np.float32))
    fitted = CovariancePath().fit(panel, rng())
    assert fitted.inertia_[0] > 0.6
    made = np.array([correlations([fitted.invent(number, 400, rng(number))])[-1, :-1] for number in range(80)])
    real = np.array([correlations([block])[-1, :-1] for block in panel.blocks()])
    assert made.std(0).mean() / real.std(0).mean() == pytest.approx(1, abs=0.35)
    axis = np.linalg.svd(real - real.mean(0))[2][0]
    steps = made @ axis
    assert np.corrcoef(steps[1:], steps[:-1])[0, 1] > 0.4


def test_a_path_through_two_eras_is_refused_with_a_sentence() -> None:
    with pytest.raises(NlabError, match="at least 3 eras"):
        CovariancePath().fit(make_panel().only([1, 2]), rng())
