"""Whole runs on the tiny tournament: what is written, that it repeats, and that failures leave no half run."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import numerai_lab
from numerai_lab.config.loading import load_config
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.panel import Block
from numerai_lab.data.reader import Loaded
from numerai_lab.experiment import RunOptions, run
from numerai_lab.generators.linear import PCA
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.writing import new_run
from tests.conftest import Quiet, make_config, quick


def config(**changes: Any) -> Config:
    base: dict[str, Any] = {
        "name": "whole",
        "seeds": [1, 2],
        "data": {"source": "synthetic", "size": "tiny"},
        "splits": {},
        "generators": {"pca": {**quick("pca"), "fit_on": "all"}, "net": quick("autoencoder")},
        "augmenters": {"cutout": quick("cutout"), "noise": quick("gaussian_noise")},
        "model": quick("xgboost"),
        "variants": {
            "baseline": {},
            "raw+pca": {"features": ["raw", "pca"]},
            "net_only": {"features": ["net"], "augment": ["cutout"]},
            "noisy": {"augment": ["noise", "cutout"]},
            "blend": {"ensemble": ["baseline", "raw+pca"]},
            "neutral": {"neutralize": {"features": "medium"}},
        },
    }
    return make_config(**{**base, **changes})


def go(config: Config, folder: Path) -> Run:
    return run(config, folder, Quiet())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return go(config(), tmp_path_factory.mktemp("runs"))


def predictions(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.path / "predictions.parquet")


def test_the_folder_holds_what_it_should_under_its_final_name_only(done: Run) -> None:
    names = {path.relative_to(done.path).as_posix() for path in done.path.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "manifest.json",
        "predictions.parquet",
        "per_era.parquet",
        "scores.csv",
        "scores.md",
        "report.html",
    } <= names
    assert {"log.txt", "plots/cumulative_corr.svg", "plots/improvement.svg", "models/baseline@1.json"} <= names
    assert {"models/generator-pca@1.safetensors", "models/generator-net@2.safetensors"} <= names
    assert [path.name for path in done.path.parent.iterdir()] == [done.path.name]
    assert done.path.name.endswith("_whole")


def test_predictions_have_ids_eras_targets_splits_and_a_column_a_variant_and_seed(done: Run, tiny: Loaded) -> None:
    table = predictions(done)
    variants = ["baseline", "raw+pca", "net_only", "noisy", "blend", "neutral"]
    assert table.columns == ["id", "era", "target", "split", *(f"{v}@{s}" for v in variants for s in (1, 2))]
    assert table["era"].unique().sort().to_list() == list(range(61, 97))
    by_split = table.group_by("split").agg(pl.col("era").unique().sort()).sort("split")
    assert dict(by_split.iter_rows()) == {
        "embargo": [*range(61, 69), *range(79, 87)],
        "val1": list(range(69, 79)),
        "val2": list(range(87, 97)),
    }
    rows = tiny.panel.rows(70)
    assert table.filter(era=70)["id"].to_list() == [name.decode() for name in tiny.panel.ids[rows]]
    assert table.null_count().sum_horizontal()[0] == 0


def test_a_score_can_be_recomputed_from_the_predictions(done: Run) -> None:
    table = predictions(done).filter(pl.col("split") == "val1")
    eras = [era for _, era in table.group_by("era", maintain_order=True)]
    by_seed = [
        np.mean(
            [
                numerai_corr(era[[f"raw+pca@{seed}"]].to_numpy().astype(float), era["target"].to_numpy().astype(float))[0]
                for era in eras
            ]
        )
        for seed in (1, 2)
    ]
    row = done.scores.filter(variant="raw+pca", split="val1")
    assert row["corr_mean"][0] == pytest.approx(np.mean(by_seed), abs=1e-12)
    assert row["corr_mean_seed_std"][0] == pytest.approx(np.std(by_seed), abs=1e-12)
    assert row["n_eras"][0] == 10


def test_the_table_has_a_row_a_variant_and_split_and_differences_against_the_reference(done: Run) -> None:
    assert done.scores.select("variant", "split").rows() == [
        (v, s) for s in ("val1", "val2", "val") for v in done.scores["variant"].unique(maintain_order=True)
    ]
    base, other = (done.scores.filter(variant=v, split="val").row(0, named=True) for v in ("baseline", "noisy"))
    assert base["delta_corr_mean"] is None
    assert other["delta_corr_mean"] == pytest.approx(other["corr_mean"] - base["corr_mean"], abs=1e-12)
    assert other["delta_corr_mean_low"] < other["delta_corr_mean"] < other["delta_corr_mean_high"]
    assert other["delta_fnc_mean"] == pytest.approx(other["fnc_mean"] - base["fnc_mean"], abs=1e-12)


def test_each_variant_has_a_verdict_in_the_files_that_people_read(done: Run) -> None:
    page, report = ((done.path / name).read_text() for name in ("scores.md", "report.html"))
    for variant in ("raw+pca", "net_only", "noisy", "blend", "neutral"):
        assert f"{variant}: corr " in page
        assert f'class="text">{variant}<small>' in report
    assert "baseline: corr" not in page
    assert all("mmc over fewer eras: val 10 of 20 eras" in text for text in (page, report))


def test_payout_and_churn_are_scored_by_era(done: Run) -> None:
    eras = done.per_era.filter(variant="baseline", split="val2")
    np.testing.assert_allclose(eras["payout_proxy"], 0.75 * eras["corr"] + 2.25 * eras["mmc"], atol=1e-15)
    assert done.per_era.filter(split="val1")["payout_proxy"].is_nan().all()
    one, two = (predictions(done).filter(era=90)[f"baseline@{seed}"] for seed in (1, 2))
    wanted = 1 - np.corrcoef(one.rank(), two.rank())[0, 1]
    np.testing.assert_allclose(eras.filter(era=90)["seed_churn"], wanted, atol=1e-12)
    assert done.manifest["scoring"]["payout"] == {"corr": 0.75, "mmc": 2.25}


def test_transductive_generators_are_flagged_in_every_row_that_used_them(done: Run) -> None:
    flagged = set(done.scores.filter(pl.col("notes") == "transductive")["variant"])
    assert flagged == {"raw+pca", "blend"}
    assert "transductive" in (done.path / "scores.md").read_text()
    assert "transductive" in (done.path / "report.html").read_text()


def test_the_same_config_gives_the_same_bytes_and_so_does_the_resolved_one(done: Run, tmp_path: Path) -> None:
    again = go(config(), tmp_path / "again")
    resolved, _ = load_config(done.path / "config.yaml")
    from_resolved = run(resolved, tmp_path / "resolved", Quiet(), options=RunOptions(cached=False))
    assert from_resolved.manifest["cache_hits"] == []
    bytes_ = [(one.path / "predictions.parquet").read_bytes() for one in (done, again, from_resolved)]
    assert bytes_[0] == bytes_[1] == bytes_[2]


def test_another_seed_gives_other_predictions(done: Run) -> None:
    table = predictions(done)
    assert not table["baseline@1"].equals(table["baseline@2"])


def test_variants_that_differ_in_post_processing_share_one_model(done: Run) -> None:
    models = sorted(path.name for path in (done.path / "models").glob("*@1.json"))
    assert models == ["baseline@1.json", "net_only@1.json", "noisy@1.json", "raw+pca@1.json"]


def test_an_ensemble_is_the_mean_of_per_era_ranks_and_a_neutral_variant_has_no_exposure(done: Run) -> None:
    era = predictions(done).filter(era=70)
    ranks = [(era[f"{name}@1"].rank() - 0.5) / len(era) for name in ("baseline", "raw+pca")]
    np.testing.assert_allclose(era["blend@1"].to_numpy(), ((ranks[0] + ranks[1]) / 2).to_numpy(), atol=1e-6)
    neutral = done.scores.filter(variant="neutral", split="val").row(0, named=True)
    assert neutral["max_feature_exposure_mean"] < 1e-5
    plain = done.scores.filter(variant="baseline", split="val").row(0, named=True)
    assert neutral["corr_mean"] == pytest.approx(plain["fnc_mean"], abs=1e-5)


def test_the_manifest_says_where_numbers_come_from(done: Run) -> None:
    manifest = json.loads((done.path / "manifest.json").read_text())
    assert manifest["data"]["resolved_target"] == "target_ender_20"
    assert manifest["data"]["synthetic"] is True
    assert set(manifest["stages"]) == {"data", "transform", "train", "score", "report"}
    assert all(stage["seconds"] >= 0 and stage["peak_bytes"] > 1e7 for stage in manifest["stages"].values())
    assert manifest["packages"]["xgboost"]
    assert manifest["splits"]["val1"] == list(range(69, 79))
    assert "SYNTHETIC" in (done.path / "scores.md").read_text()


@pytest.mark.parametrize(
    ("program", "kept"),
    [
        ("/bin/nlab", True),
        (str(Path(numerai_lab.__file__).with_name("__main__.py")), True),
        ("numerai_lab/mine.py", False),
        ("-c", False),
    ],
    ids=["command", "module", "program", "notebook"],
)
def test_the_manifest_keeps_the_command_but_not_what_was_said_to_other_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, kept: bool
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "run", "pca.yaml", "--set", "name=x"])
    with new_run(tmp_path, config()) as folder:
        pass
    written = json.loads((folder.work / "manifest.json").read_text())
    assert written["command"] == (["run", "pca.yaml", "--set", "name=x"] if kept else [])


def test_a_lowered_embargo_is_stamped_on_every_table(tmp_path: Path) -> None:
    lowered = go(
        config(splits={"embargo": {"eras": 2, "allow_leak": True}}, model={"kind": "ridge"}, variants={"baseline": {}}), tmp_path
    )
    assert set(lowered.scores["notes"]) == {"LEAK: embargo 2 < 8"}
    for name, said in (
        ("scores.md", "LEAK: embargo 2 < 8"),
        ("report.html", "LEAK: embargo 2 &lt; 8"),
        ("log.txt", "LEAK: embargo 2 < 8"),
    ):
        assert said in (lowered.path / name).read_text()


def test_bad_input_found_in_the_data_leaves_nothing(tmp_path: Path) -> None:
    absent = {"source": "files", "path": str(tmp_path / "absent.parquet")}
    for wrong, said in (
        ({"splits": {"val1": "500-600"}}, "splits.val1: no era with a known target"),
        ({"data": absent}, "data.path: no file or folder"),
        ({"scoring": {"benchmark": "lab_lgbm_ender2"}}, "did you mean 'lab_lgbm_ender20'"),
    ):
        with pytest.raises(NlabError, match=said):
            go(config(**wrong), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


class NaNs(PCA):
    """A generator that gives NaN in one era."""

    def transform(self, block: Block) -> Any:
        values = super().transform(block)
        values[0, 0] = np.nan if block.era == 70 else values[0, 0]
        return values


def test_a_failure_leaves_a_folder_marked_failed_with_its_log_and_error(tmp_path: Path) -> None:
    broken = config()
    broken.generators["pca"] = NaNs(n_components=3)
    with pytest.raises(NlabFailure, match="generators.pca: gave 80 rows × 3 columns with 1 not finite for era 70"):
        go(broken, tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("_whole-failed")
    assert "not finite for era 70" in (folder / "failed.txt").read_text()
    assert "failed" in (folder / "log.txt").read_text()
    assert (folder / "config.yaml").exists()
    with pytest.raises(NlabError, match="this run failed"):
        read_run(folder)


def test_models_and_generators_are_saved_in_formats_that_execute_nothing(done: Run) -> None:
    for path in (done.path / "models").iterdir():
        assert path.suffix in (".json", ".txt", ".safetensors")
        if path.suffix == ".safetensors":
            arrays = arrays_from_bytes(path.read_bytes())
            assert all(array.dtype.kind in "biufU" for array in arrays.values())


def test_a_generator_that_no_variant_uses_is_not_fitted(tmp_path: Path) -> None:
    class Never(PCA):
        def fit(self, panel: object, rng: object, context: object) -> "Never":
            raise AssertionError("fitted")

    lone = config(model={"kind": "ridge"}, variants={"baseline": {}})
    lone.generators["net"] = Never(n_components=3)
    assert go(lone, tmp_path).scores.height == 3


def test_methods_with_too_little_to_learn_from_are_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    config = make_config(
        generators={
            "u": {"kind": "umap", "mode": "exact", "n_components": 99, "landmarks": 100},
            "p": {"kind": "pca", "n_components": 500},
            "unused": {"kind": "pca", "n_components": 501},
            "q": {"kind": "pca", "n_components": 8, "select": {"by": "variance", "top_k": 7}},
        },
        augmenters={"g": {"kind": "gmm_targets", "n_components": 400}},
        variants={"v": {"features": ["u", "p", "q"]}, "w": {"augment": ["g"]}},
    )
    with pytest.raises(NlabError) as shown:
        run(config, tmp_path, Quiet())
    assert str(shown.value).splitlines() == [
        "generators.p: pca: n_components is 500, but the feature set has 60 features",
        "generators.q: pca: n_components is 8, but the feature set has 7 features",
        "generators.u: umap: 100 rows to fit on give at most 98 columns, n_components is 99",
        "augmenters.g: gmm_targets: n_components is 400, but 60 eras have two rows with a target",
    ]
    assert not list(tmp_path.iterdir())


def test_what_the_data_cannot_be_fitted_with_is_refused_before_anything_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wrong = make_config(
        splits={"train": "1-2"},
        generators={
            "fine": {"kind": "pca", "n_components": 3},
            "groups": {"kind": "group_stats", "groups": ["nobody"]},
            "chosen": {"kind": "pca", "n_components": 3, "select": {"by": "variance", "top_k": 500}},
            "sets": {"kind": "pca", "n_components": 3, "select": {"features": ["nobody"]}},
            "net": {"kind": "autoencoder", "device": "cuda"},
        },
        augmenters={"path": {"kind": "covariance_path"}, "noise": {"kind": "diffusion"}},
        variants={
            "baseline": {},
            "v": {"features": ["fine", "groups", "chosen", "sets", "net"]},
            "w": {"augment": ["path", "noise"]},
        },
    )
    with pytest.raises(NlabError) as shown:
        run(wrong, tmp_path, Quiet())
    lines = str(shown.value).splitlines()
    for line, start in zip(
        lines,
        (
            "generators.chosen: select.top_k: 500 of only 60 features",
            "generators.groups: group_stats: the data has no feature set 'nobody'",
            "generators.net: device: cuda is asked for, but torch sees no GPU",
            "generators.sets: select.features: the data has no feature set 'nobody'",
            "augmenters.noise: diffusion: at least 3 eras with targets to learn from are needed, got 2",
            "augmenters.path: covariance_path: a path needs at least 3 eras to learn from, got 2",
        ),
        strict=True,
    ):
        assert line.startswith(start), line
    assert not list(tmp_path.iterdir())


def test_more_rows_than_any_era_has_are_asked_for_before_anything_is_fitted(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="no era can be scored.*the largest has 80: set scoring.least_rows to 80 or less"):
        run(config(scoring={"least_rows": 81}), tmp_path, Quiet())
    assert not list(tmp_path.iterdir())
