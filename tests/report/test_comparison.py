"""Runs side by side: what may be ranked together, best first, differences paired by era."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.basics import NlabError
from numerai_lab.experiment import run
from numerai_lab.metrics.significance import paired_difference
from numerai_lab.report.comparison import compare
from tests.conftest import Quiet, make_config


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
    assert both.height == 4
    assert both["corr_mean"].to_list() == sorted(both["corr_mean"], reverse=True)
    assert group.table["split"].to_list() == ["val1", "val2", "val"] * 4


def test_where_less_is_better_the_least_comes_first(one: Path, two: Path) -> None:
    for sort in ("max_feature_exposure_mean", "corr_std", "corr_max_drawdown"):
        values = compare([one, two], sort=sort).groups[0].table.filter(split="val")[sort].to_list()
        assert values == sorted(values)


def test_differences_are_paired_by_era_with_the_reference_of_the_first_run(one: Path, two: Path) -> None:
    (group,) = compare([one, two]).groups
    assert group.reference == f"{one.name}/baseline"

    def by_era(path: Path, variant: str) -> np.ndarray:
        table = pl.read_parquet(path / "per_era.parquet").filter(variant=variant, split="val1")
        return table.group_by("era").agg(pl.col("corr").mean()).sort("era")["corr"].to_numpy()

    wanted = paired_difference(by_era(two, "noise") - by_era(one, "baseline"), 4)
    row = group.table.filter(run=two.name, variant="noise", split="val1").row(0, named=True)
    assert row["delta_corr_mean"] == pytest.approx(wanted.mean, abs=1e-15)
    assert (row["delta_corr_mean_low"], row["delta_corr_mean_high"]) == (wanted.low, wanted.high)
    assert group.table.filter(run=one.name, variant="baseline")["delta_corr_mean"].null_count() == 3


def test_another_reference_can_be_named(one: Path, two: Path) -> None:
    reference = f"{two.name}/noise"
    (group,) = compare([one, two], reference=reference).groups
    assert group.reference == reference
    with pytest.raises(NlabError, match="--reference: no variant 'basline'"):
        compare([one], reference="basline")


def test_runs_with_another_target_are_not_ranked_together_and_it_says_which(one: Path, other_target: Path, two: Path) -> None:
    found = compare([one, other_target, two])
    assert [group.runs for group in found.groups] == [(one.name, two.name), (other_target.name,)]
    (line,) = found.differences
    assert line.startswith(
        f"not ranked together: {one.name} and {other_target.name} differ in target (target_ender_20 against target_cyrusd_20)"
    )


@pytest.mark.parametrize("key", ["data version", "horizon (days)", "val1", "val2", "scored rows"])
def test_any_other_difference_of_what_was_scored_separates_runs(one: Path, tmp_path: Path, key: str) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(one, changed)
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["comparable"][key] = "other"
    (changed / "manifest.json").write_text(json.dumps(manifest))
    found = compare([one, changed])
    assert len(found.groups) == 2
    assert key in found.differences[0]


def test_failed_and_damaged_folders_are_skipped_with_a_line(one: Path, tmp_path: Path) -> None:
    failed, damaged, empty = (tmp_path / name for name in ("failed", "damaged", "empty"))
    shutil.copytree(one, failed)
    (failed / "failed.txt").write_text("disk full\n")
    shutil.copytree(one, damaged)
    (damaged / "per_era.parquet").write_bytes(b"not parquet")
    empty.mkdir()
    found = compare([failed, one, damaged, empty])
    assert [group.runs for group in found.groups] == [(one.name,)]
    assert "this run failed (disk full)" in found.skipped[0]
    assert "damaged run folder" in found.skipped[1]
    assert "not a run folder" in found.skipped[2]
    with pytest.raises(NlabError, match="no run to compare"):
        compare([failed])


def test_an_unknown_column_to_sort_by_is_answered_with_the_nearest(one: Path) -> None:
    with pytest.raises(NlabError, match="did you mean 'corr_sharpe'"):
        compare([one], sort="corr_sharp")
