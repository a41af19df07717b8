"""`nlab unseal`: the run's own models on the holdout, once; the ledger counts the looks, however they end."""

import json
import shutil
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.data.reader import load
from numerai_lab.experiment import run
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.report.comparison import compare
from numerai_lab.report.listing import listing, newest
from numerai_lab.runs.layout import LEDGER
from numerai_lab.runs.ledger import Ledger
from numerai_lab.runs.output_files import note_in_manifest
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.studies import unseal as unsealing
from numerai_lab.studies.unseal import retained, stamp, unseal
from tests.conftest import Quiet, make_config, quick, reseal
from tests.forks import nlab, start

HOLDOUT = tuple(range(73, 97))


def config(**changes: Any) -> Config:
    base: dict[str, Any] = {
        "seeds": [1, 2, 3],
        "splits": {"train": "1-30", "holdout": 24},
        "generators": {
            "pca": {**quick("pca"), "fit_on": "all"},
            "net": quick("autoencoder"),
            "noise": {"kind": "random_columns", "like": "pca"},
        },
        "model": quick("xgboost"),
        "variants": {
            "baseline": {},
            "neutral": {"neutralize": {"features": "medium", "proportion": 0.5}},
            "raw+pca": {"features": ["raw", "pca"]},
            "raw+noise": {"features": ["raw", "noise"]},
            "net": {"features": ["net"]},
            "blend": {"ensemble": ["neutral", "net"]},
        },
    }
    return make_config(**{**base, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(config(), tmp_path_factory.mktemp("runs"), Quiet())


@pytest.fixture
def done(made: Run, tmp_path: Path) -> Run:
    """A copy of the run, in a folder of runs whose ledger is empty."""
    return read_run(Path(shutil.copytree(made.path, tmp_path / "runs" / made.name)))


def test_the_holdout_is_scored_as_a_run_that_validates_there_would_score_it(done: Run, tmp_path: Path) -> None:
    look = unseal(done.path, "blend", Quiet())
    # The same models, fitted on the same training eras, in a run whose val2 is the holdout.
    later = config(splits={"train": "1-30", "val1": "39-51", "val2": "73-96"})
    later.generators["pca"] = later.generators["pca"].model_copy(update={"fit_on": "train"})
    wanted = run(later, tmp_path / "later", Quiet()).scores.filter(split="val2")
    for variant in ("blend", "baseline"):
        own, other = (table.filter(variant=variant).row(0, named=True) for table in (held_out(look.scores), wanted))
        for name in ("corr_mean", "corr_sharpe", "fnc_mean", "mmc_mean", "max_feature_exposure_mean", "delta_corr_mean"):
            assert own[name] == other[name] or own[name] == pytest.approx(other[name], abs=1e-12)
    assert own["n_eras"] == 24


def held_out(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.filter(split="holdout")


def test_a_transductive_generator_is_the_one_that_never_saw_the_holdout(done: Run) -> None:
    row = held_out(unseal(done.path, "raw+pca", Quiet()).scores).filter(variant="raw+pca").row(0, named=True)
    splits = unsealing.splits_of_run(done.manifest, config(), panel := load_panel())
    seen = unsealing.Restored(done, config(), unsealing.FitPlan.of(config(), splits).shared_models, ("raw+pca",))
    predictions = seen.predictions(panel, HOLDOUT, Quiet())
    assert panel.target is not None
    scores = [
        numerai_corr(predictions.at(panel, era).astype(float), panel.target[panel.rows(era)].astype(float)) for era in HOLDOUT
    ]
    assert row["corr_mean"] == pytest.approx(np.mean(scores), abs=1e-12)
    assert row["notes"].startswith("transductive")


def test_a_variant_is_compared_with_its_placebo_on_the_holdout_too(done: Run) -> None:
    look = unseal(done.path, "raw+pca", Quiet())
    table = held_out(look.scores)
    assert table["variant"].to_list() == ["baseline", "raw+pca", "raw+noise"]
    reference, own, placebo = table.rows(named=True)
    assert (own["placebo"], own["untrained"]) == ("raw+noise", None)
    assert own["delta_placebo_corr_mean"] == pytest.approx(own["corr_mean"] - placebo["corr_mean"], abs=1e-12)
    assert own["delta_placebo_corr_mean_low"] < own["delta_placebo_corr_mean"] < own["delta_placebo_corr_mean_high"]
    # One variant is judged: its placebo widens nothing.
    assert own["delta_corr_mean"] == pytest.approx(own["corr_mean"] - reference["corr_mean"], abs=1e-12)
    assert own["delta_corr_mean_p_adjusted"] == own["delta_corr_mean_p"]
    assert placebo["delta_corr_mean"] is None
    result = read_run(done.path).content("holdout.json")
    assert json.loads(result)["looks"][0]["result"] == look.look.result
    assert look.look.result["placebo"] == "raw+noise"
    for end, column in (("", ""), ("_low", "_sim_low"), ("_high", "_sim_high")):
        assert look.look.result[f"delta_placebo_holdout{end}"] == own[f"delta_placebo_corr_mean{column}"]
    validation, unsealed, _ = look.lines
    assert "; against its placebo raw+noise " in validation
    assert f"; against its placebo raw+noise {own['delta_placebo_corr_mean']:+.4f} [" in unsealed


def load_panel() -> Any:
    return load(config().data, config().extra_sets).panel


def test_a_look_is_in_the_ledger_the_run_folder_and_its_pages(done: Run) -> None:
    unsealed = unseal(done.path, "net", Quiet())
    (look,), remarks = Ledger(done.path.parent).looks()
    assert (look, remarks) == (unsealed.look, [])
    assert (look.number, look.run, look.variant, look.reference, look.seeds) == (1, done.name, "net", "baseline", (1, 2, 3))
    assert look.holdout.eras == HOLDOUT
    row = held_out(unsealed.scores).filter(variant="net").row(0, named=True)
    assert look.result["delta_holdout"] == row["delta_corr_mean"]
    written = read_run(done.path)
    table = pl.read_csv(written.content("holdout.csv"), infer_schema_length=None)
    assert table.select("variant", "split", "look").rows() == [
        ("baseline", "val", None),
        ("net", "val", None),
        ("baseline", "holdout", 1),
        ("net", "holdout", 1),
    ]
    (kept,) = json.loads(written.content("holdout.json"))["looks"]
    assert kept["id"] == look.id
    for name in ("scores.md", "report.html"):
        assert "unsealed once through this run" in written.content(name).decode()
    assert written.scores.equals(done.scores)


def test_a_second_look_is_refused_unless_asked_for_and_then_counted_everywhere(done: Run, made: Run) -> None:
    unseal(done.path, "net", Quiet())
    other = Path(shutil.copytree(made.path, done.path.with_name("other")))
    for path, variant in ((done.path, "net"), (done.path, "blend"), (other, "raw+pca")):
        with pytest.raises(NlabError, match=rf"has been looked at \(1 look, the last at {done.name}/net by .*--again") as caught:
            unseal(path, variant, Quiet())
        assert not isinstance(caught.value, NlabFailure)
    unsealed = unseal(other, "raw+pca", Quiet(), again=True)
    assert stamp(unsealed.look) == f"look 2 at this holdout, after {done.name}/net: it is no longer out of sample"
    assert held_out(unsealed.scores).select("variant", "look").rows() == [("baseline", 2), ("raw+pca", 2), ("raw+noise", 2)]
    third = unseal(done.path, "blend", Quiet(), again=True)
    assert third.look.before == (f"{done.name}/net", "other/raw+pca")
    kept = json.loads(read_run(done.path).content("holdout.json"))["looks"]
    assert [(look["variant"], look["look"]) for look in kept] == [("net", 1), ("blend", 3)]
    assert "unsealed 2 times through this run" in (done.path / "scores.md").read_text()


def test_a_look_that_was_killed_before_it_was_scored_counts(done: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(unsealing, "_scores", killed)
    with pytest.raises(KeyboardInterrupt):
        unseal(done.path, "net", Quiet())
    monkeypatch.undo()
    (look,), _ = Ledger(done.path.parent).looks()
    assert (look.variant, look.result) == ("net", {})
    with pytest.raises(NlabError, match="1 look"):
        unseal(done.path, "net", Quiet())


def test_models_that_predict_something_else_unseal_nothing(done: Run) -> None:
    (model,) = (done.path / "models").glob("net@2.json")
    shutil.copy(done.path / "models" / "baseline@2.json", done.path / "models" / "raw+pca@2.json")
    model.write_bytes((done.path / "models" / "net@1.json").read_bytes())
    with pytest.raises(NlabError, match="net@2.json is not what was written"):
        unseal(done.path, "net", Quiet())
    reseal(done.path)
    with pytest.raises(NlabFailure, match="saved models of net@2 no longer predict .* nothing was unsealed"):
        unseal(done.path, "net", Quiet())
    assert not (done.path.parent / LEDGER).exists()


def test_what_can_not_be_unsealed_is_one_sentence(done: Run, tmp_path: Path) -> None:
    for variant, said in (("absent", "no variant 'absent'"), ("baseline", "baseline is the reference")):
        with pytest.raises(NlabError, match=f"--variant: .*{said}"):
            unseal(done.path, variant, Quiet())
    plain = run(
        config(splits={"train": "1-30"}, generators={}, variants={"baseline": {}, "two": {}}), tmp_path / "plain", Quiet()
    )
    assert plain.manifest["splits"].pop("holdout") == []  # older runs know of none
    result = nlab("unseal", plain.path, "--variant", "two")
    assert (result.returncode, result.stdout) == (2, "")
    assert "this run has no holdout; one is set before a run, with splits.holdout" in result.stderr


def test_a_reference_that_the_run_lacks_is_a_damaged_run_and_no_look(done: Run) -> None:
    note_in_manifest(done.path, "scoring", {**done.manifest["scoring"], "reference": "nobody"})
    with pytest.raises(NlabError, match=r"damaged run folder \('nobody' in its manifest is none of its variants\)"):
        unseal(done.path, "raw+pca", Quiet())
    assert not Ledger(done.path.parent).path.exists()


def test_a_holdout_that_can_not_be_scored_is_no_look(tmp_path: Path) -> None:
    # The 80 rows of every era are fewer than these, which the run itself had no need of.
    small = config(generators={}, variants={"baseline": {}, "two": {"neutralize": {"features": "medium"}}}, seeds=[1])
    done = run(small, tmp_path / "runs", Quiet())
    text = (done.path / "config.yaml").read_text()
    (done.path / "config.yaml").write_text(text.replace("least_rows: 20", "least_rows: 81"))
    reseal(done.path)
    with pytest.raises(NlabError, match="fewer than 81 rows"):
        unseal(done.path, "two", Quiet())
    assert Ledger(done.path.parent).looks() == ([], [])


def test_two_processes_at_once_take_two_looks(done: Run, tmp_path: Path) -> None:
    def begun(name: str) -> BaseProcess:
        (tmp_path / name).mkdir()
        return start("unseal", done.path, "--variant", name, "--again", "--format", "json", said=tmp_path / name)

    processes = [begun(name) for name in ("net", "neutral")]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0], (tmp_path / "net" / "stderr").read_text()
    looks, remarks = Ledger(done.path.parent).looks()
    assert (sorted(look.number for look in looks), remarks) == ([1, 2], [])
    assert all(look.result for look in looks)
    printed = [json.loads((tmp_path / name / "stdout").read_text()) for name in ("net", "neutral")]
    assert sorted(row["look"] for rows in printed for row in rows if row["split"] == "holdout") == [1, 1, 2, 2]
    assert len(json.loads(read_run(done.path).content("holdout.json"))["looks"]) == 2
    table = nlab("ledger", "--runs-dir", done.path.parent, "--format", "csv")
    assert [row["variant"] for row in pl.read_csv(table.stdout.encode()).to_dicts()] == [look.variant for look in looks]


def test_other_commands_pass_over_the_ledger(done: Run) -> None:
    unseal(done.path, "net", Quiet())
    folder = done.path.parent
    assert newest(folder) == done.path
    assert [row["run"] for row in listing(folder)] == [done.name]
    assert compare(sorted(folder.iterdir())).skipped == ()


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ((0.010, 0.006, 0.014, 0.001), 0.004, 0.4),
        ((0.010, 0.006, 0.014, 0.001), -0.002, -0.2),
        ((0.010, -0.006, 0.026, 0.3), 0.004, None),
        ((-0.010, -0.014, -0.006, 0.001), -0.004, None),
    ],
    ids=["some is left", "turned", "not resolved", "worse"],
)
def test_gain_retained_is_a_share_of_a_gain_that_validation_showed(
    before: tuple[float, ...], after: float, share: float | None
) -> None:
    names = ("delta_corr_mean", "delta_corr_mean_sim_low", "delta_corr_mean_sim_high", "delta_corr_mean_p_adjusted")
    found = retained(dict(zip(names, before, strict=True)), {"delta_corr_mean": after})
    assert np.isnan(found) if share is None else found == pytest.approx(share)


def test_a_gain_that_a_placebo_has_too_is_still_one_over_the_reference() -> None:
    before = {"delta_corr_mean": 0.010, "verdict": "placebo not beaten"}
    assert retained(before, {"delta_corr_mean": 0.004}) == pytest.approx(0.4)
