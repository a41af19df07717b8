"""Predictions of runs whose eras are dates, whose features are continuous, or which read the oracle of a synthetic world."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from numerai_lab.api import Results
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.tournament.live import live
from tests.conftest import Quiet, make_config, make_panel, quick


def friday(week: int) -> date:
    return date(2022, 1, 7) + timedelta(weeks=week - 1)


def table(binned: bool) -> pd.DataFrame:
    """60 weeks of 20 stocks whose ids repeat."""
    panel = make_panel(n_eras=60, n_rows=20, binned=binned)
    frame = pd.DataFrame(panel.features, columns=[*panel.feature_names])
    weeks = np.repeat(np.arange(1, 61), 20)
    return frame.assign(
        id=[f"stock{i % 20:02d}" for i in range(1200)], era=[friday(w) for w in weeks.tolist()], target_x_20=panel.target
    )


@pytest.fixture(scope="module", params=["bins", "continuous"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A run on dated eras, with columns that depend on the number of the era."""
    folder = tmp_path_factory.mktemp("dated")
    table(request.param == "bins").to_parquet(folder / "data.parquet")
    config = make_config(
        data={"source": "files", "path": str(folder / "data.parquet"), "target": "target_x_20"},
        splits={"train": "50%"},
        generators={"noise": quick("random_columns")},
        variants={"baseline": {}, "noisy": {"features": ["raw", "noise"], "neutralize": {"features": "all", "proportion": 0.5}}},
    )
    done = run(config, folder / "runs", Quiet())
    return Results(done.path, done.manifest, done)


def test_dates_in_any_notation_are_the_weeks_of_the_run(results: Results) -> None:
    frame = table(_binned(results))
    one = frame[frame["era"] == friday(50)]
    recorded = results.predictions.query("era == 50").set_index("id")["noisy"]
    for notation in ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d"):
        predicted = results.predict(one.assign(era=friday(50).strftime(notation)), "noisy", raw=True)
        np.testing.assert_array_equal(predicted["noisy"], recorded.loc[predicted.index])
    two = results.predict(frame[frame["era"].isin([friday(50), friday(51)])], "noisy")
    assert {*two["era"]} == {friday(50).strftime("%Y%m%d"), friday(51).strftime("%Y%m%d")}


def _binned(results: Results) -> bool:
    return pl.read_parquet(results.config.data.files().tables[0])["feature_0"].dtype == pl.Int8


def test_an_era_after_the_run_is_a_week_of_its_own_and_live_rows_follow_the_last(results: Results) -> None:
    one = table(_binned(results)).pipe(lambda frame: frame[frame["era"] == friday(50)])
    later, live_rows = results.predict(one.assign(era=friday(61)), "noisy"), results.predict(one.drop(columns="era"), "noisy")
    pd.testing.assert_frame_equal(later, live_rows)
    assert (results.predict(one.assign(era=friday(63)), "noisy")["prediction"] != later["prediction"]).any()


def test_numbers_are_no_dates_and_continuous_values_no_bins(results: Results) -> None:
    one = table(_binned(results)).pipe(lambda frame: frame[frame["era"] == friday(50)])
    with pytest.raises(NlabError, match="its eras are numbers, such as '50', and those of the run dates"):
        results.predict(one.assign(era=50), "baseline")
    if not _binned(results):
        quarters = one.assign(**{name: (one[name] * 4).round() / 4 for name in one if name.startswith("feature")})
        as_bins = quarters.assign(**{name: (quarters[name] * 4).astype("int8") for name in one if name.startswith("feature")})
        pd.testing.assert_frame_equal(results.predict(quarters, "baseline"), results.predict(as_bins, "baseline"))
        with pytest.raises(NlabError, match="wanted 0 to 1"):
            results.predict(one.assign(feature_0=1.5), "baseline")


def test_what_reads_the_oracle_can_not_go_live(tmp_path: Path) -> None:
    data = {"source": "synthetic", "size": "tiny", "feature_set": "small", "oracle": True}
    done = run(make_config(data=data, variants={"baseline": {}, "truth": {"features": ["oracle"]}}), tmp_path / "runs", Quiet())
    rows = tmp_path / "live.parquet"
    known = pl.read_parquet(Results(done.path, done.manifest, done).config.data.live().table)
    known.drop([name for name in known.columns if "oracle" in name]).write_parquet(rows)
    with pytest.raises(NlabError, match=r"lacks \d+ of \d+ features that the models read, such as 'feature_oracle"):
        live(done.path, tmp_path / "out.csv", Quiet(), "truth", rows)
    assert live(done.path, tmp_path / "out.csv", Quiet(), None, rows).facts["variant"] == "baseline"
