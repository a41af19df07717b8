"""Generators and models as arrays: the functions of a deployed model give what the libraries give."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.generators import GENERATORS, Generator
from numerai_lab.generators.contrastive import Scarf
from numerai_lab.models import MODELS, Model
from numerai_lab.tournament.container.columns import MODELS as MODEL_FUNCTIONS
from numerai_lab.tournament.container.columns import generated_columns
from numerai_lab.tournament.container.trees import sum_of_trees
from numerai_lab.tournament.generator_arrays import generator_arrays, undeployable
from numerai_lab.tournament.model_arrays import model_arrays, undeployable_model
from numerai_lab.tournament.tree_arrays import lightgbm_trees, xgboost_trees
from tests.conftest import component, make_panel

OTHER_WAYS: dict[str, dict[str, Any]] = {
    "pca whitened": {"whiten": True, "correlation": True},
    "factor_analysis alone": {"unusual": False, "rotation": "varimax"},
    "group_stats skew": {"stats": ["skew", "mean"]},
    "era_code own": {"emit_era": "own"},
    "autoencoder deep": {"emit": "deep_stack"},
    "era_autoencoder all": {"emit": ["onehot", "raw", "era", "argmax"], "emit_era": "own"},
    "era_autoencoder drawn": {"mc_draws": 3},
    "era_autoencoder era": {"emit": ["era"], "round": False},
    "supervised_autoencoder latent": {"emit": "latent", "scheme": "early"},
    "siamese latent": {"emit": "latent", "scheme": "early"},
    **{f"contrastive {method}": {"method": method} for method in Scarf.algorithms()},
    **{f"umap {metric}": {"metric": metric} for metric in ("manhattan", "cosine", "correlation", "hamming")},
}
NETWORK_ERROR = 1e-5
"""Largest error of a column, in its standard deviations: torch adds float32 products, a deployed model float64."""
PLAIN = ("pca", "factor_analysis", "group_stats", "log_ratio_pairs", "local_density", "random_columns", "era_code")
"""Generators without a network: their columns are the same to the bit."""


def fitted(way: str, panel: Panel) -> tuple[Generator, FittedGenerator]:
    generator = component(way.split()[0], **OTHER_WAYS.get(way, {}))
    shown = panel if generator.uses_labels else panel.without_target()
    fit = generator.fit(shown.only(range(1, 16)), np.random.default_rng(1))
    served = {15: 0} if generator.uses_labels else {}
    return fit, FittedGenerator(generator, (fit.state(),), served)


@pytest.mark.parametrize("binned", [True, False])
@pytest.mark.parametrize("way", [*GENERATORS, *OTHER_WAYS])
def test_every_generator_gives_its_columns_without_this_package_or_is_refused(way: str, binned: bool) -> None:
    if not binned and way in ("umap manhattan", "umap hamming"):
        pytest.skip("refused by the generator itself")
    panel = make_panel(binned=binned)
    fits = fitted(way, panel)[1]
    if message := undeployable(fits.template):
        assert "can't be deployed" in message
        assert way.split()[0] not in (*PLAIN, "umap")
        return
    arrays = generator_arrays(fits)
    for era in (3, 20):
        block = panel.block(era)
        expected, values = fits.columns_for(block), generated_columns(arrays, block.features, block.top, era)
        assert values.dtype == np.float32
        if way.split()[0] in PLAIN:
            np.testing.assert_array_equal(values, expected)
        else:
            assert np.abs(values - expected).max() <= NETWORK_ERROR * max(1e-3, expected.std())


def test_a_generator_that_reads_some_features_is_given_these() -> None:
    panel = make_panel()
    generator, _ = fitted("pca", panel)
    picked = np.array([0, 2, 3, 5])
    generator.mean_, generator.loadings_, generator.selected_ = generator.mean_[picked], generator.loadings_[picked], picked
    fits = FittedGenerator(generator.fresh(), (generator.state(),), {})
    block = panel.block(20)
    values = generated_columns(generator_arrays(fits), block.features, block.top, 20)
    np.testing.assert_array_equal(values, fits.columns_for(block))


def test_modes_of_umap_that_need_umap_learn_are_refused_in_a_sentence() -> None:
    for further in ({"mode": "exact"}, {"mode": "placed"}, {"fit_on": "per_era", "era_steps": 2}):
        message = undeployable(component("umap", **further))
        assert message.startswith("umap with ")
        assert "; take " in message


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("binned", [True, False])
def test_every_model_predicts_without_its_library_or_is_refused(kind: str, binned: bool) -> None:
    panel = make_panel(binned=binned)
    model: Model = component(kind).fit(stream(panel), np.random.default_rng(0))
    if message := undeployable_model(model):
        assert "can't be deployed" in message
        assert kind not in ("xgboost", "lightgbm", "catboost", "ridge", "mlp", "tabm")
        return
    X = panel.block(25).matrix(["raw"])
    values, expected = deployed(model, X), model.predict(X)
    assert values.dtype == np.float32
    if kind in ("mlp", "tabm"):
        assert np.abs(values - expected).max() <= NETWORK_ERROR * expected.std()
    else:
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("further", [{"members": 3}, {"loss": "mse"}, {"members": 2, "hidden": [7]}])
def test_members_of_an_mlp_are_levelled_and_averaged(further: dict[str, Any]) -> None:
    panel = make_panel()
    model: Model = component("mlp", **further).fit(stream(panel), np.random.default_rng(0))
    X = panel.block(25).matrix(["raw"])
    expected = model.predict(X)
    assert np.abs(deployed(model, X) - expected).max() <= NETWORK_ERROR * expected.std()


BEGUN = ("autoencoder", "autoencoder deep", "contrastive", "umap", "umap manhattan", "umap correlation", "era_autoencoder")


@pytest.mark.parametrize("way", BEGUN)
@pytest.mark.parametrize("selected", [False, True])
def test_a_network_that_began_with_an_encoder_predicts_without_torch(way: str, selected: bool) -> None:
    panel = make_panel()
    read = np.arange(0, 12, 2, dtype=np.int32) if selected else None
    shown = panel.without_target().only(range(1, 16))
    if read is not None:
        names = tuple(panel.raw_names[i] for i in read)
        shown = replace(shown, features=shown.features[:, read], feature_names=names, n_raw=len(read), feature_sets={})
    generator = component(way.split()[0], **OTHER_WAYS.get(way, {})).fit(shown, np.random.default_rng(1))
    if read is not None:
        generator.selected_ = read
    untrained = component("mlp", start_from="encoder", hidden=[5], members=2).begun_with(generator.starting_encoder())
    model = untrained.fit(stream(panel), np.random.default_rng(0))
    X = panel.block(25).matrix(["raw"])
    expected = model.predict(X)
    assert np.abs(deployed(model, X) - expected).max() <= NETWORK_ERROR * expected.std()


def test_a_base_score_of_another_mean_than_a_half_is_kept() -> None:
    import xgboost

    rng = np.random.default_rng(0)
    X = rng.integers(0, 5, (500, 6)).astype(np.float32)
    y = (0.49 + 0.1 * (X[:, 0] - 2)).astype(np.float32)
    booster = xgboost.train({"base_score": 0.49, "max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, y), 20)
    content = bytes(booster.save_raw("json"))
    expected = np.asarray(booster.inplace_predict(X), np.float32)
    trees = xgboost_trees(content)
    assert trees["start"] == np.float32(0.49)
    np.testing.assert_array_equal(sum_of_trees(X, trees), expected)
    for written in (b"4.9E-1", b"[4.9E-1]", b"0.49"):  # 3.0, 3.1 and later, 1 and 2
        older = content.replace(b'"base_score":"[4.9E-1]"', b'"base_score":"' + written + b'"')
        np.testing.assert_array_equal(sum_of_trees(X, xgboost_trees(older)), expected)


def test_a_value_that_equals_a_threshold_goes_where_the_library_sends_it() -> None:
    import lightgbm
    import xgboost

    rng = np.random.default_rng(2)
    X = (rng.integers(0, 40, (3000, 3)) / np.float32(7)).astype(np.float32)
    y = (np.sin(X[:, 0]) + X[:, 1] > 2).astype(np.float32)
    booster = xgboost.train({"max_depth": 4, "nthread": 1, "tree_method": "exact"}, xgboost.DMatrix(X, y), 30)
    trees = xgboost_trees(bytes(booster.save_raw("json")))
    at = trees["threshold"][trees["left"] != np.arange(len(trees["left"]))]
    beside = np.concatenate([at, np.nextafter(at, np.float32(9)), np.nextafter(at, np.float32(-9))])
    edges = np.stack([np.resize(np.roll(beside, i), 3 * len(beside)) for i in range(3)], axis=1)
    np.testing.assert_array_equal(sum_of_trees(edges, trees), np.asarray(booster.inplace_predict(edges), np.float32))
    parameters = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1, "max_depth": -1, "num_leaves": 40}
    forest = lightgbm.train(parameters, lightgbm.Dataset(X, y), 30)
    own = sum_of_trees(X, lightgbm_trees(forest.model_to_string().encode()))
    np.testing.assert_array_equal(own, np.asarray(forest.predict(X), np.float32))


def test_a_tree_that_is_one_leaf_is_its_value() -> None:
    import lightgbm
    import xgboost

    X, y = np.ones((100, 2), np.float32), np.linspace(0, 1, 100, dtype=np.float32)
    forest = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(X, y), 3)
    np.testing.assert_array_equal(
        sum_of_trees(X, lightgbm_trees(forest.model_to_string().encode())), np.asarray(forest.predict(X), np.float32)
    )
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, y), 3)
    np.testing.assert_array_equal(sum_of_trees(X, xgboost_trees(bytes(booster.save_raw("json")))), booster.inplace_predict(X))


def test_dropped_trees_of_dart_keep_their_weights() -> None:
    import xgboost

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 4)).astype(np.float32), rng.normal(size=400).astype(np.float32)
    matrix = xgboost.DMatrix(X, y)
    booster = xgboost.train({"booster": "dart", "rate_drop": 0.5, "nthread": 1, "max_depth": 3}, matrix, 20)
    np.testing.assert_array_equal(sum_of_trees(X, xgboost_trees(bytes(booster.save_raw("json")))), booster.inplace_predict(X))


def test_trees_that_arrays_cannot_hold_are_refused() -> None:
    import lightgbm
    import xgboost

    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 5, (400, 4)).astype(np.float32), rng.normal(size=400).astype(np.float32)
    two = xgboost.train({"nthread": 1, "multi_strategy": "multi_output_tree"}, xgboost.DMatrix(X, np.stack([y, -y], 1)), 2)
    with pytest.raises(NlabError, match="several outputs"):
        xgboost_trees(bytes(two.save_raw("json")))
    quiet = {"verbosity": -1, "num_threads": 1, "min_data_in_leaf": 1}
    for parameters, categorical in (({"linear_tree": True}, "auto"), ({}, [0]), ({"zero_as_missing": True}, "auto")):
        settings = {**quiet, **parameters}
        data = lightgbm.Dataset(X.astype(np.float64), X[:, 0] % 2 + y / 9, params=settings, categorical_feature=categorical)
        forest = lightgbm.train(settings, data, 3)
        with pytest.raises(NlabError, match="can't be deployed"):
            lightgbm_trees(forest.model_to_string().encode())


def stream(panel: Panel) -> TrainingStream:
    return TrainingStream(panel.only(range(1, 21)), ("raw",), panel.raw_names, 0, {})


def deployed(model: Model, X: Float32) -> Float32:
    arrays = model_arrays(model, model.saved()[1])
    values: Float32 = MODEL_FUNCTIONS[arrays["function"]](X, arrays)
    return values
