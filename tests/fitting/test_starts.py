"""Runs whose networks begin with the encoder of a generator: its fit, its placebo, and what neither may see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import load_recorded
from numerai_lab.config.placebos import placebos_of
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.experiment import run
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fingerprint import fingerprint
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.notes import notes_of
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, train_and_predict
from numerai_lab.runs.reading import Run
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, make_config, make_panel, quick
from tests.restored_runs import assert_saved_models_predict_as_recorded
from tests.test_leakage import SPLITS, poisoned_features, poisoned_targets

NET: dict[str, Any] = {"kind": "mlp", "start_from": "scarf", "epochs": 2, "learning_rate": 0.01}
SCARF, PCA = quick("contrastive"), quick("pca")


def started(**changes: Any) -> Config:
    raw: dict[str, Any] = {
        "generators": {"scarf": SCARF, "pca": PCA},
        "variants": {"baseline": {}, "net": {"model": NET}, "other": {"features": ["raw", "pca"]}},
    }
    return make_config(**(raw | changes))


def test_the_same_network_begun_at_random_stands_behind_it_and_is_its_placebo() -> None:
    config = started()
    assert list(config.variants) == ["baseline", "net", "net_from_random", "other"]
    learned, random = (config.model_of(name).model_dump() for name in ("net", "net_from_random"))
    assert random == {**learned, "start_weights": "random"}
    assert placebos_of(config).as_dict() == {"placebo": {}, "untrained": {"net": "net_from_random"}}


def test_a_random_start_of_the_users_own_is_not_doubled_whatever_its_name() -> None:
    variants: dict[str, Any] = {"mine": {"features": ["raw"], "model": {**NET, "start_weights": "random"}}, "net": {"model": NET}}
    config = started(variants=variants)
    assert list(config.variants) == ["mine", "net"]
    assert placebos_of(started(variants={"baseline": {}, **variants})).untrained == {"net": "mine"}
    taken = started(variants={"baseline": {}, "net": {"model": NET}, "net_from_random": {"features": ["raw", "pca"]}})
    assert placebos_of(taken).untrained == {"net": "net_from_random_"}


def test_a_recorded_config_gets_no_further_variants(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(started().to_yaml())
    assert load_recorded(tmp_path / "config.yaml").variants == started().variants


def test_the_model_of_the_run_may_begin_with_an_encoder_too() -> None:
    variants = {"baseline": {}, "noise": {"augment": ["n"]}}
    config = started(model=NET, variants=variants, augmenters={"n": {"kind": "gaussian_noise"}})
    assert list(config.variants) == ["baseline", "baseline_from_random", "noise", "noise_from_random"]
    assert placebos_of(config).untrained == {"noise": "noise_from_random"}


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ({"kind": "pca", "n_components": 2}, "'scarf': it has no encoder that is trained without labels"),
        ({"kind": "siamese"}, "'scarf': it learned from targets"),
        ({"kind": "supervised_autoencoder"}, "'scarf': it has no encoder that is trained without labels"),
        ({"kind": "random_encoder"}, "'scarf': its weights are random"),
        ({"kind": "umap"}, "'scarf': mode: auto has no encoder of its own; take mode: parametric"),
        ({"kind": "umap", "mode": "exact"}, "'scarf': mode: exact has no encoder of its own"),
        ({"kind": "umap", "mode": "parametric", "fit_on": "per_era"}, "'scarf': fit_on: per_era trains an encoder for each era"),
        ({"kind": "contrastive", "method": "subtab"}, "'scarf': its columns are means over encoders of subsets"),
        ({"kind": "era_autoencoder", "emit_era": "own"}, "'scarf': a model does not know a row's era; take emit_era: max"),
        ({"kind": "era_autoencoder", "emit": ["era"]}, r"'scarf': emit: \[era\] trains no network"),
    ],
)
def test_a_generator_without_a_usable_encoder_is_refused_in_a_sentence(generator: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=f"variants.net.model.start_from: {message}"):
        started(generators={"scarf": generator, "pca": PCA})


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"model": {**NET, "start_from": "scraf"}}, "model.start_from: no generator 'scraf'; did you mean 'scarf'"),
        ({"features": ["raw", "pca"], "model": NET}, "variants.net.features: .* name them alone, without pca"),
        ({"features": ["scarf"], "model": NET}, "variants.net.features: .* name them alone, without scarf"),
        ({"model": {"kind": "ridge", "start_from": "scarf"}}, "variants.net.model.start_from: unknown key"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_a_sentence(variant: dict[str, Any], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        started(variants={"baseline": {}, "net": variant})


def test_a_start_of_all_default_variants_is_refused() -> None:
    with pytest.raises(NlabError, match=r"model.start_from: without variants, .*variants.NAME.model"):
        started(model=NET, variants=None)


def models_and_predictions(config: Config, panel: Panel, folder: Path) -> tuple[dict[str, bytes], np.ndarray]:
    """Saved components by file, and all predictions."""
    folder.mkdir(parents=True)
    saved: dict[str, bytes] = {}
    context = RunContext(config, panel, FitPlan.of(config, SPLITS), Scratch(folder), Quiet(), saved.__setitem__)
    return saved, train_and_predict(context, fit_generators(context)).values


@pytest.mark.parametrize("fit_on", ["train", "all"])
def test_garbage_after_the_training_eras_reaches_the_network_only_where_the_encoder_sees_all_features(
    fit_on: str, tmp_path: Path
) -> None:
    def outcome(name: str, poison: Callable[[Panel], Panel]) -> tuple[dict[str, bytes], np.ndarray]:
        kinds = {"scarf": {**SCARF, "fit_on": fit_on}, "pca": PCA}
        variants = {"net": {"model": NET}, "head": {"model": {**NET, "finetune": "head", "hidden": [4]}}}
        return models_and_predictions(started(generators=kinds, variants=variants), poison(make_panel()), tmp_path / name)

    clean, targets, features = (
        outcome(name, poison)
        for name, poison in (("clean", lambda panel: panel), ("targets", poisoned_targets), ("features", poisoned_features))
    )
    assert targets[0] == clean[0]
    np.testing.assert_array_equal(targets[1], clean[1])
    changed = {name for name, content in clean[0].items() if content != features[0][name]}
    learned = {"models/generator-scarf@0.safetensors", "models/net@0.safetensors", "models/head@0.safetensors"}
    assert changed == (learned if fit_on == "all" else set())
    assert learned < clean[0].keys()
    assert not any("pca" in name for name in clean[0])  # no variant reads it


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    variants = {"baseline": {}, "net": {"model": {**NET, "hidden": [4], "finetune": "gradual"}}}
    return run(
        started(variants=variants, seeds=[1, 2], data={"source": "synthetic", "size": "tiny"}),
        tmp_path_factory.mktemp("runs"),
        Quiet(),
    )


def test_a_run_keeps_the_encoder_and_its_models_predict_without_it(done: Run) -> None:
    assert (done.path / "models" / "generator-scarf@1.safetensors").is_file()
    for path in (done.path / "models").glob("generator-*"):
        path.unlink()
    assert_saved_models_predict_as_recorded(done, "net", "net_from_random")
    table = pl.read_parquet(done.path / "predictions.parquet")
    assert not table["net@1"].equals(table["net_from_random@1"], check_names=False)


def test_tables_set_the_two_beside_each_other(done: Run) -> None:
    row = done.scores.filter(pl.col("split") == "val", pl.col("variant") == "net").to_dicts()[0]
    twin = done.scores.filter(pl.col("split") == "val", pl.col("variant") == "net_from_random").to_dicts()[0]
    assert row["untrained"] == "net_from_random"
    assert row["delta_untrained_corr_mean"] == pytest.approx(row["corr_mean"] - twin["corr_mean"], abs=1e-6)


def test_a_cached_model_is_of_the_encoder_it_began_with(tmp_path: Path) -> None:
    def net(temperature: float) -> pl.Series:
        scarf = {**SCARF, "temperature": temperature}
        data = {"source": "synthetic", "size": "tiny"}
        config = started(generators={"scarf": scarf}, variants={"baseline": {}, "net": {"model": NET}}, data=data)
        return pl.read_parquet(run(config, tmp_path, Quiet()).path / "predictions.parquet")["net"]

    first = net(0.1)
    assert not net(0.5).equals(first)
    assert net(0.1).equals(first)


def test_estimates_notes_and_fingerprint_know_the_encoder() -> None:
    def needs(hidden: int) -> int:
        kinds = {"scarf": {**SCARF, "hidden": hidden, "n_layers": 2}}
        config = started(generators=kinds, variants={"baseline": {}, "net": {"model": NET}})
        plan = FitPlan.of(config, SPLITS)
        return need(EstimateInputs(plan, dict.fromkeys(range(1, 31), 1000), 100)).memory_bytes

    assert needs(8192) - needs(16) > 10 * 4 * 8192**2
    transductive = started(generators={"scarf": {**SCARF, "fit_on": "all"}, "pca": PCA})
    assert notes_of(FitPlan.of(transductive, SPLITS), "")["net"] == "transductive"
    assert "generator contrastive" in fingerprint(started())["code"]
