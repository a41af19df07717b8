"""What people decide by: BMC, BMC of the last eras, and the payout proxy; missing where what they need is missing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numerai_tools import scoring as official

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.metrics.payout import multipliers
from numerai_lab.metrics.scoring import Column, Predictions, Scoring, per_era, score_table
from numerai_lab.metrics.windows import with_windows
from tests.conftest import make_config, make_panel

SCORING = Scoring("twin", "all", None, "benchmark", 20)
VAL1, VAL2 = tuple(range(11, 31)), tuple(range(31, 51))


@pytest.fixture
def panel() -> Panel:
    """50 eras of 40 rows with a benchmark that is missing in eras 11 and 12."""
    panel = make_panel(n_eras=50)
    benchmark = np.random.default_rng(5).uniform(size=len(panel.ids)).astype(np.float32)
    benchmark[panel.rows(11)] = np.nan
    benchmark[panel.rows(12)] = np.nan
    return replace(panel, extras={"benchmark": benchmark})


def scored(panel: Panel, scoring: Scoring = SCORING) -> pl.DataFrame:
    """Per-era scores of `twin`, whose predictions are the benchmark's, and `other`."""
    splits = Splits(tuple(range(1, 11)), (), VAL1, VAL2, 0, 0)
    rows = np.arange(panel.rows(VAL1[0]).start, len(panel.ids))
    twin = np.nan_to_num(panel.extras["benchmark"][rows], nan=0.5) + np.tile(np.arange(40) * 1e-6, len(VAL1 + VAL2))
    assert panel.target is not None
    other = 0.3 * panel.target[rows] + np.random.default_rng(6).uniform(size=len(rows))
    columns = (Column("twin", 0), Column("other", 0))
    return per_era(panel, Predictions(columns, rows, np.column_stack([twin, other])), splits, scoring)


def by_hand(panel: Panel) -> dict[int, float]:
    """BMC of `other` in each era that has a benchmark, by numerai-tools."""
    rows = np.arange(panel.rows(VAL1[0]).start, len(panel.ids))
    assert panel.target is not None
    values = 0.3 * panel.target[rows] + np.random.default_rng(6).uniform(size=len(rows))
    out = {}
    for era in (*VAL1, *VAL2):
        place = panel.rows(era)
        frame = pd.DataFrame({"other": values[place.start - rows[0] : place.stop - rows[0]]})
        benchmark = pd.Series(panel.extras["benchmark"][place].astype(float), name="benchmark")
        if benchmark.notna().all():
            target = pd.Series(panel.target[place].astype(float))
            out[era] = float(official.correlation_contribution(frame, benchmark, target).iloc[0])
    return out


def test_the_last_eras_are_those_with_a_benchmark_and_the_same_for_everybody() -> None:
    one, two = np.full((1, 260), 0.01), np.full((1, 260), 0.03)
    one[:, 250:] = two[:, 250:] = np.nan  # no benchmark yet
    two[:, 100] = np.nan  # a constant prediction
    windows = with_windows({"one": {"bmc": one}, "two": {"bmc": two}})
    assert np.flatnonzero(np.isfinite(windows["one"]["bmc_last200"])).tolist() == list(range(50, 250))
    assert np.flatnonzero(np.isfinite(windows["two"]["bmc_last200"])).tolist() == [i for i in range(50, 250) if i != 100]
    assert "bmc_last200" not in with_windows({"one": {"corr": one}})["one"]


def test_bmc_and_that_of_the_last_eras_are_numerais(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    from numerai_lab.metrics import METRICS

    monkeypatch.setitem(METRICS, "bmc_last200", replace(METRICS["bmc_last200"], window=("bmc", 15)))
    eras = scored(panel)
    wanted = by_hand(panel)
    table = score_table(eras, SCORING, {})
    for split, last in (("val1", [*range(16, 31)]), ("val2", [*range(36, 51)]), ("val", [*range(36, 51)])):
        row = table.filter(variant="other", split=split).row(0, named=True)
        own = [value for era, value in wanted.items() if split == "val" or era in {"val1": VAL1, "val2": VAL2}[split]]
        assert row["bmc_mean"] == pytest.approx(np.mean(own), abs=1e-9)
        assert row["bmc_last200_mean"] == pytest.approx(np.mean([wanted[era] for era in last]), abs=1e-9)
        assert row["bmc_last200_n_eras"] == 15
    assert table.filter(variant="other", split="val1")["bmc_n_eras"].to_list() == [18]


def test_the_first_columns_keep_their_places_for_scripts_that_cut_them_out(panel: Panel) -> None:
    assert score_table(scored(panel), SCORING, {}).columns[:10] == [
        *("variant", "split", "notes", "n_eras", "corr_n_missing"),
        *("mmc_n_eras", "corr_mean_mmc_eras", "bmc_n_eras", "corr_mean_bmc_eras", "corr_mean"),
    ]


def test_the_change_of_bmc_is_that_of_numerais_scores_with_its_interval_and_adjusted_p(panel: Panel) -> None:
    eras = scored(panel)
    mine = np.mean(list(by_hand(panel).values()))
    twin = eras.filter(pl.col("bmc").is_not_nan(), variant="twin")["bmc"].to_numpy()
    np.testing.assert_allclose(twin, 0, atol=2e-3)  # its predictions are the benchmark's, but for ties that it breaks
    row = score_table(eras, SCORING, {}).filter(variant="other", split="val").row(0, named=True)
    for name in ("bmc", "bmc_last200"):
        change = row[f"delta_{name}_mean"]
        assert change == pytest.approx(mine - twin.mean(), abs=1e-9)
        assert row[f"delta_{name}_mean_sim_low"] <= row[f"delta_{name}_mean_low"] + 1e-12
        assert row[f"delta_{name}_mean_low"] < change < row[f"delta_{name}_mean_high"]
        assert row[f"delta_{name}_mean_p_adjusted"] == pytest.approx(row[f"delta_{name}_mean_p"], abs=0.01)
    assert np.isnan(row["delta_payout_proxy_mean"])


def test_without_a_benchmark_there_is_no_bmc_and_without_a_meta_model_no_payout(panel: Panel) -> None:
    eras = scored(panel, replace(SCORING, benchmark=None))
    table = score_table(eras, replace(SCORING, benchmark=None), {})
    names = [name for name in table.columns if name.startswith(("delta_bmc", "delta_payout"))]
    assert len(names) > 20
    assert all(table[name].fill_nan(None).null_count() == 6 for name in names)
    for name in ("bmc_mean", "bmc_last200_mean", "payout_proxy_mean", "payout_proxy_sharpe"):
        assert table[name].is_nan().all()
    assert table["bmc_last200_n_eras"].to_list() == [0] * 6
    assert "bmc_last200" not in eras.columns


def test_the_payout_proxy_is_missing_where_either_of_its_parts_is_whatever_it_is_multiplied_by(panel: Panel) -> None:
    meta = np.random.default_rng(7).uniform(size=len(panel.ids)).astype(np.float32)
    meta[panel.rows(20)] = np.nan
    panel = replace(panel, extras={**panel.extras, "meta": meta})
    for payout in ((3.0, 15.0), (1.0, 0.0)):
        eras = scored(panel, replace(SCORING, meta_model="meta", payout=payout))
        assert eras.filter(pl.col("payout_proxy").is_nan())["era"].unique().to_list() == [20]
        row = eras.filter(variant="other", era=21).row(0, named=True)
        assert row["payout_proxy"] == pytest.approx(payout[0] * row["corr"] + payout[1] * row["mmc"], abs=1e-12)


@pytest.mark.parametrize(
    ("horizon", "date", "wanted"),
    [
        (60, None, (3, 15)),
        (60, "2026-08-28", (3, 15)),
        (60, "2026-08-27", (0.75, 2.25)),
        (20, None, (0.75, 2.25)),
        (20, "2025-12-31", (0.5, 2)),
        (20, "2024-01-01", (0.5, 2)),
        (5, None, (0.75, 2.25)),
        (None, None, (0.75, 2.25)),
    ],
)
def test_payout_multipliers_are_the_tournaments_of_that_day_for_that_horizon(
    horizon: int | None, date: str | None, wanted: tuple[float, float]
) -> None:
    assert multipliers(horizon, date) == wanted


def test_a_day_that_is_none_or_too_early_is_refused_in_a_sentence() -> None:
    with pytest.raises(NlabError, match=r"scoring\.payout_date: 2023-12-31 is before 2024-01-01"):
        multipliers(20, "2023-12-31")
    for wrong in ("yesterday", "2025-13-01", 2025):
        with pytest.raises(NlabError, match=r"scoring\.payout_date: got .* wanted a day such as 2025-06-30"):
            make_config(scoring={"payout_date": wrong})
    assert make_config(scoring={"payout_date": "2025-06-30"}).scoring.payout_date == "2025-06-30"
