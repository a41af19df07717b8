"""One model that learns several targets at once: which rows it learns from, what it predicts, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.splits import Splits
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.experiment import run
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.learned_targets import learning, plan_for, remarks_of
from numerai_lab.fitting.plan import plan
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import check_methods, fit_generators, train_and_predict
from numerai_lab.metrics.era import rank
from numerai_lab.models import XGBoost
from numerai_lab.runs.reading import Run
from numerai_lab.storage.scratch import Scratch
from numerai_lab.tournament.deploy import deploy
from numerai_lab.tournament.prediction import predictor_of
from numerai_lab.tournament.refit import refitted
from tests.conftest import Quiet, component, make_config, make_panel, quick
from tests.restored_runs import assert_saved_models_predict_as_recorded
from tests.tournament.test_equality import assert_equal, validation

SPLITS = Splits(tuple(range(1, 16)), (16, 17, 22, 23), tuple(range(18, 22)), tuple(range(24, 31)), 2, 2)
DATA = {"source": "synthetic", "size": "tiny", "feature_set": "all", "target": "target", "auxiliary_targets": ["other"]}
JOINT = {"kind": "xgboost", "multi_strategy": "multi_output_tree", "learning_rate": 0.3, "colsample_bytree": 0.5, "n_jobs": 1}
BOTH = {"targets": ["target", "other"]}


def two_targets(n_rows: int = 40) -> Panel:
    """A panel with targets `other` and `target`: noise around one signal of the first two features."""
    panel, rng = make_panel(n_rows=n_rows), np.random.default_rng(5)
    signal = (panel.features[:, 0] - panel.features[:, 1].astype(np.float32)) / 8
    target, other = (signal + 0.3 * rng.normal(size=(2, len(signal)))).astype(np.float32)
    return replace(panel, target=target, auxiliary={"other": Auxiliary(other)})


def joint(**parameters: Any) -> XGBoost:
    return XGBoost.model_validate({**JOINT, "n_estimators": 20, **parameters})


def config_of(variants: dict[str, Any], **changes: Any) -> Config:
    return make_config(**{"data": DATA, "variants": variants, "model": {**JOINT, "n_estimators": 20}, **changes})


def context_of(config: Config, panel: Panel, folder: Path) -> RunContext:
    folder.mkdir(parents=True, exist_ok=True)
    return RunContext(config, panel, plan_for(config, SPLITS, panel), Scratch(folder), Quiet(), lambda name, content: None)


def predictions(config: Config, panel: Panel, folder: Path) -> dict[str, Float32]:
    context = context_of(config, panel, folder)
    done = train_and_predict(context, fit_generators(context))
    return {column.variant: done.values[:, i] for i, column in enumerate(done.columns)}


def stream_of(panel: Panel) -> TrainingStream:
    return TrainingStream(panel, ("raw",), panel.raw_names, 0)


def trees_of(model: XGBoost) -> list[dict[str, Any]]:
    content = json.loads(model.saved()[1])
    trees: list[dict[str, Any]] = content["learner"]["gradient_booster"]["model"]["trees"]
    return trees


def plainly_trained(X: Float32, Y: Float32, weight: Float32 | None = None) -> Any:
    """What XGBoost makes of rows and a label matrix by itself, with the seed that a run gives it."""
    import xgboost

    seed = int(rng_for(0, "model").integers(2**31 - 1)) % 2**31
    parameters = {"tree_method": "hist", "max_depth": 5, "max_bin": 16, "learning_rate": 0.3, "colsample_bytree": 0.5}
    matrix = xgboost.QuantileDMatrix(X, Y, weight=weight, max_bin=16)
    return xgboost.train({**parameters, "multi_strategy": "multi_output_tree", "seed": seed, "nthread": 1}, matrix, 20)


def test_it_predicts_the_mean_rank_of_the_outputs_of_plain_xgboost_on_rows_where_all_targets_are_known(tmp_path: Path) -> None:
    panel = two_targets()
    assert panel.target is not None
    panel.target[::7] = np.nan
    panel.auxiliary["other"].values[::5] = np.nan
    done = predictions(config_of({"baseline": {}, "both": BOTH}), panel, tmp_path)

    Y = np.column_stack([panel.auxiliary["other"].values, panel.target])
    rows = np.arange(panel.rows(15).stop)
    known = rows[np.isfinite(Y[rows]).all(1)]
    assert len(known) < 0.75 * len(rows)
    booster = plainly_trained(panel.features[known].astype(np.float32), Y[known])
    eras = [booster.inplace_predict(block.matrix(["raw"])) for block in panel.only(SPLITS.validation).blocks()]
    expected = np.concatenate([rank(outputs.astype(np.float64)).mean(1) for outputs in eras])
    np.testing.assert_allclose(done["both"], expected, atol=1e-6)
    assert [*remarks_of(plan_for(config_of({"both": BOTH}), SPLITS, panel), panel)] == [
        f"variants.both leaves out {len(rows) - len(rows[::35]) - len(known)} of {len(rows) - len(rows[::35])} training rows, "
        "where some of other and target is unknown: one model learns them together"
    ]


def test_its_trees_hold_a_value_for_each_target_and_those_of_one_target_are_the_usual_ones() -> None:
    panel = two_targets().only(range(1, 16))
    alone = replace(panel, auxiliary={})
    model = joint().fit(stream_of(panel), np.random.default_rng(0))
    assert len(trees_of(model)) == 20
    assert {tree["tree_param"]["size_leaf_vector"] for tree in trees_of(model)} == {"2"}
    usual = XGBoost.model_validate({**model.model_dump(), "multi_strategy": "one_output_per_tree"})
    of_one, as_usual = (each.fit(stream_of(alone), np.random.default_rng(0)) for each in (model.fresh(), usual))
    assert of_one.saved() == as_usual.saved()
    importance = model.importance()
    assert importance is not None
    assert set(np.argsort(importance)[-2:]) == {0, 1}


def test_a_shared_signal_is_learned_better_by_one_model_of_two_targets_than_by_one_of_each(tmp_path: Path) -> None:
    panel = two_targets(n_rows=30)
    own = {"model": {**JOINT, "multi_strategy": "one_output_per_tree", "n_estimators": 20, "max_depth": 3}}
    shallow = {"model": {**JOINT, "n_estimators": 20, "max_depth": 3}}
    done = predictions(config_of({"one": own, "both": {**BOTH, **shallow}}, model={"kind": "ridge"}), panel, tmp_path)
    later = np.concatenate([np.arange(first, last) for first, last in panel.only(SPLITS.validation).bounds])
    signal = panel.features[later, 0] - panel.features[later, 1].astype(float)
    assert np.corrcoef(done["both"], signal)[0, 1] > np.corrcoef(done["one"], signal)[0, 1] + 0.02


def test_a_killed_training_and_one_from_the_disk_end_with_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = two_targets().only(range(1, 16))
    monkeypatch.setattr("numerai_lab.models.boosting.KEEP_EVERY", 0.0)
    model = joint(n_estimators=120, subsample=0.5, max_depth=2)
    whole = model.fresh().fit(stream_of(panel), np.random.default_rng(0)).saved()
    checkpoints: list[Any] = []

    def killed(done: int, total: int, note: str = "") -> None:
        if done == 110:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fresh().fit(stream_of(panel), np.random.default_rng(0), FitContext(killed, save_checkpoint=checkpoints.append))
    resumed = FitContext(load_checkpoint=lambda: dict(checkpoints[-1]))
    assert model.fresh().fit(stream_of(panel), np.random.default_rng(0), resumed).saved() == whole
    outside = model.model_copy(update={"external_memory": True})
    assert outside.fit(stream_of(panel), np.random.default_rng(0)).saved() == whole


def test_transforms_change_each_target_and_what_only_one_lacks_is_left_out_of_both(tmp_path: Path) -> None:
    panel = two_targets()
    assert panel.target is not None
    panel.target[panel.rows(3)][:4] = np.nan
    config = config_of({"both": {**BOTH, "target_transform": {"kind": "rank_gauss"}}})
    learned = learning(context_of(config, panel, tmp_path), "both", ("other", "target")).panel
    assert learned.target is not None
    first, second = learned.target[panel.rows(3)], learned.auxiliary["target"].values[panel.rows(3)]
    assert np.isnan(first[:4]).all()
    assert np.isnan(second[:4]).all()
    for values, of in ((first, panel.auxiliary["other"].values), (second, panel.target)):
        assert np.array_equal(np.argsort(values[4:]), np.argsort(of[panel.rows(3)][4:]))
    assert np.isnan(learned.auxiliary["target"].values[panel.rows(15).stop :]).all()


def test_weights_that_depend_on_no_target_are_those_of_plain_xgboost() -> None:
    panel = two_targets().only(range(1, 16))
    recent = component("recency", half_life=2.0).fit(panel, np.random.default_rng(0))
    stream = replace(stream_of(panel), augmenters={"recent": recent})
    model = joint().fit(stream, rng_for(0, "model"))
    Y, n = np.column_stack([panel.target, panel.auxiliary["other"].values]), panel.rows(15).stop  # type: ignore[list-item]
    X, ages = panel.features.astype(np.float32), np.repeat(np.arange(14, -1, -1), 40)
    booster = plainly_trained(X[:n], Y[:n], weight=0.5 ** (ages / 2) / np.mean(0.5 ** (ages / 2)))
    np.testing.assert_allclose(model.predict(X[n:]), booster.inplace_predict(X[n:]), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"booster": "dart"}, "XGBoost has no multi_strategy: multi_output_tree for booster: dart; leave one out"),
        ({"era_boost": {"every": 10}}, "has several targets, and era_boost ranks eras by one; leave one out"),
        ({"multi_strategy": "multi_output"}, "model.multi_strategy: "),
    ],
)
def test_what_can_not_learn_jointly_is_refused_by_the_model(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        config_of({"both": BOTH}, model={**JOINT, **changes})


@pytest.mark.parametrize("kind", ["duplicate", "copula", "block_dro"])
def test_augmenters_that_know_one_target_are_refused_before_data_is_read(kind: str) -> None:
    both = {"both": {**BOTH, "augment": ["a"]}}
    with pytest.raises(NlabError, match="variants.both.augment: 'a' knows one target, and the model learns 2 at once; leave it"):
        config_of(both, augmenters={"a": quick(kind)})
    config_of({"one": {"augment": ["a"]}, "both": BOTH}, augmenters={"a": quick(kind)})


def test_a_joint_model_that_no_variant_gives_several_targets_is_refused() -> None:
    with pytest.raises(NlabError, match=r"  model.multi_strategy: multi_output_tree learns several targets at once, and no vari"):
        config_of({"baseline": {}})
    own = {"model": JOINT, "targets": ["other"]}
    with pytest.raises(NlabError, match=r"variants.v.model.multi_strategy: multi_output_tree learns several"):
        config_of({"baseline": {}, "v": own}, model=quick("ridge"))


def test_an_older_xgboost_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.models.boosting.version", lambda name: "3.1.2")
    config, panel = config_of({"both": BOTH}), two_targets()
    with pytest.raises(NlabError, match="model: multi_strategy: multi_output_tree needs XGBoost 3.2, 3.1.2 is installed; pip"):
        check_methods(config, panel, FitPlan.of(config, SPLITS))


def test_targets_that_are_never_known_together_are_refused(tmp_path: Path) -> None:
    panel = two_targets()
    assert panel.target is not None
    panel.target[: panel.rows(14).stop] = np.nan
    with pytest.raises(NlabError, match="variants.both: 1 of 15 training eras have anything of 'other' and 'target' together"):
        learning(context_of(config_of({"both": BOTH}), panel, tmp_path), "both", ("other", "target"))


def test_the_embargo_follows_the_longest_horizon_of_the_targets() -> None:
    def embargo(further: str) -> int:
        data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": [further]}
        both = {"both": {"targets": ["target", further]}}
        return plan(make_config(data=data, variants=both, model=JOINT, splits={})).splits.embargo_eras

    assert (embargo("target_cyrusd_20"), embargo("target_cyrusd_60")) == (8, 16)


def test_the_estimate_counts_labels_of_all_targets_and_one_file_for_all() -> None:
    def needs(**parameters: Any) -> Any:
        config = config_of({"both": BOTH}, model={**JOINT, **parameters})
        return need(EstimateInputs(FitPlan.of(config, SPLITS), dict.fromkeys(range(1, 31), 50_000), 780))

    together, apart = needs(), needs(multi_strategy="one_output_per_tree")
    assert together.memory_bytes - apart.memory_bytes == 24 * 15 * 50_000
    size = XGBoost.model_validate(JOINT).saved_bytes(15 * 50_000, 780)
    assert apart.disk_bytes - together.disk_bytes == pytest.approx(2 * 0.65 * size, abs=2)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_20"]}
    variants = {"baseline": {}, "both": {"targets": ["target", "target_cyrusd_20"]}}
    model = {**JOINT, "n_estimators": 15}
    config = make_config(data=data, variants=variants, seeds=[1, 2], model=model, splits={})
    assert plan(config).trainings == 2 * 2
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


def test_a_run_keeps_one_model_a_seed_which_predicts_as_in_the_run(done: Run) -> None:
    names = {path.stem for path in (done.path / "models").glob("*@*")}
    assert names == {f"{name}@{seed}" for name in ("baseline", "both") for seed in (1, 2)}
    assert_saved_models_predict_as_recorded(done, "both")
    notes = dict(done.scores.filter(pl.col("split") == "val").select("variant", "notes").rows())
    assert notes == {"baseline": "", "both": "learns target and target_cyrusd_20 in one model"}


def test_its_folder_predicts_other_files_and_is_trained_again_and_is_not_deployed(done: Run, tmp_path: Path) -> None:
    predictor = predictor_of(done, "both")
    rows = validation(predictor.config.data, tmp_path)
    assert_equal(done, rows)
    again = refitted(done, predictor, Quiet())
    assert again.facts.variants["both"].models == {seed: (f"models/both@{seed}.json",) for seed in (1, 2)}
    assert np.isfinite(again.predict(rows, Quiet()).values).all()
    with pytest.raises(NlabError, match="variants.both: xgboost with several outputs can't be deployed; train a model for each"):
        deploy(done.path, tmp_path / "model", Quiet(), "both")
