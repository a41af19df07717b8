"""PCA and factor analysis against scikit-learn and against planted factors."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.generators.linear import PCA, FactorAnalysis, factor_analysis, moments, varimax
from tests.conftest import make_panel

RNG = np.random.default_rng(0)


def unit(panel: Panel) -> np.ndarray:
    return panel.features.astype(np.float64) / panel.top - 0.5


def planted(
    n_eras: int = 40, n_rows: int = 500, heteroscedastic: bool = False
) -> tuple[Panel, np.ndarray, np.ndarray, np.ndarray]:
    """60 features, 6 factors, 5 bins: panel, true factors, loadings and noise variances of the unbinned features."""
    rng = np.random.default_rng(1)
    n, p, k = n_eras * n_rows, 60, 6
    loadings = rng.normal(size=(p, k)) * 0.7
    noise = rng.uniform(0.3, 3.0, p) if heteroscedastic else np.ones(p)
    factors = rng.normal(size=(n, k))
    values = factors @ loadings.T + rng.normal(size=(n, p)) * np.sqrt(noise)
    panel = make_panel(n_eras, n_rows, p)
    bins = (np.argsort(np.argsort(values, axis=0), axis=0) * 5 // n).astype(np.int8)
    return replace(panel, features=bins), factors, loadings, noise


def held_out_r2(columns: np.ndarray, factors: np.ndarray, n_train: int) -> float:
    """Mean R² of the true factors from the columns, learned on the first rows and scored on the rest."""
    design = np.column_stack([columns, np.ones(len(columns))])
    weights = np.linalg.lstsq(design[:n_train], factors[:n_train], rcond=None)[0]
    residual = factors[n_train:] - design[n_train:] @ weights
    return float(1 - (residual**2).mean() / factors[n_train:].var())


def test_streamed_moments_equal_those_of_the_whole_matrix() -> None:
    for binned in (True, False):
        panel = make_panel(binned=binned)
        estimated = moments(panel, "pooled")
        np.testing.assert_allclose(estimated.mean, unit(panel).mean(0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(estimated.covariance, np.cov(unit(panel).T, bias=True), rtol=0, atol=1e-12)


def test_the_mean_of_eras_covariances_ignores_what_differs_between_eras() -> None:
    panel = make_panel(n_eras=4, n_rows=40)
    shifted = panel.features.copy()
    shifted[:80] = np.minimum(shifted[:80] + 1, 4)
    estimated = moments(replace(panel, features=shifted), "era_mean")
    wanted = np.mean([np.cov((shifted[i * 40 : i * 40 + 40] / 4).T, bias=True) for i in range(4)], axis=0)
    np.testing.assert_allclose(estimated.covariance, wanted, rtol=0, atol=1e-12)


def test_pca_equals_scikit_learns_up_to_sign() -> None:
    from sklearn.decomposition import PCA as Oracle

    panel = make_panel()
    for whiten in (False, True):
        ours = PCA(n_components=4, whiten=whiten).fit(panel, RNG).transform(panel.block(3))
        oracle = Oracle(4, whiten=False, svd_solver="full").fit(unit(panel))
        theirs = oracle.transform(unit(panel)[80:120])
        theirs /= np.sqrt(oracle.explained_variance_ * (1 - 1 / len(panel.ids))) if whiten else 1
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=0, atol=1e-5)


def test_pca_of_correlations_equals_scikit_learns_on_standardised_features() -> None:
    from sklearn.decomposition import PCA as Oracle

    panel = replace(make_panel(), features=make_panel().features // np.array([1, 2, 4] * 4, np.int8))
    x = unit(panel)
    scaled = (x - x.mean(0)) / x.std(0)
    for whiten in (False, True):
        ours = PCA(n_components=4, correlation=True, whiten=whiten).fit(panel, RNG).transform(panel.block(3))
        theirs = Oracle(4, svd_solver="full").fit(scaled).transform(scaled)
        theirs /= theirs.std(0) if whiten else 1
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs[80:120]), rtol=0, atol=1e-5)


def test_whitened_scores_have_unit_variance_and_no_correlation_on_training_rows() -> None:
    panel = make_panel()
    fitted = PCA(n_components=4, whiten=True).fit(panel, RNG)
    scores = np.concatenate([fitted.transform(block) for block in panel.blocks()])
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(4), rtol=0, atol=1e-5)


def test_a_feature_that_comes_alive_after_training_does_not_blow_up_whitened_scores() -> None:
    panel = make_panel()
    late = panel.features.copy()
    late[: 15 * 40, 4] = 2
    panel = replace(panel, features=late)
    fitted = PCA(n_components=12, whiten=True).fit(panel.only(range(1, 16)), RNG)
    later = np.concatenate([fitted.transform(panel.block(era)) for era in range(16, 31)])
    np.testing.assert_allclose(later.std(0)[:11], 1, rtol=0, atol=0.2)
    assert (later[:, 11] == 0).all()  # twelve features, one of them dead: eleven directions


def test_each_components_largest_loading_is_positive() -> None:
    loadings = PCA(n_components=5).fit(make_panel(), RNG).loadings_
    assert (loadings[np.abs(loadings).argmax(0), np.arange(5)] > 0).all()


def test_factor_analysis_reaches_scikit_learns_maximum() -> None:
    from sklearn.decomposition import FactorAnalysis as Oracle

    panel, *_ = planted(n_eras=10, n_rows=200)
    x = unit(panel)
    oracle = Oracle(6, svd_method="lapack", tol=1e-12, max_iter=5000).fit(x)
    weights, psi, _ = factor_analysis(np.cov(x.T, bias=True), 6, 1e-12, 5000)
    np.testing.assert_allclose(psi, oracle.noise_variance_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(weights @ weights.T, oracle.components_.T @ oracle.components_, rtol=0, atol=1e-8)


def test_emitted_scores_are_the_posterior_means() -> None:
    from sklearn.decomposition import FactorAnalysis as Oracle

    panel, *_ = planted(n_eras=10, n_rows=200)
    ours = FactorAnalysis(n_components=6, tolerance=1e-11).fit(panel, RNG)
    oracle = Oracle(6, svd_method="lapack", tol=1e-12, max_iter=5000).fit(unit(panel))
    theirs = oracle.transform(unit(panel)[:200])
    rotation = np.linalg.lstsq(theirs, ours.transform(panel.block(1))[:, :6], rcond=None)[0]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(6), rtol=0, atol=1e-4)
    np.testing.assert_allclose(theirs @ rotation, ours.transform(panel.block(1))[:, :6], rtol=0, atol=1e-4)


def test_planted_factors_are_found_on_held_out_eras() -> None:
    panel, factors, _, _ = planted()
    train, n_train = panel.only(range(1, 31)), 30 * 500
    for generator in (PCA(n_components=6), FactorAnalysis(n_components=6)):
        fitted = generator.fit(train, RNG)
        columns = np.concatenate([fitted.transform(block) for block in panel.blocks()])
        assert held_out_r2(columns[:, :6], factors, n_train) >= 0.90


def test_under_unequal_noise_factor_analysis_beats_pca_and_recovers_space_and_noise() -> None:
    panel, factors, loadings, noise = planted(heteroscedastic=True)
    n_train = 30 * 500
    fa = FactorAnalysis(n_components=6).fit(panel.only(range(1, 31)), RNG)
    pca = PCA(n_components=6).fit(panel.only(range(1, 31)), RNG)

    def r2(generator: PCA | FactorAnalysis) -> float:
        return held_out_r2(np.concatenate([generator.transform(b) for b in panel.blocks()])[:, :6], factors, n_train)

    assert r2(fa) >= r2(pca) + 0.005
    deviation = np.sqrt((loadings**2).sum(1) + noise)
    scaled = loadings / deviation[:, None]  # bins see ranks: every feature has the same spread
    assert largest_angle(fa.loadings_, scaled) <= 3
    assert largest_angle(fa.loadings_, scaled) < largest_angle(pca.loadings_, scaled)
    assert np.corrcoef(fa.noise_variance_, noise / deviation**2)[0, 1] >= 0.99


def largest_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Largest principal angle between two column spaces, degrees."""
    from scipy.linalg import subspace_angles

    return float(np.degrees(subspace_angles(a, b).max()))


def test_unusual_ranks_the_residual_among_training_rows_uniformly_and_flags_strangers() -> None:
    panel, *_ = planted(n_eras=10, n_rows=200)
    fitted = FactorAnalysis(n_components=6).fit(panel, RNG)
    places = np.concatenate([fitted.transform(block)[:, -1] for block in panel.blocks()])
    np.testing.assert_allclose(np.quantile(places, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    block = panel.block(1)
    shuffled = np.random.default_rng(0).permuted(block.features, axis=0)
    stranger = fitted.transform(type(block)(1, shuffled, block.top))[:, -1]
    assert stranger.mean() > 0.9


def test_varimax_turns_towards_few_large_loadings_without_changing_the_fit() -> None:
    simple = np.kron(np.eye(3), np.ones((5, 1)))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    rotated = varimax(simple @ turn)
    np.testing.assert_allclose(np.sort(np.abs(rotated), axis=1), np.sort(simple, axis=1), atol=1e-6)
    np.testing.assert_allclose(rotated @ rotated.T, simple @ simple.T, atol=1e-9)


def test_a_constant_feature_takes_no_part() -> None:
    panel = make_panel()
    constant = panel.features.copy()
    constant[:, 4] = 2
    still = replace(panel, features=constant)
    for generator in (PCA(n_components=3, correlation=True), PCA(n_components=3), FactorAnalysis(n_components=3)):
        fitted = generator.fit(still, RNG)
        np.testing.assert_allclose(fitted.loadings_[4], 0, atol=1e-12)
        assert np.isfinite(fitted.transform(still.block(1))).all()


def test_features_that_are_all_constant_give_finite_columns_of_nothing() -> None:
    still = replace(make_panel(), features=np.full((1200, 12), 2, np.int8))
    for generator in (PCA(n_components=3, whiten=True), FactorAnalysis(n_components=3)):
        columns = generator.fit(still, RNG).transform(make_panel().block(1))
        assert np.isfinite(columns).all()
        assert (columns.std(0) == 0).all()


def test_a_factor_analysis_that_does_not_settle_says_so(caplog: pytest.LogCaptureFixture) -> None:
    panel = make_panel()
    FactorAnalysis(n_components=3).fit(panel, RNG)
    assert not caplog.records
    copied = panel.features.copy()
    copied[:, 4] = copied[:, 5]
    FactorAnalysis(n_components=3, max_iterations=300).fit(replace(panel, features=copied), RNG)
    assert "stopped after 300 iterations" in caplog.text


@pytest.mark.parametrize("generator", [PCA(n_components=13), FactorAnalysis(n_components=13)])
def test_more_components_than_features_is_refused(generator: PCA | FactorAnalysis) -> None:
    with pytest.raises(NlabError, match="n_components is 13, but the feature set has 12 features"):
        generator.fit(make_panel(), RNG)
