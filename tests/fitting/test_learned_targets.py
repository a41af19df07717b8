"""Targets of variants: what models and augmenters learn, from which rows, and what their scores stay against."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.augmenters.copula import Copula
from numerai_lab.config.loading import load_recorded
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.splits import Splits
from numerai_lab.experiment import run
from numerai_lab.fitting.learned_targets import learning, plan_for, remarks_of
from numerai_lab.fitting.plan import plan
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.stages import fitted_augmenter, rows_stream
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.metrics.era import gauss, numerai_corr, rank
from numerai_lab.report.findings import importances
from numerai_lab.runs.reading import Run
from numerai_lab.storage.scratch import Scratch
from numerai_lab.studies.export_eras import export_eras
from tests.conftest import Quiet, make_config, make_panel, quick
from tests.restored_runs import assert_saved_models_predict_as_recorded

SPLITS = Splits(tuple(range(1, 16)), (16, 17, 22, 23), tuple(range(18, 22)), tuple(range(24, 31)), 2, 2)
RESIDUAL = {"kind": "residual_to_benchmark", "benchmark": "model"}
TRANSFORMS = {"residual": RESIDUAL, "neutral": {"kind": "neutralized", "features": "all"}, "normal": {"kind": "rank_gauss"}}
DATA = {"source": "synthetic", "size": "tiny", "feature_set": "all", "target": "target", "auxiliary_targets": ["other"]}


def panel_with_model(first: int = 1) -> Panel:
    """A panel with an auxiliary target `other`, and with predictions from era `first` on."""
    panel, rng = make_panel(), np.random.default_rng(5)
    assert panel.target is not None
    noise = rng.normal(size=(2, len(panel.ids)))
    predictions = (panel.target + 0.3 * noise[0]).astype(np.float32)
    predictions[: panel.rows(first).start] = np.nan
    other = np.clip(panel.features[:, 0] + noise[1].round(), 0, 4).astype(np.float32) / 4
    return replace(panel, extras={"model": predictions}, auxiliary={"other": Auxiliary(other)})


def config_of(variants: Mapping[str, Any], **changes: Any) -> Config:
    return make_config(data=DATA, variants=variants, **changes)


def context_of(config: Config, panel: Panel, folder: Path) -> RunContext:
    folder.mkdir(parents=True, exist_ok=True)
    return RunContext(config, panel, plan_for(config, SPLITS, panel), Scratch(folder), Quiet(), lambda name, content: None)


def predictions(config: Config, panel: Panel, folder: Path) -> dict[str, Float32]:
    """Predictions by variant, of the first seed."""
    context = context_of(config, panel, folder)
    done = train_and_predict(context, fit_generators(context))
    return {column.variant: done.values[:, i] for i, column in enumerate(done.columns) if column.seed == config.seeds[0]}


def garbage_after_training(panel: Panel) -> Panel:
    """Targets, auxiliary ones too, and other models' predictions replaced by garbage in every era after training."""
    first, rng = panel.rows(15).stop, np.random.default_rng(6)

    def poisoned(values: Float32) -> Float32:
        tail = rng.uniform(-9, 9, len(values) - first)
        return np.concatenate([values[:first], tail]).astype(np.float32)

    assert panel.target is not None
    auxiliary = {name: Auxiliary(poisoned(target.values)) for name, target in panel.auxiliary.items()}
    extras = {name: poisoned(values) for name, values in panel.extras.items()}
    return replace(panel, target=poisoned(panel.target), auxiliary=auxiliary, extras=extras)


def test_garbage_in_targets_and_benchmarks_of_validation_changes_no_prediction(tmp_path: Path) -> None:
    variants = {
        "baseline": {},
        **{name: {"target_transform": transform, "augment": ["drawn"]} for name, transform in TRANSFORMS.items()},
        "both": {"targets": ["target", "other"], "target_transform": RESIDUAL},
    }
    config = config_of(variants, augmenters={"drawn": quick("copula")})
    panel = panel_with_model()
    clean = predictions(config, panel, tmp_path / "clean")
    dirty = predictions(config, garbage_after_training(panel), tmp_path / "dirty")
    for name in variants:
        np.testing.assert_array_equal(clean[name], dirty[name])
        assert name == "baseline" or not np.array_equal(clean[name], clean["baseline"])


def test_a_model_of_the_residual_does_not_follow_the_benchmark_and_one_of_another_target_follows_that(tmp_path: Path) -> None:
    panel = panel_with_model()
    assert panel.target is not None
    strong = [i for i in range(12) if np.corrcoef(panel.features[:, i], panel.target)[0, 1] > 0.2]
    panel.extras["model"][:] = panel.features[:, strong].sum(1)
    config = config_of({"baseline": {}, "residual": {"target_transform": RESIDUAL}, "other": {"targets": ["other"]}})
    done = predictions(config, panel, tmp_path)
    later = np.concatenate([np.arange(*panel.bounds[era - 1]) for era in SPLITS.validation])
    with_model, with_other = (
        {name: float(np.corrcoef(values, of[later])[0, 1]) for name, values in done.items()}
        for of in (panel.extras["model"], panel.auxiliary["other"].values)
    )
    assert with_model["baseline"] > 0.5
    assert abs(with_model["residual"]) < 0.2
    assert with_other["other"] > with_other["baseline"] + 0.2


def test_models_of_several_targets_are_averaged_by_their_ranks_within_eras(tmp_path: Path) -> None:
    variants = {"baseline": {}, "other": {"targets": ["other"]}, "both": {"targets": ["target", "other"]}}
    done = predictions(config_of(variants), panel_with_model(), tmp_path)
    pair = np.column_stack([done["baseline"], done["other"]]).astype(np.float64).reshape(-1, 40, 2)
    np.testing.assert_allclose(done["both"].reshape(-1, 40), [rank(era).mean(1) for era in pair], atol=1e-6)
    alone = predictions(config_of({"baseline": {"targets": ["target"]}}), panel_with_model(), tmp_path / "alone")
    np.testing.assert_array_equal(alone["baseline"], done["baseline"])


def test_augmenters_see_the_transformed_target_and_their_rows_inherit_it(tmp_path: Path) -> None:
    seen: list[Float32] = []

    class Curious(Copula):
        def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> "Curious":
            assert panel.target is not None
            seen.append(np.array(panel.target))
            return super().fit(panel, rng)

    config = config_of(
        {"baseline": {}, "v": {"augment": ["again", "drawn"], "target_transform": TRANSFORMS["normal"]}},
        augmenters={"again": {"kind": "duplicate"}, "drawn": quick("copula")},
    )
    config.augmenters["drawn"] = Curious()
    panel = panel_with_model()
    context = learning(context_of(config, panel, tmp_path), "v", ("target",))
    assert panel.target is not None
    expected = gauss(panel.target[panel.rows(3)][:, None].astype(np.float64))[:, 0].astype(np.float32)
    stream = rows_stream(context, {name: fitted_augmenter(context, name, 0) for name in ("again", "drawn")}, 0)
    (copied,) = (origin for origin in stream.origins_of("again") if origin.era == 3)
    np.testing.assert_array_equal(stream.rows_of(copied).target, expected)
    np.testing.assert_array_equal(seen[0][panel.rows(3)], expected)
    assert np.isnan(seen[0][panel.rows(15).stop :]).all()
    (drawn,) = (origin for origin in stream.origins_of("drawn") if origin.era == 3)
    invented = stream.rows_of(drawn).target
    assert invented is not None
    assert invented.min() < -1.5  # not the tournament's 0 … 1


def test_columns_of_rows_drawn_for_one_target_are_not_those_of_another(tmp_path: Path) -> None:
    parts = {"features": ["raw", "p"], "augment": ["drawn"]}
    settings: dict[str, Any] = {"generators": {"p": quick("pca")}, "augmenters": {"drawn": quick("copula")}}
    both = {"baseline": parts, "other": {**parts, "targets": ["other"]}}
    panel = panel_with_model()
    beside = predictions(config_of(both, **settings), panel, tmp_path / "beside")
    alone = predictions(config_of({"other": both["other"]}, **settings), panel, tmp_path / "alone")
    np.testing.assert_array_equal(beside["other"], alone["other"])


def test_eras_and_rows_without_the_benchmark_are_left_out_and_it_is_said() -> None:
    panel = panel_with_model(first=6)
    panel.extras["model"][panel.rows(6)][:10] = np.nan
    config = config_of({"baseline": {}, "residual": {"target_transform": RESIDUAL}})
    fit_plan = plan_for(config, SPLITS, panel)
    assert (fit_plan.models["baseline"], fit_plan.models["residual"]) == (SPLITS.train, tuple(range(6, 16)))
    assert [*remarks_of(fit_plan, panel)] == [
        "variants.residual learns from 210 fewer rows than others (5 eras as a whole): model has no prediction for them"
    ]


@pytest.mark.parametrize(
    ("transform", "first", "message"),
    [
        ({**RESIDUAL, "benchmark": "modle"}, 1, "target_transform.benchmark: the data has no predictions 'modle'; did you mean"),
        (RESIDUAL, 15, "1 of 15 training eras have what residual_to_benchmark reads, and a model needs 2"),
        (RESIDUAL, 16, "0 of 15 training eras"),
    ],
)
def test_a_benchmark_that_does_not_cover_training_eras_is_refused(transform: dict[str, Any], first: int, message: str) -> None:
    config = config_of({"baseline": {}, "residual": {"target_transform": transform}})
    with pytest.raises(NlabError, match=message):
        plan_for(config, SPLITS, panel_with_model(first))


def test_a_target_of_which_the_features_leave_nothing_is_refused(tmp_path: Path) -> None:
    panel = panel_with_model()
    few = replace(panel, bounds=panel.bounds - [[0, 30]])  # 10 rows an era, explained by 12 features
    config = config_of({"baseline": {"target_transform": TRANSFORMS["neutral"]}})
    with pytest.raises(NlabError, match="0 of 15 training eras have anything of 'target' left to learn after neutralized"):
        learning(context_of(config, few, tmp_path), "baseline", ("target",))


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"v": {"targets": ["othr"]}}, "variants.v.targets: 'othr' is not read; did you mean 'other'"),
        ({"v": {"targets": ["other", "other"]}}, "variants.v.targets: 'other' stands twice"),
        ({"v": {"target_transform": {"kind": "rank_gaus"}}}, "target_transform.kind: unknown 'rank_gaus', did you mean"),
        ({"v": {"target_transform": {}}}, "target_transform.kind: missing, known: residual_to_benchmark, neutralized, rank_g"),
        ({"v": {"target_transform": {"kind": "neutralized"}}}, "variants.v.target_transform.features: missing"),
        ({"v": {"target_transform": {**RESIDUAL, "share": 1}}}, "variants.v.target_transform.share: unknown key"),
        ({"a": {}, "b": {}, "v": {"ensemble": ["a", "b"], "targets": ["other"]}}, "leave out targets"),
        ({"v": {"augment": ["g"], "target_transform": {"kind": "rank_gauss"}}}, "'g' gives rows the tournament's target val"),
    ],
)
def test_bad_targets_are_refused_before_data_is_read(variants: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        config_of(variants, augmenters={"g": quick("gmm_targets")})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    variants = {
        "baseline": {},
        "both": {"targets": ["target", "target_cyrusd_20"]},
        "residual": {
            "augment": ["drawn"],
            "target_transform": {"kind": "residual_to_benchmark", "benchmark": "lab_lgbm_ender20"},
        },
    }
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_20"]}
    drawn = {**quick("gmm_targets"), "bins": "train"}
    config = make_config(data=data, variants=variants, seeds=[1, 2], augmenters={"drawn": drawn}, splits={})
    assert plan(config).trainings == 8
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


def test_scores_are_against_the_runs_target_and_notes_say_what_was_learned(done: Run) -> None:
    table, eras = (pl.read_parquet(done.path / f"{name}.parquet") for name in ("predictions", "per_era"))
    era = table.filter(pl.col("era") == 75)
    target: Float64 = era["target"].to_numpy().astype(np.float64)
    for name in ("both", "residual"):
        scored = eras.filter(pl.col("era") == 75, pl.col("variant") == name, pl.col("seed") == 1)["corr"].item()
        assert scored == pytest.approx(numerai_corr(era[f"{name}@1"].to_numpy()[:, None].astype(np.float64), target)[0])
    notes = dict(done.scores.filter(pl.col("split") == "val").select("variant", "notes").rows())
    assert notes["both"] == "learns target and target_cyrusd_20"
    assert notes["residual"] == "learns the residual to lab_lgbm_ender20; trained on 35 of 60 eras"
    assert not notes["baseline"]
    assert not any("auxiliary" in warning for warning in done.manifest["warnings"])


def test_saved_models_of_several_targets_predict_as_in_the_run(done: Run) -> None:
    assert_saved_models_predict_as_recorded(done, "both", "residual")
    names = {path.name for path in (done.path / "models").iterdir()}
    assert {"both@1-target1.safetensors", "both@1-target2.safetensors", "baseline@1.safetensors"} <= names
    assert not any(name.startswith("augmenter-") for name in names)
    assert {*importances(done, load_recorded(done.path / "config.yaml"), 60)} == {"baseline", "both", "residual"}


def test_rows_of_an_augmenter_that_learned_another_target_are_not_exported(done: Run, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="it learned other targets than the run's, for residual"):
        export_eras(done.path, "drawn", 1, tmp_path / "rows.parquet", Quiet())
