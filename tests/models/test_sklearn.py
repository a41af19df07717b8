"""Regressors of scikit-learn by name: which ones there are, what they learn, and files that run no code."""

import io
import json
import logging
import pickle
import sys
import warnings
import zipfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.utils.discovery import all_estimators

from numerai_lab.augmenters.weigher import Weigher
from numerai_lab.config.loading import parse_config
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.sklearn_files import from_bytes, to_bytes
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting import room
from numerai_lab.fitting.room import refuse_too_much
from numerai_lab.models.sklearn import Sklearn
from tests.conftest import make_config, make_panel
from tests.faults.mutated import mutated
from tests.fitting.test_estimate import task

PANEL = make_panel(n_rows=30, n_features=6)
STREAM = TrainingStream(PANEL.only(range(1, 21)), ("raw",), PANEL.raw_names, 0)
X = PANEL.block(25).matrix(["raw"])
REFUSED = {
    "GammaRegressor": "out of the valid range",
    "IsotonicRegression": "1 feature",
    "CCA": "upper bound is 1",
    "PLSCanonical": "upper bound is 1",
    "MultiTaskElasticNet": "use ElasticNet",
    "MultiTaskElasticNetCV": "use ElasticNet",
    "MultiTaskLasso": "use ElasticNet",
    "MultiTaskLassoCV": "use LassoCV",
}
"""Regressors that no rows of this kind can be given to, and what scikit-learn says."""
QUICK: dict[str, dict[str, Any]] = {
    "QuantileRegressor": {"alpha": 0.001},
    "RadiusNeighborsRegressor": {"radius": 100.0},
}


def fitted(name: str, stream: TrainingStream = STREAM, max_rows: int | None = None, **parameters: Any) -> Sklearn:
    model = Sklearn(estimator=name, parameters=parameters, max_rows=max_rows)
    return model.fit(stream, np.random.default_rng(0))


@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
@pytest.mark.parametrize("name", [name for name, _ in all_estimators(type_filter="regressor")])
def test_every_regressor_trains_and_comes_back_as_it_was_or_is_refused_in_one_sentence(name: str) -> None:
    try:
        model = Sklearn(estimator=name, parameters=QUICK.get(name, {}))
    except ValueError as error:
        assert "other estimators can't be named in a config" in str(error)
        return
    refusal = model.refusal(PANEL)
    if name in REFUSED:
        assert refusal.startswith(f"{name} fails on ")
        assert REFUSED[name] in refusal
        assert "\n" not in refusal
        return
    assert refusal == ""
    model.fit(STREAM, np.random.default_rng(0))
    suffix, content = model.saved()
    assert suffix == ".skops"
    predictions = model.predict(X)
    assert predictions.dtype == np.float32
    np.testing.assert_array_equal(model.loaded(content).predict(X), predictions)
    assert content == model.fresh().fit(STREAM, np.random.default_rng(0)).saved()[1]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Ridge", {"alpha": 3.0}),
        ("ElasticNet", {"alpha": 0.001}),
        ("sklearn.ensemble.ExtraTreesRegressor", {"n_estimators": 10, "max_depth": 4}),
        ("HistGradientBoostingRegressor", {"max_iter": 10}),
        ("KNeighborsRegressor", {"n_neighbors": 20}),
        ("sklearn.svm.SVR", {"C": 0.1}),
        ("MLPRegressor", {"hidden_layer_sizes": [8], "max_iter": 300, "tol": 1e-2}),
    ],
)
def test_it_is_what_scikit_learn_gives_for_the_whole_matrix(name: str, parameters: dict[str, Any]) -> None:
    whole = np.concatenate([batch.X for batch in STREAM])
    cls = dict(all_estimators(type_filter="regressor"))[name.rpartition(".")[2]]
    seed = {"random_state": int(np.random.default_rng(0).integers(2**31 - 1))}
    seed = seed if "random_state" in cls().get_params() else {}
    theirs = cls(**parameters, **seed).fit(whole, STREAM.targets()).predict(X)
    np.testing.assert_array_equal(fitted(name, **parameters).predict(X), theirs.astype(np.float32))


@pytest.mark.parametrize(
    "name",
    [
        "antigravity.Regressor",
        "os.system",
        "sklearn.utils._testing.MinimalRegressor",
        "sklearn.ensemble._forest.ExtraTreesRegressor",
        "xgboost.XGBRegressor",
        "sklearn.ensemble.__builtins__",
        "..svm.SVR",
        "svm.SVR",
        "",
    ],
)
def test_names_outside_scikit_learn_are_refused_and_import_nothing(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(NlabError) as refused:
        make_config(model={"kind": "sklearn", "estimator": name})
    assert "model.estimator: " in str(refused.value)
    assert "regressor" in str(refused.value)
    assert {module for module in set(sys.modules) - before if not module.startswith(("sklearn", "scipy"))} == set()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"estimator": "ExtraTreeRegresor"}, "did you mean 'ExtraTreeRegressor'"),
        ({"estimator": "mypackage.MyRegressor"}, "a class of another package needs a plug-in"),
        ({"estimator": "RandomForestClassifier"}, "is no regressor; did you mean 'RandomForestRegressor'"),
        ({"estimator": "VotingRegressor"}, "needs estimators, and other estimators can't be named in a config"),
        (
            {"estimator": "Ridge", "parameters": {"alhpa": 1.0}},
            "parameters.alhpa: Ridge has no such parameter; did you mean",
        ),
        ({"estimator": "Ridge", "parameters": {"random_state": 1}}, "random_state: it comes from the run's seed; leave it out"),
        ({"estimator": "Ridge", "parameters": {"alpha": -1.0}}, "'alpha' parameter of Ridge must be"),
        ({"estimator": "Ridge", "parameters": {"alpha": sys}}, "parameters.alpha: got <module 'sys' (built-in)>, wanted numbers"),
        ({"estimator": "Ridge", "parameters": [1]}, "model.parameters: "),
        ({"max_rows": 3}, "model.max_rows: "),
    ],
)
def test_a_wrong_model_is_refused_in_a_sentence_when_the_config_is_read(model: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError) as refused:
        make_config(model={"kind": "sklearn", **model})
    assert message in str(refused.value)
    assert "1 problem" in str(refused.value)


class Doubled(Weigher):
    """The first half of an era's rows counts, the rest does not."""

    def weigh(self, era: int, n_rows: int) -> Float32:
        return (np.arange(n_rows) < n_rows // 2).astype(np.float32)


def test_weights_reach_scikit_learn_and_are_refused_where_it_takes_none() -> None:
    weighted = replace(STREAM, augmenters={"w": Doubled()})
    first_halves = np.concatenate([np.arange(len(batch.y)) < len(batch.y) // 2 for batch in STREAM])
    whole = np.concatenate([batch.X for batch in STREAM])[first_halves]
    from sklearn.linear_model import LinearRegression

    theirs = LinearRegression().fit(whole, STREAM.targets()[first_halves]).predict(X)
    np.testing.assert_allclose(fitted("LinearRegression", weighted).predict(X), theirs, atol=1e-5)
    raw = {"augmenters": {"age": {"kind": "recency"}}, "variants": {"baseline": {}, "aged": {"augment": ["age"]}}}
    make_config(model={"kind": "sklearn", "estimator": "Ridge"}, **raw)
    with pytest.raises(NlabError, match=r"variants.aged.augment: 'age' gives rows weights, and the model takes none"):
        make_config(model={"kind": "sklearn", "estimator": "KNeighborsRegressor"}, **raw)
    light = {"augmenters": {"cut": {"kind": "cutout", "weight": 0.5}}, "variants": {"baseline": {}, "cut": {"augment": ["cut"]}}}
    with pytest.raises(NlabError, match="'cut' gives rows weights"):
        make_config(model={"kind": "sklearn", "estimator": "KNeighborsRegressor"}, **light)


def test_max_rows_draws_the_same_share_of_every_era() -> None:
    marked = replace(PANEL, features=np.repeat(np.repeat(np.arange(30, dtype=np.float32), 30)[:, None], 6, axis=1))
    stream = TrainingStream(marked.only(range(1, 21)), ("raw",), marked.raw_names, 0)
    model = fitted("KNeighborsRegressor", stream, max_rows=150, n_neighbors=1)
    eras, counts = np.unique(model.estimator_._fit_X[:, 0], return_counts=True)
    assert eras.tolist() == list(range(20))
    assert sorted(set(counts.tolist())) == [7, 8]
    assert counts.sum() == 150
    again = fitted("KNeighborsRegressor", stream, max_rows=150, n_neighbors=1)
    assert model.saved() == again.saved()
    assert len(fitted("KNeighborsRegressor", stream, max_rows=10**6).estimator_._fit_X) == 600


def test_what_scikit_learn_refuses_on_the_real_rows_is_a_failure_in_one_line() -> None:
    with pytest.raises(NlabFailure, match=r"PLSRegression can't learn from 600 rows: `n_components` upper bound is 6"):
        fitted("PLSRegression", n_components=7)


def test_neighbours_beyond_the_smaller_trial_are_tried_on_more_rows() -> None:
    assert Sklearn(estimator="KNeighborsRegressor", parameters={"n_neighbors": 2000}).refusal(PANEL) == ""


def test_warnings_are_logged_once_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "nlab"), warnings.catch_warnings(action="error"):
        fitted("MLPRegressor", hidden_layer_sizes=[4], max_iter=1)
    (record,) = caplog.records
    assert record.getMessage().startswith("MLPRegressor: Stochastic Optimizer: Maximum iterations (1)")


def test_rows_that_do_not_fit_as_a_matrix_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: int(2e9))
    dense = {"kind": "sklearn", "estimator": "Ridge"}
    with pytest.raises(NlabError, match="5.0 GB of memory needed, 2.0 GB free"):
        refuse_too_much(task(model=dense), tmp_path)
    refuse_too_much(task(model={**dense, "max_rows": 100_000}), tmp_path)
    with pytest.raises(NlabError, match="of memory needed"):
        refuse_too_much(task(model={"kind": "sklearn", "estimator": "KernelRidge", "max_rows": 30_000}), tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ExtraTreesRegressor", {"n_estimators": 5}),
        ("RandomForestRegressor", {"n_estimators": 5, "bootstrap": False, "min_samples_leaf": 10}),
        ("DecisionTreeRegressor", {"max_depth": 6}),
        ("GradientBoostingRegressor", {"n_estimators": 20}),
        ("HistGradientBoostingRegressor", {"max_iter": 20}),
    ],
)
def test_the_estimated_size_of_trees_is_never_too_little_and_seldom_too_much(name: str, parameters: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    noise = replace(PANEL, target=rng.normal(size=len(PANEL.ids)).astype(np.float32), features=rng.random((900, 6), np.float32))
    model = fitted(name, TrainingStream(noise.only(range(1, 31)), ("raw",), noise.raw_names, 0), **parameters)
    if name == "HistGradientBoostingRegressor":
        true = sum(72 * tree.get_n_leaf_nodes() * 2 for (tree,) in model.estimator_._predictors)
    else:
        trees = np.ravel(getattr(model.estimator_, "estimators_", model.estimator_))
        true = sum(72 * tree.tree_.node_count for tree in trees)
    assert true <= model._tree_bytes(900) <= 2.5 * true


def test_a_file_that_names_anything_else_is_refused_and_runs_nothing() -> None:
    content = fitted("Ridge").saved()[1]
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        schema, arrays = json.loads(parts.read("schema.json")), {name: parts.read(name) for name in parts.namelist()}
    for module, name in (("os", "system"), ("builtins", "exec"), ("sklearn.gaussian_process.kernels", "namedtuple")):
        forged = io.BytesIO()
        with zipfile.ZipFile(forged, "w") as file:
            changed = {"schema.json": json.dumps({**schema, "__module__": module, "__class__": name})}
            for part, values in (arrays | changed).items():
                file.writestr(part, values)
        with pytest.raises(ValueError, match=f"it holds {module}.{name}"):
            from_bytes(forged.getvalue())
    with pytest.raises(ValueError, match="no whole model of scikit-learn"):
        from_bytes(pickle.dumps(schema))
    with pytest.raises(ValueError, match="the file holds a Ridge, and the config names Lasso"):
        Sklearn(estimator="Lasso").loaded(content)


@pytest.mark.parametrize("name", ["Ridge", "KNeighborsRegressor"])
def test_a_damaged_file_is_refused_or_read(name: str) -> None:
    content = fitted(name).saved()[1]
    refused = 0
    for seed in range(300):
        try:
            Sklearn(estimator=name).loaded(mutated(content, np.random.default_rng(seed)))
        except ValueError:
            refused += 1
    assert refused > 250


def test_the_same_state_gives_the_same_bytes_wherever_it_lies() -> None:
    model = fitted("ExtraTreesRegressor", n_estimators=3)
    content = to_bytes(model.estimator_)
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert {part.date_time for part in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert parts.namelist()[:2] == ["00000000.npy", "00000001.npy"]
        assert max(_identities(json.loads(parts.read("schema.json")))) < 10_000
    assert to_bytes(model.estimator_) == content


def _identities(node: Any) -> list[int]:
    if isinstance(node, dict):
        own = [node["__id__"]] if "__id__" in node else []
        return own + [number for value in node.values() for number in _identities(value)]
    return [number for item in node for number in _identities(item)] if isinstance(node, list) else []


def test_a_config_with_a_regressor_is_read_from_its_own_yaml() -> None:
    config = make_config(model={"kind": "sklearn", "estimator": "ElasticNet", "parameters": {"alpha": 0.1}})
    assert parse_config(config.resolved(), "again").model == config.model
