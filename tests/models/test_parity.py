"""Streamed training gives what the libraries give for the same rows in memory."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import LightGBM, Ridge, XGBoost, boosting
from numerai_lab.storage.scratch import Scratch
from tests.conftest import component, make_panel


@pytest.fixture
def blocks() -> TrainingStream:
    panel = make_panel(n_rows=100)
    return TrainingStream(panel.only(range(1, 21)), ("raw",), panel.raw_names, 0, {"c": component("cutout")})


def in_memory(blocks: TrainingStream) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([batch.X for batch in blocks]), np.concatenate([batch.y for batch in blocks])


def test_ridge_equals_scikit_learns_on_standardised_inputs(blocks: TrainingStream) -> None:
    from sklearn.linear_model import Ridge as Oracle
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = in_memory(blocks)
    oracle = make_pipeline(StandardScaler(), Oracle(10.0)).fit(X.astype(np.float64), y.astype(np.float64))
    ours = Ridge(alpha=10.0).fit(blocks, np.random.default_rng(0))
    np.testing.assert_allclose(ours.predict(X), oracle.predict(X), rtol=0, atol=1e-6)


def test_ridge_gives_a_constant_input_no_weight() -> None:
    panel = make_panel()
    constant = panel.features.copy()
    constant[:, 3] = 2
    still = replace(panel, features=constant)
    fitted = Ridge(alpha=0.0).fit(TrainingStream(still.only([1, 2, 3]), ("raw",), still.raw_names, 0), np.random.default_rng(0))
    assert fitted.weights_[3] == 0
    assert np.isfinite(fitted.weights_).all()


def test_xgboost_equals_training_on_the_whole_matrix(blocks: TrainingStream) -> None:
    import xgboost

    X, y = in_memory(blocks)
    ours = XGBoost(n_estimators=20, learning_rate=0.1, colsample_bytree=1.0).fit(blocks, np.random.default_rng(0))
    parameters = {"tree_method": "hist", "learning_rate": 0.1, "max_depth": 5, "max_bin": 16}
    theirs = xgboost.train(parameters, xgboost.QuantileDMatrix(X, y, max_bin=16), 20)
    np.testing.assert_allclose(ours.predict(X), theirs.inplace_predict(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_xgboost_grows_the_same_trees_from_disk(blocks: TrainingStream, tmp_path: Path, weighted: bool) -> None:
    if weighted:
        blocks = replace(blocks, augmenters={"c": component("cutout", weight=0.5)})
    model = XGBoost(n_estimators=20, learning_rate=0.1, colsample_bytree=0.5, n_jobs=1)
    outside = model.model_copy(update={"external_memory": True})
    one = model.fresh().fit(blocks, np.random.default_rng(0)).saved()[1]
    for array_cache in (None, Scratch(tmp_path)):
        assert outside.fresh().fit(replace(blocks, array_cache=array_cache), np.random.default_rng(0)).saved()[1] == one
    assert list(tmp_path.iterdir()) == []


def test_xgboosts_dart_drops_trees_and_is_what_the_library_gives(blocks: TrainingStream) -> None:
    import xgboost

    X, y = in_memory(blocks)
    dart = {"booster": "dart", "rate_drop": 0.5, "skip_drop": 0.0, "learning_rate": 0.3}
    model = XGBoost.model_validate({"n_estimators": 20, "colsample_bytree": 1.0, "n_jobs": 1, **dart})
    ours, again, undropped = (
        made.fit(blocks, np.random.default_rng(0))
        for made in (model.fresh(), model.fresh(), XGBoost(n_estimators=20, colsample_bytree=1.0, n_jobs=1, learning_rate=0.3))
    )
    seed = int(np.random.default_rng(0).integers(2**31 - 1))
    parameters = {**dart, "tree_method": "hist", "max_depth": 5, "max_bin": 16, "seed": seed, "nthread": 1}
    theirs = xgboost.train(parameters, xgboost.QuantileDMatrix(X, y, max_bin=16), 20)
    np.testing.assert_allclose(ours.predict(X), theirs.inplace_predict(X), rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.predict(X), ours.booster_.predict(xgboost.DMatrix(X)), rtol=0, atol=1e-6)
    assert ours.saved() == again.saved()
    np.testing.assert_array_equal(model.loaded(ours.saved()[1]).predict(X), ours.predict(X))
    assert np.abs(ours.predict(X) - undropped.predict(X)).max() > 0.01
    assert ours.importance().argmax() == undropped.importance().argmax()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rate_drop": 0.2}, "rate_drop without booster: dart; name it, or leave out"),
        ({"rate_drop": 0.2, "skip_drop": 0.4}, "rate_drop and skip_drop without booster: dart"),
        (
            {"booster": "dart", "era_boost": {"every": 10}},
            "dart drops trees at random, and era_boost chooses eras",
        ),
        ({"booster": "dart", "external_memory": True}, "dart reads all rows again for every dropped tree"),
    ],
)
def test_parameters_of_xgboost_that_do_not_go_together_are_refused(parameters: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        XGBoost.model_validate(parameters)


def test_xgboost_on_a_gpu_that_is_not_there_is_refused_and_auto_takes_the_cpu(
    blocks: TrainingStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boosting, "has_cuda", lambda: False)
    assert XGBoost(device="cuda").refusal(blocks.panel).startswith("device: cuda: there is no GPU that XGBoost can use")
    assert XGBoost(device="auto").refusal(blocks.panel) == ""
    on_cpu, auto = (XGBoost(n_estimators=5, n_jobs=1, device=device) for device in ("cpu", "auto"))  # type: ignore[arg-type]
    fits = [model.fit(blocks, np.random.default_rng(0)).saved() for model in (on_cpu, auto)]
    assert fits[0] == fits[1]
    monkeypatch.setattr(boosting, "has_cuda", lambda: True)
    assert XGBoost(device="cuda").refusal(blocks.panel) == ""


@pytest.mark.parametrize("max_bin", [16, 3])
def test_xgboost_learns_the_same_from_bins_as_from_floats(blocks: TrainingStream, max_bin: int) -> None:
    model = XGBoost(n_estimators=20, learning_rate=0.1, colsample_bytree=0.5, max_bin=max_bin)
    floats = replace(blocks)
    floats.__dict__["binned"] = False
    assert blocks.binned
    one, other = (model.fresh().fit(stream, np.random.default_rng(0)).saved()[1] for stream in (blocks, floats))
    assert one == other


def test_lightgbm_equals_training_on_the_whole_matrix(blocks: TrainingStream) -> None:
    import lightgbm

    X, y = in_memory(blocks)
    ours = LightGBM(n_estimators=20, learning_rate=0.1, colsample_bytree=1.0).fit(blocks, np.random.default_rng(0))
    parameters = {
        "learning_rate": 0.1,
        "max_depth": 5,
        "num_leaves": 31,
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
    }
    theirs = lightgbm.train({**parameters, "max_bin": 15}, lightgbm.Dataset(X, y), 20)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-6)


def test_lightgbm_takes_the_least_number_of_bins(blocks: TrainingStream) -> None:
    fitted = LightGBM(n_estimators=2, max_bin=2).fit(blocks, np.random.default_rng(0))
    assert np.isfinite(fitted.predict(in_memory(blocks)[0])).all()


def test_quantised_gradients_of_lightgbm_are_for_whole_trees_only() -> None:
    """A part of the columns or rows made LightGBM 4.0 to 4.7 stop or grow wrong trees: its issues 5982 and 5994."""
    panel = make_panel(n_eras=40, n_rows=120, n_features=42)
    stream = TrainingStream(panel, ("raw",), panel.raw_names, 0)
    whole = {"n_estimators": 300, "colsample_bytree": 1.0, "n_jobs": 1}
    plain, quantised, again = (
        LightGBM.model_validate({**whole, "use_quantized_grad": bits}).fit(stream, np.random.default_rng(0))
        for bits in (False, True, True)
    )
    assert quantised.saved() == again.saved() != plain.saved()
    X = panel.block(7).matrix(["raw"])
    assert np.corrcoef(quantised.predict(X), plain.predict(X))[0, 1] > 0.95
    for part in ({"colsample_bytree": 0.9}, {"subsample": 0.9}):
        with pytest.raises(ValueError, match=r"use_quantized_grad needs colsample_bytree: 1.0 and subsample: 1.0"):
            LightGBM.model_validate({**whole, "use_quantized_grad": True, **part})


def test_no_float_copy_of_all_rows_is_ever_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are dropped as they go: at no time are more than a few of them alive."""
    import weakref

    panel = make_panel(n_eras=40, n_rows=50)
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    floats, bins = TrainingStream.__getitem__, TrainingStream.in_bins

    def watch(X: np.ndarray) -> None:
        nonlocal most
        alive.append(weakref.ref(X))
        most = max(most, sum(ref() is not None for ref in alive))

    def watched_floats(self: TrainingStream, i: int) -> object:
        batch = floats(self, i)
        watch(batch.X)
        return batch

    def watched_bins(self: TrainingStream, i: int) -> object:
        X, y = bins(self, i)
        watch(X)
        return X, y

    monkeypatch.setattr(TrainingStream, "__getitem__", watched_floats)
    monkeypatch.setattr(TrainingStream, "in_bins", watched_bins)
    for kind in ("xgboost", "lightgbm", "ridge", "mlp", "tabm"):
        alive.clear()
        component(kind).fit(TrainingStream(panel, ("raw",), panel.raw_names, 0), np.random.default_rng(0))
        assert len(alive) >= 40
    assert most <= 3
