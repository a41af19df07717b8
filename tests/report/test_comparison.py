"""Runs side by side: what may be ranked together, best first, differences paired by era."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.metrics.significance import mean_differences
from numerai_lab.report.comparison import compare
from numerai_lab.report.differing import lines_of_differences
from numerai_lab.report.tables import summary_columns
from numerai_lab.report.verdicts import lines_of_comparison
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.run_tables import run_tables
from numerai_lab.runs.score_tables import read_runs
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from tests.conftest import Quiet, make_config
from tests.many_runs import make_runs


def go(folder: Path, name: str, **changes: Any) -> Path:
    return run(
        make_config(**{"name": name, "splits": {}, "augmenters": {"noise": {"kind": "gaussian_noise"}}, **changes}),
        folder,
        Quiet(),
    ).path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def one(folder: Path) -> Path:
    return go(folder, "one")


@pytest.fixture(scope="module")
def two(folder: Path) -> Path:
    return go(folder, "two", model={"kind": "ridge", "alpha": 1000.0}, seeds=[3, 4])


@pytest.fixture(scope="module")
def other_target(folder: Path) -> Path:
    data = {"source": "synthetic", "size": "tiny", "target": "target_cyrusd_20"}
    return go(folder, "cyrusd", data=data)


def test_comparable_runs_stand_in_one_table_best_first(one: Path, two: Path) -> None:
    (group,) = compare([one, two]).groups
    assert group.runs == (one.name, two.name)
    both = group.table.filter(split="val")
    assert both.height == 6
    assert both["corr_mean"].to_list() == sorted(both["corr_mean"], reverse=True)
    assert group.table["split"].to_list() == ["val1", "val2", "val"] * 6


def test_a_split_may_rank_and_judge_and_an_unknown_one_is_refused(one: Path, two: Path) -> None:
    (group,) = compare([one, two], split="val2").groups
    corr = group.table.filter(split="val2")["corr_mean"].to_list()
    assert corr == sorted(corr, reverse=True)
    first = group.table.filter(split="val2").filter(pl.col("delta_corr_mean").is_not_null()).row(0, named=True)
    assert f"corr {first['delta_corr_mean']:+.4f}" in lines_of_comparison(group.table, group.split)[0]
    with pytest.raises(NlabError, match="--split: no split 'val3' in .*; did you mean 'val"):
        compare([one, two], split="val3")


def test_one_split_alone_is_judged_as_among_all(one: Path, two: Path) -> None:
    for split in ("val", "val2"):
        (every,), (alone,) = (compare([one, two], split=split, brief=brief).groups for brief in (False, True))
        assert alone.table.filter(split=split).equals(every.table.select(alone.table.columns).filter(split=split))
        assert alone.table.filter(pl.col("split") != split)["delta_corr_mean"].null_count() == 12


def test_a_brief_comparison_has_the_columns_that_a_terminal_shows_and_the_one_it_is_sorted_by(one: Path, two: Path) -> None:
    shown = {column.name for column in summary_columns(False)}
    (every,), (brief,) = (compare([one, two], brief=brief).groups for brief in (False, True))
    assert shown & {*every.table.columns} == shown & {*brief.table.columns}
    assert "delta_mmc_mean" not in brief.table.columns
    (by_mmc,) = compare([one, two], sort="delta_mmc_mean", brief=True).groups
    assert by_mmc.table.equals(compare([one, two], sort="delta_mmc_mean").groups[0].table)


def test_an_unknown_split_is_refused_in_a_brief_comparison_too(one: Path, two: Path) -> None:
    with pytest.raises(NlabError, match="--split: no split 'val3' in .*; did you mean 'val"):
        compare([one, two], split="val3", brief=True)


def test_what_differs_between_runs_is_told_in_a_line_each(one: Path, two: Path) -> None:
    runs = compare([one, two]).groups[0].members
    assert lines_of_differences(runs) == [
        f"{one.name}: seeds [0], model.alpha 1",
        f"{two.name}: seeds [3, 4], model.alpha 1000",
    ]
    assert lines_of_differences(runs[:1]) == []


def test_where_less_is_better_the_least_comes_first(one: Path, two: Path) -> None:
    for sort in ("max_feature_exposure_mean", "corr_std", "corr_max_drawdown"):
        values = compare([one, two], sort=sort).groups[0].table.filter(split="val")[sort].to_list()
        assert values == sorted(values)


def test_differences_are_paired_by_era_with_the_reference_of_the_first_run(one: Path, two: Path) -> None:
    (group,) = compare([one, two]).groups
    assert group.reference == f"{one.name}/baseline"

    def by_era(path: Path, variant: str) -> np.ndarray:
        table = pl.read_parquet(path / "per_era.parquet").filter(pl.col("split").is_in(["val1", "val2"]), variant=variant)
        return table.group_by("era").agg(pl.col("corr").mean()).sort("era")["corr"].to_numpy()

    row = group.table.filter(run=two.name, variant="noise", split="val").row(0, named=True)
    assert row["delta_corr_mean"] == pytest.approx((by_era(two, "noise") - by_era(one, "baseline")).mean(), abs=1e-15)
    assert row["delta_n_seeds"] == 1
    wanted = mean_differences((by_era(one, "noise") - by_era(one, "baseline"))[:, None], 4)
    row = group.table.filter(run=one.name, variant="noise", split="val").row(0, named=True)
    assert row["delta_corr_mean_p"] == wanted.p[0]
    assert (row["delta_corr_mean_low"], row["delta_corr_mean_high"]) == pytest.approx((wanted.low[0], wanted.high[0]), rel=1e-9)
    assert group.table.filter(run=one.name, variant="baseline")["delta_corr_mean"].null_count() == 3


def test_what_is_compared_together_is_adjusted_together(one: Path, two: Path) -> None:
    (alone,), (both,) = compare([one]).groups, compare([one, two]).groups
    own, among = (group.table.filter(run=one.name, variant="noise", split="val").row(0, named=True) for group in (alone, both))
    assert own["delta_corr_mean_p"] == among["delta_corr_mean_p"]
    assert among["delta_corr_mean_p_adjusted"] >= own["delta_corr_mean_p_adjusted"] >= own["delta_corr_mean_p"]
    assert among["delta_corr_mean_resolution"] > own["delta_corr_mean_resolution"]
    assert both.table.filter(split="val")["in_mcs"].null_count() == 0


def test_a_run_compared_with_itself_alone_has_the_changes_of_its_own_table(two: Path) -> None:
    (group,) = compare([two]).groups
    scores = pl.read_csv(two / "scores.csv", infer_schema_length=None)
    for row in scores.to_dicts():
        (found,) = group.table.filter(variant=row["variant"], split=row["split"]).to_dicts()
        for name in (name for name in scores.columns if name.startswith("delta_") or name in ("in_mcs", "verdict")):
            wanted = row[name] if isinstance(row[name], str | None) else pytest.approx(row[name], nan_ok=True)
            assert found[name] == wanted


def test_another_reference_can_be_named(one: Path, two: Path) -> None:
    reference = f"{two.name}/noise"
    (group,) = compare([one, two], reference=reference).groups
    assert group.reference == reference
    with pytest.raises(NlabError, match="--reference: no variant 'basline'"):
        compare([one], reference="basline")


def test_runs_with_another_target_are_not_ranked_together_and_it_says_which(one: Path, other_target: Path, two: Path) -> None:
    comparison = compare([one, other_target, two])
    assert [group.runs for group in comparison.groups] == [(one.name, two.name), (other_target.name,)]
    (line,) = comparison.differences
    assert line.startswith(
        f"not ranked together: {one.name} and {other_target.name} differ in target (target_ender_20 against target_cyrusd_20)"
    )


@pytest.mark.parametrize("key", ["data identity", "meta model and benchmarks", "horizon (days)", "val1", "val2", "scored rows"])
def test_any_other_difference_of_what_was_scored_separates_runs(one: Path, tmp_path: Path, key: str) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(one, changed)
    manifest = read_stamped(changed / "manifest.json")
    manifest["comparable"][key] = "other"
    (changed / "manifest.json").write_text(with_stamp(manifest))
    comparison = compare([one, changed])
    assert len(comparison.groups) == 2
    assert key in comparison.differences[0]


def test_failed_and_damaged_folders_are_skipped_with_a_line(one: Path, tmp_path: Path) -> None:
    failed, damaged, empty = (tmp_path / name for name in ("failed", "damaged", "empty"))
    shutil.copytree(one, failed)
    (failed / "failed.txt").write_text("disk full\n")
    shutil.copytree(one, damaged)
    (damaged / "per_era.parquet").write_bytes(b"not parquet")
    empty.mkdir()
    comparison = compare([failed, one, damaged, empty])
    assert [group.runs for group in comparison.groups] == [(one.name,)]
    assert "this run failed (disk full)" in comparison.skipped[0]
    assert "damaged run folder" in comparison.skipped[1]
    assert "not a run folder" in comparison.skipped[2]
    with pytest.raises(NlabError, match="no run to compare"):
        compare([failed])


def test_a_folder_named_twice_is_one_run_and_two_of_the_same_name_are_refused(one: Path, two: Path, tmp_path: Path) -> None:
    twice = compare([one, two, one.parent / "." / one.name, one.parent.parent / one.parent.name / one.name]).groups[0]
    assert twice.table.equals(compare([one, two]).groups[0].table)
    namesake = shutil.copytree(two, tmp_path / one.name)
    with pytest.raises(NlabError, match=f"{one} and {namesake} have the same name, .* rename one"):
        compare([one, namesake])


def test_an_unknown_column_to_sort_by_is_answered_with_the_nearest(one: Path) -> None:
    with pytest.raises(NlabError, match="did you mean 'corr_sharpe'"):
        compare([one], sort="corr_sharp")


def test_scores_of_another_definition_are_not_ranked_together(one: Path, tmp_path: Path) -> None:
    other = shutil.copytree(one, tmp_path / "other")
    manifest = read_stamped(other / "manifest.json")
    manifest["scoring"]["fnc"] = "fnc[large]@target"
    (other / "manifest.json").write_text(with_stamp(manifest))
    comparison = compare([one, other])
    assert [group.runs for group in comparison.groups] == [(one.name,), ("other",)]
    assert "differ in fnc (fnc[" in comparison.differences[0]


def test_each_method_stands_beside_the_placebo_of_its_own_run(one: Path, two: Path) -> None:
    for path in (one, two):
        assert read_stamped(path / "manifest.json")["placebos"] == {"placebo": {"noise": "duplicate"}, "untrained": {}}
    scores = pl.read_csv(one / "scores.csv", infer_schema_length=None)
    (group,) = compare([one]).groups
    (own,), (found,) = (table.filter(variant="noise", split="val").to_dicts() for table in (scores, group.table))
    names = [name for name in scores.columns if name.startswith("delta_placebo_")]
    assert [found[name] for name in names] == pytest.approx([own[name] for name in names], rel=1e-9)
    assert (own["reference"], own["placebo"], own["untrained"]) == ("baseline", "duplicate", None)
    means = {row["variant"]: row["corr_mean"] for row in scores.filter(split="val").to_dicts()}
    assert own["delta_placebo_corr_mean"] == pytest.approx(means["noise"] - means["duplicate"], abs=1e-12)
    (group,) = compare([one, two]).groups
    beside = group.table.filter(split="val", variant="noise").select("run", "reference", "placebo").rows()
    assert sorted(beside) == [(path.name, f"{one.name}/baseline", "duplicate") for path in (one, two)]
    assert group.table.filter(variant="duplicate")["placebo"].null_count() == 6


def test_runs_that_are_read_together_are_those_that_are_read_alone(tmp_path: Path) -> None:
    runs = [*make_runs(tmp_path / "runs", 3), *make_runs(tmp_path / "others", 2, ("baseline", "001"))]
    for run_together, path in zip(read_runs(runs), runs, strict=True):
        alone = read_run(path)
        assert isinstance(run_together, Run)
        assert run_together.path == path
        assert run_together.scores.equals(alone.scores)
        assert run_together.per_era.equals(alone.per_era)


def test_a_score_table_that_is_none_spoils_no_other(tmp_path: Path) -> None:
    runs = make_runs(tmp_path / "runs", 3)
    table = runs[1] / "scores.csv"
    header, first, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header, first.replace(".", '"', 1), *rest, ""]))
    comparison = compare(runs)
    assert comparison.groups[0].runs == (runs[0].name, runs[2].name)
    assert comparison.groups[0].table.equals(compare([runs[0], runs[2]]).groups[0].table)
    assert [line.split(":")[0] for line in comparison.skipped] == [f"skipped {runs[1]}"]
    tables = run_tables(tmp_path / "runs", ["scores", "per_era"])
    status = dict(zip(*(tables["runs"][name].to_pylist() for name in ("run", "status")), strict=True))
    assert status[runs[1].name] == "damaged"
    assert {*tables["scores"]["run"].to_pylist()} == {*tables["per_era"]["run"].to_pylist()} == {runs[0].name, runs[2].name}
