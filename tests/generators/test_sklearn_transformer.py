"""scikit-learn's transformers as generators: which are kept, which are refused before any training, and what they give."""

import re
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from numerai_lab.contracts.trying import tried
from numerai_lab.core.arrays import arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.generators.sklearn_transformer import SklearnTransformer
from tests.conftest import make_config, make_panel

KEPT: dict[str, dict[str, Any]] = {
    "sklearn.decomposition.FastICA": {},
    "sklearn.decomposition.PCA": {},
    "sklearn.decomposition.FactorAnalysis": {},
    "sklearn.decomposition.TruncatedSVD": {},
    "sklearn.preprocessing.StandardScaler": {},
    "sklearn.preprocessing.QuantileTransformer": {"parameters": {"n_quantiles": 50}},
    "sklearn.preprocessing.KBinsDiscretizer": {"parameters": {"n_bins": 2, "quantile_method": "averaged_inverted_cdf"}},
    "sklearn.kernel_approximation.RBFSampler": {},
    "sklearn.kernel_approximation.Nystroem": {},
    "sklearn.random_projection.SparseRandomProjection": {},
    "sklearn.cluster.KMeans": {"parameters": {"n_clusters": 4}},
    "sklearn.ensemble.RandomTreesEmbedding": {"parameters": {"n_estimators": 3, "max_depth": 2}},
    "sklearn.preprocessing.SplineTransformer": {"parameters": {"n_knots": 3}},
    "sklearn.cluster.BisectingKMeans": {"parameters": {"n_clusters": 4}},
    "sklearn.cluster.FeatureAgglomeration": {"parameters": {"n_clusters": 3}},
}


@pytest.mark.parametrize("estimator", KEPT)
def test_transformers_of_scikit_learn_keep_every_promise(estimator: str) -> None:
    template = SklearnTransformer(estimator=estimator, n_components=3, **KEPT[estimator])
    panel = make_panel(n_eras=6)
    assert dict(tried(template, panel)) == dict.fromkeys(dict(tried(template, panel)), "")


def test_columns_are_those_of_scikit_learn_on_features_of_0_to_1() -> None:
    from sklearn.preprocessing import StandardScaler

    panel = make_panel(n_eras=6)
    fitted = SklearnTransformer(estimator="sklearn.preprocessing.StandardScaler").fit(panel, np.random.default_rng(0))
    wanted = StandardScaler().fit(panel.features / 4.0).transform(panel.features[:40] / 4.0)
    np.testing.assert_allclose(fitted.transform(panel.block(1)), wanted, rtol=0, atol=1e-6)


def test_equal_fits_are_equal_bytes() -> None:
    panel = make_panel(n_eras=6)
    fits = (SklearnTransformer(n_components=3).fit(panel, np.random.default_rng(1)) for _ in range(2))
    first, again = (arrays_to_bytes(fitted.state()) for fitted in fits)
    assert first == again


def test_rows_to_learn_from_are_drawn_evenly_over_eras() -> None:
    panel = make_panel(n_eras=10, n_rows=40)
    template = SklearnTransformer(estimator="sklearn.preprocessing.StandardScaler", max_rows=50)
    fitted = template.fit(panel, np.random.default_rng(0)).revived()
    assert fitted.n_samples_seen_ == 50


FOREIGN = (
    "os.system",
    "fastica",
    "FastICA()",
    "sklearn._loss.HalfSquaredError",
    "sklearn.decomposition",
    "umap.UMAP",
    "sklearn.tests.test_base.K",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_not_of_scikit_learn_is_refused_and_never_imported(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(ValidationError, match="is no public class of scikit-learn"):
        SklearnTransformer(estimator=name)
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"estimator": "sklearn.decomposition.FastICB"}, "has no estimator FastICB; did you mean 'FastICA'?"),
        ({"estimator": "sklearn.nowhere.Thing"}, "scikit-learn has no module sklearn.nowhere"),
        (
            {"estimator": "StandardScalar"},
            "has no transformer 'StandardScalar'; did you mean 'StandardScaler'?; a class of",
        ),
        ({"estimator": "UMAP"}, "has no transformer 'UMAP'"),
        ({"estimator": "sklearn.manifold.TSNE"}, "can't transform rows that it was not fitted on"),
        ({"estimator": "TSNE"}, "can't transform rows that it was not fitted on"),
        ({"estimator": "SelectFromModel"}, "SelectFromModel needs estimator, and other estimators can't be named in a config"),
        ({"parameters": {"algoritm": "deflation"}}, "FastICA has no such parameter; did you mean 'algorithm'?"),
        ({"estimator": "RBFSampler", "parameters": {"gamma": "wide"}}, "The 'gamma' parameter of RBFSampler must be"),
    ],
)
def test_what_can_not_transform_is_refused_when_the_config_is_read(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=f"generators.g.*{re.escape(message)}"):
        make_config(generators={"g": {"kind": "sklearn_transformer", **parameters}})


def test_a_class_may_be_named_without_its_module_and_draws_the_same_numbers() -> None:
    short = SklearnTransformer(estimator="RandomTreesEmbedding", parameters={"n_estimators": 3})
    assert short.estimator == "sklearn.ensemble.RandomTreesEmbedding"
    assert short.seed_key == SklearnTransformer(estimator=short.estimator, parameters={"n_estimators": 3}).seed_key
    assert SklearnTransformer(estimator="FastICA").seed_key == SklearnTransformer().seed_key


def test_a_saved_state_of_another_estimator_is_refused() -> None:
    panel = make_panel(n_eras=6)
    scaler = SklearnTransformer(estimator="sklearn.preprocessing.StandardScaler").fit(panel, np.random.default_rng(0))
    state = arrays_from_bytes(arrays_to_bytes(scaler.state()))
    with pytest.raises(ValueError, match="the saved state holds a StandardScaler, and the config names"):
        SklearnTransformer(n_components=3).restored(state).transform(panel.block(1))
