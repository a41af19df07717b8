"""The truth of synthetic data: read after scoring alone, and beside the scores of every run of such data."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import TRUTH
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import Size
from numerai_lab.data.worlds import WORLDS
from numerai_lab.experiment import run
from numerai_lab.metrics.shares import with_shares
from numerai_lab.runs.layout import PREDICTIONS
from numerai_lab.runs.reading import Run
from numerai_lab.studies.rescore import Compared, score_predictions
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab

SIZE = Size.even(60, 200, 0, 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("world")
    write_tournament(path, World(SIZE, 2, WORLDS["unpaid"]), oracle=True)
    return path


def config_of(folder: Path, **changes: object) -> Config:
    data = {"source": "files", "path": str(folder), "feature_set": "all"}
    return make_config(data=data, generators={"pca": quick("pca")}, augmenters={"cutout": {"kind": "cutout"}}, **changes)


def run_in_new_cache(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NLAB_CACHE", str(place / "cache"))
    return run(config_of(folder), place / "runs", Quiet())


def test_predictions_are_the_same_whatever_the_truth_holds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = (folder / TRUTH).read_bytes()
    expected = run_in_new_cache(folder, tmp_path / "whole", monkeypatch)
    rows = pl.read_parquet(folder / TRUTH)
    empty = rows.with_columns(pl.lit(float("nan")).cast(pl.Float32).alias(name) for name in rows.columns if "_" in name)
    try:
        for name in ("nan", "garbage", "absent"):
            (folder / TRUTH).unlink(missing_ok=True)
            if name == "nan":
                empty.write_parquet(folder / TRUTH)
            if name == "garbage":
                (folder / TRUTH).write_bytes(b"no parquet file")
            done = run_in_new_cache(folder, tmp_path / name, monkeypatch)
            assert (done.path / PREDICTIONS).read_bytes() == (expected.path / PREDICTIONS).read_bytes()
            shares = done.scores["share_of_truth"] if name == "nan" else None
            assert ("share_of_truth" in done.scores.columns) is (name == "nan")
            assert shares is None or shares.null_count() == len(shares)
            assert any("no share of truth" in warning for warning in done.manifest["warnings"]) is (name == "garbage")
    finally:
        (folder / TRUTH).write_bytes(whole)
    assert expected.scores["share_of_truth"].null_count() < len(expected.scores)


def test_a_share_is_the_change_over_what_could_be_had(folder: Path, tmp_path: Path) -> None:
    done = run(config_of(folder), tmp_path, Quiet())
    corr = dict(done.scores.filter(split="val").select("variant", "corr_mean").iter_rows())
    room = done.manifest["truth"]["corr_mean"] - corr["baseline"]
    assert 0.03 < done.manifest["truth"]["corr_mean"] < 0.12
    for name, split, share in done.scores.select("variant", "split", "share_of_truth").iter_rows():
        known = split == "val" and name != "baseline"
        assert share == pytest.approx((corr[name] - corr["baseline"]) / room) if known else share is None


def table(**corr: float) -> pl.DataFrame:
    rows = [{"variant": name, "split": split, "corr_mean": value} for name, value in corr.items() for split in ("val1", "val")]
    return pl.DataFrame(rows)


def test_shares_are_empty_where_nothing_is_above_the_reference() -> None:
    scores = table(baseline=0.02, better=0.03, oracle=0.04)
    shares = with_shares(scores, "baseline", 0.06, "oracle").filter(split="val")
    assert shares["share_of_truth"].to_list() == [None, pytest.approx(0.25), pytest.approx(0.5)]
    assert shares["share_of_oracle"].to_list() == [None, pytest.approx(0.5), pytest.approx(1)]
    for truth, oracle in ((0.02, "baseline"), (float("nan"), None), (0.01, "missing")):
        empty = with_shares(scores, "baseline", truth, oracle)
        assert empty["share_of_truth"].null_count() == empty["share_of_oracle"].null_count() == len(scores)


def test_a_variant_that_reads_the_oracle_is_marked_and_others_are_measured_by_it(tmp_path: Path) -> None:
    data = {"source": "synthetic", "size": "tiny", "world": "steady", "oracle": True, "feature_set": "all"}
    done = run(make_config(data=data, variants={"baseline": {}, "top": {"features": ["oracle"]}}), tmp_path, Quiet())
    assert done.manifest["truth"]["oracle"] == "top"
    assert done.manifest["data"]["input_sets"] == {"oracle": 64}
    assert "with oracle" in done.manifest["comparable"]["data version"]
    notes = dict(done.scores.select("variant", "notes").iter_rows())
    assert "reads the feature set oracle" in notes["top"]
    assert "oracle" not in notes["baseline"]
    assert "share_of_oracle" in done.scores.columns


@pytest.mark.slow
def test_the_baseline_is_the_same_with_and_without_an_oracle_in_the_data(tmp_path: Path) -> None:
    values = []
    for oracle in (False, True):
        data = {"source": "synthetic", "size": "tiny", "world": "clusters", "oracle": oracle, "feature_set": "all"}
        top = {"top": {"features": ["raw", "oracle"]}} if oracle else {}
        done = run(make_config(data=data, variants={"baseline": {}, **top}), tmp_path, Quiet())
        values.append(pl.read_parquet(done.path / PREDICTIONS)["baseline"].to_numpy())
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": {"a": {"features": ["raw", "oracle"]}}}, "variants.a.features: 'oracle' is read of a synthetic world"),
        (
            {
                "data": {"source": "synthetic", "oracle": True},
                "augmenters": {"c": {"kind": "cutout"}},
                "variants": {"a": {"features": ["raw", "oracle"], "augment": ["c"]}},
            },
            "variants.a.augment: rows that an augmenter makes have no columns of the set 'oracle'",
        ),
        (
            {"data": {"source": "synthetic", "oracle": True}, "generators": {"oracle": {"kind": "pca"}}},
            "generators.oracle: the data have a feature set of this name",
        ),
    ],
)
def test_an_oracle_that_can_not_be_read_is_refused_in_one_sentence(changes: dict[str, object], message: str) -> None:
    with pytest.raises(NlabError, match=message):
        make_config(**changes)


def test_scores_of_a_file_have_shares_by_the_truth_that_is_named_or_found(folder: Path, tmp_path: Path) -> None:
    done = run(config_of(folder), tmp_path, Quiet())
    config = config_of(folder)
    predictions = done.path / PREDICTIONS
    for truth in (None, folder, folder / TRUTH):
        scored = score_predictions(predictions, config, Quiet(), Compared("baseline", truth, oracle="raw+pca"))
        shares = dict(scored.scores.filter(split="val").select("variant", "share_of_oracle").iter_rows())
        assert shares["baseline"] is None
        assert shares["raw+pca"] in (None, pytest.approx(1))
        assert any(line.startswith("truth ") for line in scored.head)
    with pytest.raises(NlabError, match="--truth: no file"):
        score_predictions(predictions, config, Quiet(), Compared("baseline", tmp_path / "nothing.parquet"))
    with pytest.raises(NlabError, match="has no column 'expected_20'"):
        score_predictions(predictions, config, Quiet(), Compared("baseline", folder / "train.parquet"))


def test_nlab_score_prints_the_share_of_truth(folder: Path, tmp_path: Path) -> None:
    done = run(config_of(folder), tmp_path, Quiet())
    settings = ["--set", "data.source=files", "--set", f"data.path={folder}", "--set", "data.feature_set=all"]
    words = ["score", str(done.path / PREDICTIONS), *settings, "--reference", "baseline", "--truth", str(folder)]
    printed = nlab(*words, "--format", "json", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    rows = {(row["variant"], row["split"]): row for row in json.loads(printed.stdout)}
    assert rows["cutout", "val"]["share_of_truth"] is not None
    assert rows["cutout", "val1"]["share_of_truth"] is None
