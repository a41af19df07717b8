"""A run on eras that are dates, from the plan to what is scored and exported: embargoed by weeks, shown as dates."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import load_part
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.fitting.plan import plan
from numerai_lab.report.page import heading
from numerai_lab.runs.reading import Run
from numerai_lab.studies.export import export_run
from numerai_lab.studies.rescore import Scored, score_predictions
from tests.conftest import Quiet, make_config, make_panel, quick

FIRST = date(2022, 1, 7)
N_ERAS, N_ROWS = 60, 20


def table(eras: list[Any]) -> pl.DataFrame:
    """A factor panel under these era labels, without data_type; ids repeat from era to era."""
    panel = make_panel(n_eras=len(eras), n_rows=N_ROWS)
    features = dict(zip(panel.feature_names, panel.features.T, strict=True))
    assert panel.target is not None
    ids = [f"stock{row:03d}" for _ in eras for row in range(N_ROWS)]
    return pl.DataFrame({"id": ids, "era": [era for era in eras for _ in range(N_ROWS)], **features, "target_x_20": panel.target})


def compact(week: int) -> int:
    return int((FIRST + timedelta(weeks=week - 1)).strftime("%Y%m%d"))


def config(path: Path, **changes: Any) -> Config:
    data = {"source": "files", "path": str(path), "target": "target_x_20"}
    variants = {"baseline": {}, "raw+pca": {"features": ["raw", "pca"]}}
    changes = {"splits": {"train": "50%"}, "generators": {"pca": quick("pca")}, "variants": variants, **changes}
    return make_config(**{"data": data, **changes})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dated") / "data.parquet"
    table([compact(week) for week in range(1, N_ERAS + 1)]).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def done(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(config(path), tmp_path_factory.mktemp("runs"), Quiet())


def test_the_plan_leaves_out_eight_weeks_and_shows_dates(path: Path) -> None:
    shown = "\n".join(plan(config(path)).lines())
    (train_end,) = re.findall(r"^train .* eras 20220107-(\d+) \(30 eras\)", shown, re.MULTILINE)
    (val1_start,) = re.findall(r"^val1 .* eras (\d+)-", shown, re.MULTILINE)
    weeks = [compact(week) for week in range(1, N_ERAS + 1)]
    assert sum(int(train_end) < week < int(val1_start) for week in weeks) == 8


def test_a_run_scores_what_it_scores_under_plain_numbers(done: Run, tmp_path: Path) -> None:
    table(list(range(1, N_ERAS + 1))).write_parquet(tmp_path / "data.parquet")
    numbered = run(config(tmp_path / "data.parquet"), tmp_path, Quiet())
    assert done.per_era.drop("date").equals(numbered.per_era)
    assert "date" not in numbered.per_era.columns
    assert done.manifest["splits"] == numbered.manifest["splits"]
    assert any("val1 eras 20220930-20221111 (7 eras)" in line for line in heading(done.manifest))


def test_predictions_carry_the_date_of_the_users_own_file(done: Run, path: Path) -> None:
    predictions = pl.read_parquet(done.path / "predictions.parquet")
    assert predictions.columns[:4] == ["id", "era", "date", "target"]
    own = pl.read_parquet(path).with_columns(pl.col("era").cast(pl.String).str.to_date("%Y%m%d").alias("date"))
    joined = predictions.join(own, on=["id", "date"], validate="1:1")
    assert len(joined) == len(predictions) == 30 * N_ROWS
    assert joined["target"].to_list() == joined["target_x_20"].to_list()
    assert done.per_era["date"].dtype == pl.Date


def scored(predictions: pl.DataFrame, path: Path, folder: Path) -> Scored:
    predictions.write_parquet(folder / "predictions.parquet")
    data = [f"data.{key}={value}" for key, value in config(path).data.model_dump().items() if value not in (None, [])]
    asked = load_part(None, [*data, "splits.train=50%"], ("data", "splits", "scoring"))
    return score_predictions(folder / "predictions.parquet", asked, Quiet())


@pytest.mark.parametrize("notation", ["number", "integer", "text", "date"])
def test_a_file_of_predictions_is_matched_by_date_or_by_number(done: Run, path: Path, tmp_path: Path, notation: str) -> None:
    predictions = pl.read_parquet(done.path / "predictions.parquet")
    eras = {
        "number": pl.col("era"),
        "integer": pl.col("date").dt.strftime("%Y%m%d").cast(pl.Int64),
        "text": pl.col("date").dt.strftime("%Y-%m-%d 00:00:00"),
        "date": pl.col("date"),
    }
    rescored = scored(predictions.select("id", eras[notation].alias("era"), "baseline"), path, tmp_path)
    wanted = done.per_era.filter(variant="baseline")
    np.testing.assert_allclose(rescored.eras["corr"].to_numpy(), wanted["corr"].to_numpy(), atol=1e-12)


def test_a_file_whose_dates_are_not_those_of_the_data_does_not_match(done: Run, path: Path, tmp_path: Path) -> None:
    predictions = pl.read_parquet(done.path / "predictions.parquet").select("id", "date", "baseline")
    moved = predictions.select("id", (pl.col("date") + pl.duration(days=1)).alias("era"), "baseline")
    with pytest.raises(NlabError, match="600 of 600 ids are not in the data.*fewer than 80%"):
        scored(moved, path, tmp_path)
    mixed = predictions.select("id", pl.Series("era", ["2022-09-30", *["40"] * 599]), "baseline")
    with pytest.raises(NlabError, match=r"predictions.parquet: era '2022-09-30' is a date and era '40' is a number"):
        scored(mixed, path, tmp_path)


def test_eras_of_seven_digits_are_told_apart_where_ids_repeat(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    long = table([1_000_000 + week for week in range(N_ERAS)])
    long.write_parquet(path)
    rescored = scored(long.select("id", "era", guess="feature_0"), path, tmp_path)
    assert rescored.eras["era"].to_list() == [*range(1_000_038, 1_000_045), *range(1_000_053, 1_000_060)]


def test_exported_columns_carry_the_date_and_the_era_of_the_users_file(done: Run, path: Path, tmp_path: Path) -> None:
    exported = pl.read_parquet(export_run(done.path, "pca", tmp_path / "out.parquet", Quiet()).path)
    assert exported.columns[:4] == ["id", "era", "date", "split"]
    assert exported["date"].unique().sort().to_list() == [FIRST + timedelta(weeks=week) for week in range(N_ERAS)]
    assert exported["era"].dtype == pl.read_parquet(path)["era"].dtype
    assert exported.join(pl.read_parquet(path), on=["id", "era"], validate="1:1").height == exported.height


def test_daily_eras_are_embargoed_by_business_days(tmp_path: Path) -> None:
    days = np.busday_offset("2022-01-03", np.arange(N_ERAS * 4))
    table(days.tolist()).write_parquet(tmp_path / "data.parquet")
    data = {**config(tmp_path / "data.parquet").data.model_dump(), "days_per_era": 1}
    found = plan(config(tmp_path / "data.parquet", data=data))
    assert found.splits.train[-1] == 120
    assert found.splits.val1[0] == 120 + 40 + 1
    assert found.splits.val2[0] - found.splits.val1[-1] - 1 == 40
