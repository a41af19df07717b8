"""Scoring a file of predictions: the tables of a run, and what does not match said or refused."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from numerai_lab.config.loading import load_part
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.experiment import run
from numerai_lab.fitting.plan import plan
from numerai_lab.studies.rescore import Compared, Scored, score_predictions
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab

SETTINGS = ["data.size=tiny"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config(splits={}, generators={"pca": quick("pca")}, variants={"baseline": {}, "pca": {"features": ["pca"]}})
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


@pytest.fixture(scope="module")
def predictions(done: Path) -> pl.DataFrame:
    return pl.read_parquet(done / "predictions.parquet")


def scored(table: pl.DataFrame, folder: Path, suffix: str = ".parquet", reference: str | None = None) -> Scored:
    path = folder / f"predictions{suffix}"
    table.write_parquet(path) if suffix == ".parquet" else table.write_csv(path)
    return score_predictions(path, config(), Quiet(), Compared(reference))


def config(*overrides: str) -> Config:
    return load_part(None, [*SETTINGS, *overrides], ("data", "splits", "scoring"))


def refusal(table: pl.DataFrame, folder: Path, reference: str | None = None) -> str:
    with pytest.raises(NlabError) as caught:
        scored(table, folder, reference=reference)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_runs_own_predictions_get_the_runs_own_scores(
    done: Path, predictions: pl.DataFrame, tmp_path: Path, suffix: str
) -> None:
    rescored = scored(predictions.sample(fraction=1, shuffle=True, seed=1), tmp_path, suffix)
    wanted = pl.read_csv(done / "scores.csv", infer_schema_length=None)
    assert_frame_equal(rescored.scores.drop("notes"), wanted.drop("notes"), check_dtypes=False, abs_tol=1e-9)
    assert_frame_equal(rescored.eras, pl.read_parquet(done / "per_era.parquet"), abs_tol=1e-9)
    assert "SYNTHETIC" in rescored.head[0]


def test_only_id_and_a_column_are_needed(predictions: pl.DataFrame, tmp_path: Path) -> None:
    rescored = scored(predictions.select("id", mine="baseline"), tmp_path)
    assert rescored.scores["variant"].unique().to_list() == ["mine"]
    assert rescored.scores["n_eras"].to_list() == [10, 10, 20]


def test_features_that_leave_nothing_of_an_era_are_said_before_a_run_in_it_and_beside_its_scores(
    predictions: pl.DataFrame, tmp_path: Path
) -> None:
    remark = "fnc can't be computed for any of the 20 scored eras: the 102 features of all explain every column of an era"
    wide = make_config(splits={}, scoring={"fnc_features": "all"})
    of_no_files = make_config(splits={}, scoring=wide.scoring, data={**wide.data.model_dump(), "seed": 999})
    for planned in (plan(of_no_files), plan(wide)):
        assert [line.startswith(remark) for line in planned.remarks] == [True]
        assert planned.lines()[-1] == planned.as_dict()["remarks"][0] == planned.remarks[0]
    assert plan(make_config()).remarks == []
    done = run(wide, tmp_path, Quiet())
    assert planned.remarks[0] in done.manifest["warnings"]
    (tmp_path / "mine.csv").write_text(predictions.select("id", "era", "baseline").write_csv())
    rescored = score_predictions(tmp_path / "mine.csv", config("scoring.fnc_features=all"), Quiet())
    assert planned.remarks[0] in rescored.head
    assert rescored.eras["fnc"].is_nan().all()


def test_eras_without_predictions_are_left_out(predictions: pl.DataFrame, tmp_path: Path) -> None:
    rescored = scored(predictions.filter(pl.col("split") == "val2"), tmp_path)
    assert rescored.scores["split"].unique(maintain_order=True).to_list() == ["val2", "val"]
    assert "val1 eras none; val2 eras 87-96 (10 eras)" in rescored.head[1]


def test_rows_without_a_prediction_are_left_out_of_their_era_and_counted(
    predictions: pl.DataFrame, tmp_path: Path, tiny: "object"
) -> None:
    short = predictions.filter(~((pl.col("era") == 70) & (pl.int_range(pl.len()).over("era") < 16)))
    rescored = scored(short, tmp_path)
    assert "16 rows of scored eras have no prediction and are left out of their eras" in rescored.head
    row = rescored.eras.filter(era=70, variant="baseline").row(0, named=True)
    assert row["n_rows"] == 64
    panel: Panel = tiny.panel  # type: ignore[attr-defined]
    rows = panel.rows(70)
    assert panel.target is not None
    kept = np.isin(panel.ids[rows], [name.encode() for name in short.filter(era=70)["id"]])
    values = dict(short.filter(era=70).select("id", "baseline").iter_rows())
    own = np.array([values[name.decode()] for name in panel.ids[rows][kept]])
    exposures = [abs(np.corrcoef(column, own)[0, 1]) for column in panel.features[rows][kept][:, : panel.n_raw].T.astype(float)]
    assert row["max_feature_exposure"] == pytest.approx(max(exposures), abs=1e-5)


def test_an_era_with_a_prediction_for_under_80_percent_of_its_rows_is_scored_for_nobody(
    predictions: pl.DataFrame, tmp_path: Path
) -> None:
    short = predictions.filter(~((pl.col("era") == 70) & (pl.int_range(pl.len()).over("era") < 17)))
    rescored = scored(short, tmp_path)
    assert rescored.eras.filter(era=70).is_empty()
    assert any(line.startswith("1 era is left out of all variants: under 80% of the rows") for line in rescored.head)


def test_ids_that_do_not_match_are_counted_and_named(predictions: pl.DataFrame, tmp_path: Path) -> None:
    strange = pl.when(pl.int_range(pl.len()) < 100).then(pl.lit("z") + pl.col("id")).otherwise("id").alias("id")
    rescored = scored(predictions.with_columns(strange), tmp_path)
    assert any(line.startswith("100 of 2,880 ids are not in the data, such as 'zn") for line in rescored.head)
    lost = pl.when(pl.int_range(pl.len()) < 800).then(pl.lit("z") + pl.col("id")).otherwise("id").alias("id")
    assert "800 of 2,880 ids are not in the data" in (said := refusal(predictions.with_columns(lost), tmp_path))
    assert "fewer than 80% match" in said


def test_what_contradicts_the_data_is_refused(predictions: pl.DataFrame, tmp_path: Path) -> None:
    assert "stands 2 times" in refusal(pl.concat([predictions, predictions.head(1)]), tmp_path)
    assert "stands in era 62, in the data in era 61" in refusal(predictions.with_columns(pl.col("era") + 1), tmp_path)
    assert "no column 'absent'" in refusal(predictions, tmp_path, "absent")
    assert "no column of numbers beside id" in refusal(predictions.select("id", "era"), tmp_path)
    assert "has no id column" in refusal(predictions.drop("id"), tmp_path)
    assert "no era of val1 or val2 has predictions" in refusal(predictions.filter(pl.col("split") == "embargo"), tmp_path)


def test_the_command_prints_the_tables_and_writes_them(done: Path, tmp_path: Path) -> None:
    path = done / "predictions.parquet"
    result = nlab("score", path, "--set", "data.size=tiny", "--reference", "pca", "--out", tmp_path / "out", "--format", "json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["delta_corr_mean"] is None for row in rows] == [False, True] * 3
    assert {name.name for name in (tmp_path / "out").iterdir()} == {"manifest.json", "scores.csv", "scores.md", "per_era.parquet"}
    assert "Δ against pca" in (tmp_path / "out" / "scores.md").read_text()
    again = nlab("score", path, "--set", "data.size=tiny", "--out", tmp_path / "out")
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_predictions_are_scored_at_the_precision_they_have(predictions: pl.DataFrame, tmp_path: Path) -> None:
    fine = predictions.with_columns(
        pl.col("baseline").cast(pl.Float64), squeezed=0.5 + 1e-9 * pl.col("baseline").cast(pl.Float64)
    )
    table = scored(fine, tmp_path).scores
    one, other = (table.filter(variant=name)["corr_mean"].to_list() for name in ("baseline", "squeezed"))
    assert one == pytest.approx(other, abs=1e-9)
