"""Sweeps: every trial a run folder, gone on with, ranked by what the search may see."""

import json
import math
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.fitting import fingerprint
from numerai_lab.models import Ridge
from numerai_lab.report.comparison import compare
from numerai_lab.report.page import heading
from numerai_lab.report.sweep_page import endings, leaderboard, readable
from numerai_lab.report.tables import left_out
from numerai_lab.runs.reading import read_run
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from numerai_lab.studies.objective import SweepObjective, objective_of
from numerai_lab.studies.proposals import axis
from numerai_lab.studies.repeated_runs import run_alone
from numerai_lab.studies.sweep import Sweep, SweepSpec, SweepTrial, grid, search, summary, write_leaderboard
from tests.conftest import Quiet, make_config, reseal
from tests.report.browser import Page


@pytest.fixture
def spec(tmp_path: Path) -> SweepSpec:
    path = tmp_path / "c.yaml"
    path.write_text(
        "name: s\ndata: {source: synthetic, size: tiny}\ngenerators: {pca: {kind: pca, n_components: 3}}\n"
        "splits: {train: train, embargo: {eras: 2, allow_leak: true}}\n"
        "model: {kind: ridge}\nvariants: {baseline: {}, raw+pca: {features: [raw, pca]}}\n"
    )
    return SweepSpec(path, [], tmp_path / "sweep")


def test_every_combination_is_a_run_and_the_generator_is_fitted_once(spec: SweepSpec) -> None:
    done = grid(spec, ["model.alpha=1,1e4", "generators.pca.n_components=2,3"], "val1.corr.mean", Quiet())
    assert [tuple(trial.values.values()) for trial in done.trials] == [(1, 2), (1, 3), (10000.0, 2), (10000.0, 3)]
    for trial in done.trials:
        assert trial.path is not None
        run = read_run(trial.path)
        (value,) = run.scores.filter(variant="raw+pca", split="val1")["corr_mean"]
        assert trial.value == value
    last = done.trials[-1].path
    assert last is not None
    assert {hit["stage"].split("@")[0] for hit in read_run(last).manifest["cache_hits"]} >= {"fit pca", "columns pca"}


def test_called_again_it_takes_what_is_done_and_makes_what_is_missing(spec: SweepSpec) -> None:
    first = grid(spec, ["model.alpha=1,10", "seed=0:2"], "val1.corr.mean", Quiet())
    assert not any(trial.reused for trial in first.trials)
    gone = first.trials[2].path
    assert gone is not None
    shutil.rmtree(gone)
    again = grid(spec, ["model.alpha=1,10", "seed=0:2"], "val1.corr.mean", Quiet())
    assert [trial.reused for trial in again.trials] == [True, True, False, True]
    assert [trial.value for trial in again.trials] == [trial.value for trial in first.trials]


def test_side_by_side_gives_the_same_values(spec: SweepSpec, tmp_path: Path) -> None:
    beside = SweepSpec(spec.path, [], tmp_path / "beside", jobs=2)
    together = grid(beside, ["model.alpha=1,1000"], "val1.corr.mean", Quiet())
    alone = grid(spec, ["model.alpha=1,1000"], "val1.corr.mean", Quiet())
    assert [trial.value for trial in together.trials] == [trial.value for trial in alone.trials]


def test_trials_side_by_side_share_the_memory(spec: SweepSpec) -> None:
    found, error = run_alone(spec.config({"model.alpha": 1}).to_yaml(), spec.folder, 1000)
    assert found is None
    assert "does not fit" in error
    assert "1.0 kB free" in error


def test_a_trial_that_fails_does_not_stop_the_others(spec: SweepSpec) -> None:
    done = grid(spec, ["data.target=target,target_missing"], "val1.corr.mean", Quiet())
    assert [bool(trial.error) for trial in done.trials] == [False, True]
    assert done.ranked[-1].number == 2
    assert "target_missing" in summary(done)[0][-1]["error"]


def test_a_bad_value_stops_the_sweep_before_the_first_trial(spec: SweepSpec) -> None:
    with pytest.raises(NlabError, match=r"model\.alpha"):
        grid(spec, ["model.alpha=1,-5"], "val1.corr.mean", Quiet())
    with pytest.raises(NlabError, match="did you mean 'alpha'"):
        grid(spec, ["model.alhpa=1"], "val1.corr.mean", Quiet())
    assert not spec.folder.exists()


def test_the_search_never_sees_val2(spec: SweepSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    config = make_config()
    for split in ("val2", "val"):
        with pytest.raises(NlabError, match="a search sees val1"):
            objective_of(f"{split}.corr.sharpe", config)
    plain = search(spec, ["model.alpha=1.0:1e6:log"], 6, "val1.corr.sharpe", Quiet())
    for trial in plain.trials:  # other scores in val2 change no proposal
        assert trial.path is not None
        scores = pl.read_csv(trial.path / "scores.csv", infer_schema_length=None)
        hidden = pl.when(pl.col("split") == "val1").then(pl.col("corr_sharpe")).otherwise(-9.0)
        scores.with_columns(hidden.alias("corr_sharpe")).write_csv(trial.path / "scores.csv")
        reseal(trial.path)
    again = search(spec, ["model.alpha=1.0:1e6:log"], 6, "val1.corr.sharpe", Quiet())
    assert [trial.values for trial in again.trials] == [trial.values for trial in plain.trials]
    assert all(trial.reused for trial in again.trials)


def test_a_search_proposes_within_its_ranges_and_learns(spec: SweepSpec) -> None:
    pytest.importorskip("optuna")
    done = search(spec, ["model.alpha=1.0:100.0:log", "generators.pca.n_components=2:4"], 3, "val1.corr.mean", Quiet())
    for trial in done.trials:
        assert 1 <= trial.values["model.alpha"] <= 100
        assert trial.values["generators.pca.n_components"] in (2, 3, 4)
    with pytest.raises(NlabError, match="nothing to search"):
        search(spec, [], 3, "val1.corr.mean", Quiet())


def test_less_exposure_is_better_and_no_value_comes_last() -> None:
    exposure = SweepObjective("a", "val1", "max_feature_exposure_mean")
    trials = tuple(SweepTrial(i, {}, value=value) for i, value in enumerate([0.3, math.nan, 0.1, 0.2]))
    assert [trial.number for trial in Sweep(exposure, trials, False).ranked] == [2, 3, 0, 1]
    assert [trial.number for trial in Sweep(SweepObjective("a", "val1", "corr_mean"), trials, False).ranked] == [0, 3, 2, 1]


def test_an_objective_names_variant_split_and_score() -> None:
    config = make_config(augmenters={"cut": {"kind": "cutout"}})
    assert objective_of("val1.corr.sharpe", config) == SweepObjective("cut", "val1", "corr_sharpe")
    assert objective_of("baseline:val1.fnc.mean", config).variant == "baseline"
    for score in ("bmc", "bmc_last200", "payout_proxy", "delta_corr"):
        assert objective_of(f"val1.{score}.mean", config).column == f"{score}_mean"
    for text, said in (
        ("x:val1.corr.mean", "no variant"),
        ("val1.corr", "not SPLIT"),
        ("val1.corr.maen", "did you mean 'corr.mean'"),
        ("val1.delta_fnc.sharpe", "did you mean 'delta_fnc.mean'"),
        ("baseline:val1.delta_corr.mean", "baseline is the reference, which has no delta_corr"),
    ):
        with pytest.raises(NlabError, match=said):
            objective_of(text, config)


@pytest.mark.parametrize(
    ("text", "values"),
    [("a=1,2,3", [1, 2, 3]), ("seed=1:5", [1, 2, 3, 4]), ("a.b=x,1e-3,null", ["x", 0.001, None]), ("a=[1,2],[3]", [[1, 2], [3]])],
)
def test_axes_are_read_as_yaml_and_spans(text: str, values: list[object]) -> None:
    assert axis(text)[1] == values


def test_the_leaderboard_says_what_was_seen_and_links_to_each_run(spec: SweepSpec, browser: Page) -> None:
    done = grid(spec, ["model.alpha=1,1e4,1e6"], "val1.corr.mean", Quiet())
    write_leaderboard(spec.folder, "s", done)
    rows, says = summary(done)
    assert "the search never saw val2" in says[0]
    assert says[1].startswith("chosen: trial")
    assert "looked at once" in says[2]
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    assert pl.read_csv(spec.folder / "leaderboard.csv").height == 3
    browser.open(spec.folder / "leaderboard.html")
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.js("document.querySelectorAll('.drawing .trace').length") == 2
    links = browser.js("[...document.querySelectorAll('td a')].map((a) => a.getAttribute('href'))")
    assert len(links) == 3
    assert all((spec.folder / link).is_file() for link in links)
    assert json.loads(browser.js("document.getElementById('figures').textContent"))["history"]["data"][0]["x"] == [1, 2, 3]


def test_a_score_that_the_data_cannot_give_stops_the_sweep_at_the_first_trial(spec: SweepSpec) -> None:
    with pytest.raises(NlabError, match="payout_proxy_mean of raw.pca in val1 has no value: .* predictions of a meta model"):
        grid(spec, ["model.alpha=1,10"], "val1.payout_proxy.mean", Quiet())
    assert len(list(spec.folder.glob("*/manifest.json"))) == 1


def test_each_trial_is_ranked_by_bmc_and_stands_beside_its_reference(spec: SweepSpec) -> None:
    done = grid(spec, ["model.alpha=1,0.012345678901234567"], "val1.bmc.mean", Quiet())
    for trial in done.trials:
        assert trial.path is not None
        scores = read_run(trial.path).scores.filter(split="val1")
        own, reference = (scores.filter(variant=name)["bmc_mean"].item() for name in ("raw+pca", "baseline"))
        assert trial.value == own
        assert trial.change.value == pytest.approx(own - reference, abs=1e-12)
    rows, _ = summary(done)
    table, columns = leaderboard(rows, done.objective.column)
    assert table["delta"].to_list() == [trial.change.value for trial in done.ranked]
    assert {"model.alpha", "delta"} <= {column.name for column in columns}
    assert sorted(table["model.alpha"].to_list()) == ["0.012345678901234567", "1"]
    assert sorted(readable(table, rows)["model.alpha"].to_list()) == ["0.01235", "1"]


def test_headings_of_keys_are_their_shortest_endings_that_tell_them_apart() -> None:
    keys = ["generators.pca.n_components", "generators.umap.n_components", "model.alpha", "seed", "umap.seed"]
    assert [*endings(keys).values()] == ["pca.n_components", "umap.n_components", "alpha", "seed", "umap.seed"]
    assert endings(["generators.pca.n_components"]) == {"generators.pca.n_components": "n_components"}


def test_a_leaderboard_fits_80_columns_with_change_interval_and_key() -> None:
    rows = [
        {"trial": 1, "values": {"generators.pca.n_components": 12}, "value": 0.0204, "delta": -0.001, "low": -0.01, "high": 0.008}
        | {"run": "20261129-120000_quickstart", "error": ""}
    ]
    table, columns = leaderboard(rows, "corr_mean")
    assert left_out(table, columns, 80) == ""


def test_the_chosen_trial_says_so_wherever_it_is_read_and_the_others_do_not(spec: SweepSpec) -> None:
    done = grid(spec, ["model.alpha=1,1e4,1e6"], "val1.corr.mean", Quiet())
    write_leaderboard(spec.folder, "s", done)
    best = done.best
    assert best is not None
    stamp = "chosen on val1 of 3 trials (corr_mean of raw+pca)"
    for trial in done.trials:
        assert trial.path is not None
        run = read_run(trial.path)
        texts = ["\n".join(heading(run.manifest)), *((run.path / name).read_text() for name in ("report.html", "scores.md"))]
        assert [stamp in text for text in texts] == [trial is best] * 3
        assert run.content("report.html")  # its checksum holds
    paths = [trial.path for trial in done.trials if trial.path]
    notes = compare(paths).groups[0].table.filter(split="val").select("run", "notes").rows()
    assert best.path is not None
    assert {run for run, note in notes if stamp in note} == {best.path.name}
    changed = (best.path / "manifest.json").stat().st_mtime_ns
    write_leaderboard(spec.folder, "s", done)
    assert (best.path / "manifest.json").stat().st_mtime_ns == changed


def test_trials_of_another_target_are_not_ranked_with_the_first(spec: SweepSpec) -> None:
    done = grid(spec, ["data.target=target,target_cyrusd_20"], "val1.corr.mean", Quiet())
    assert "differ in target (target_ender_20 against target_cyrusd_20)" in done.trials[1].error
    assert math.isnan(done.trials[1].value)
    assert done.best == done.trials[0]


def test_trials_of_other_data_and_damaged_ones_are_made_anew(spec: SweepSpec) -> None:
    first = grid(spec, ["model.alpha=1,10,100"], "val1.corr.mean", Quiet())
    old, damaged, _ = (trial.path for trial in first.trials)
    assert old is not None
    assert damaged is not None
    manifest = read_stamped(old / "manifest.json")
    manifest["comparable"]["scored rows"] = "of last week"
    (old / "manifest.json").write_text(with_stamp(manifest))
    (damaged / "scores.csv").write_text("gone")
    again = grid(spec, ["model.alpha=1,10,100"], "val1.corr.mean", Quiet())
    assert [trial.reused for trial in again.trials] == [False, False, True]
    assert [trial.value for trial in again.trials] == [trial.value for trial in first.trials]


def feature_file(path: Path, sign: int) -> None:
    """Two features, and a target that follows them; the same bytes in size whatever the sign."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (1200, 2)).astype(np.int8)
    target = ((x[:, 0] + rng.integers(0, 5, 1200)) // 2 / 4).astype(np.float32)
    features = x if sign > 0 else 4 - x
    ids = {"id": [f"n{i:04d}" for i in range(1200)], "era": [f"{i // 20 + 1:04d}" for i in range(1200)]}
    columns = {f"feature_{i}": features[:, i] for i in range(2)}
    pl.DataFrame({**ids, **columns, "target_x_20": target}).write_parquet(path, compression="uncompressed")


def test_a_run_of_other_features_is_not_taken_and_a_line_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table, config = tmp_path / "a.parquet", tmp_path / "c.yaml"
    config.write_text(
        f"name: s\ndata: {{source: files, path: {table}, target: target_x_20}}\nsplits: {{train: 50%}}\nmodel: {{kind: ridge}}\n"
        "variants: {baseline: {}}\n"
    )
    spec = SweepSpec(config, [], tmp_path / "runs")
    feature_file(table, 1)
    grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet())
    (same,) = grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet()).trials
    feature_file(table, -1)
    with caplog.at_level("WARNING", "nlab"):
        (other,) = grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet()).trials
    assert (same.reused, other.reused) == (True, False)
    assert f"{same.path.name}: not taken, its trial is run anew (data identity (" in caplog.text  # type: ignore[union-attr]
    assert same.path is not None
    assert other.path is not None
    (one, two) = compare([same.path, other.path]).groups
    assert (one.runs, two.runs) == ((same.path.name,), (other.path.name,))
    assert "data identity" in compare([same.path, other.path]).differences[0]


def test_a_run_by_other_code_or_libraries_is_not_taken(
    spec: SweepSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet()).trials
    plain = fingerprint.code_version
    monkeypatch.setattr(fingerprint, "code_version", lambda *parts: "new" if Ridge in parts else plain(*parts))
    with caplog.at_level("WARNING", "nlab"):
        (second,) = grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet()).trials
    assert "not taken, its trial is run anew (other code: model ridge)" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr(fingerprint, "library_versions", lambda *parts: {"numpy": "1.0"})
    with caplog.at_level("WARNING", "nlab"):
        (third,) = grid(spec, ["model.alpha=1"], "val1.corr.mean", Quiet()).trials
    assert f"other libraries: numpy {version('numpy')} against 1.0" in caplog.text
    assert [trial.reused for trial in (first, second, third)] == [False] * 3
    paths = [trial.path for trial in (first, second, third) if trial.path]
    comparison = compare(paths)
    assert len(comparison.groups) == 1
    assert comparison.differences == (
        f"{paths[0].name} and {paths[1].name} were computed by other code: model ridge",
        f"{paths[0].name} and {paths[2].name} were computed by other libraries: numpy {version('numpy')} against 1.0",
    )


def test_a_run_that_records_no_code_is_not_taken_and_compared_with_a_line(
    spec: SweepSpec, caplog: pytest.LogCaptureFixture
) -> None:
    first = grid(spec, ["model.alpha=1,10"], "val1.corr.mean", Quiet())
    old, new = (trial.path for trial in first.trials)
    assert old is not None
    assert new is not None
    manifest = read_stamped(old / "manifest.json")
    del manifest["fingerprint"]
    (old / "manifest.json").write_text(with_stamp(manifest))
    assert compare([old, new]).differences == (
        f"older runs don't record code and libraries, so that these can't be compared: {old.name}",
    )
    with caplog.at_level("WARNING", "nlab"):
        again = grid(spec, ["model.alpha=1,10"], "val1.corr.mean", Quiet())
    assert [trial.reused for trial in again.trials] == [False, True]
    assert "older: it does not record the code and libraries that computed it" in caplog.text


def test_a_search_and_a_grid_have_leaderboards_of_their_own(spec: SweepSpec) -> None:
    made = grid(spec, ["model.alpha=1,2"], "val1.corr.mean", Quiet())
    pages = [write_leaderboard(spec.folder, "s", each) for each in (made, replace(made, searched=True))]
    assert [page.name for page in pages] == ["leaderboard.html", "leaderboard-optuna.html"]
    assert all(page.with_suffix(".csv").is_file() for page in pages)
