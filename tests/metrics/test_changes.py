"""Changes against the reference: paired, from one draw of eras, over the eras that both have."""

import numpy as np
import polars as pl
import pytest

from numerai_lab.metrics import ERA_METRICS, METRICS
from numerai_lab.metrics.changes import DELTAS, Judging, changes, series_of
from numerai_lab.metrics.churn import seed_churn
from numerai_lab.metrics.scoring import Scoring, score_table
from numerai_lab.metrics.significance import mean_differences
from numerai_lab.metrics.summary import sharpe

ERAS = 60


def member(rng: np.random.Generator, gain: float = 0.0, seeds: int = 2) -> dict[str, np.ndarray]:
    scores = {name: rng.normal(0.02, 0.03, (seeds, ERAS)) for name in METRICS}
    scores["corr"] += gain
    scores["mmc"][:, : ERAS // 2] = np.nan
    return scores


@pytest.fixture
def members() -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return {"reference": member(rng), "better": member(rng, 0.05), "same": member(rng), "one seed": member(rng, seeds=1)}


def test_every_change_has_an_interval_that_holds_it_and_a_p(members: dict[str, dict[str, np.ndarray]]) -> None:
    rows = changes(members, "reference", Judging(4))
    for key in ("better", "same", "one seed"):
        for name, stat in DELTAS:
            value, low, high, p = (rows[key][f"delta_{name}_{stat}{end}"] for end in ("", "_low", "_high", "_p"))
            assert low < value < high
            assert 0 < p <= 1
    assert not any(name.startswith("delta_") for name in rows["reference"])


def test_the_better_one_is_better_after_adjustment_and_only_it(
    members: dict[str, dict[str, np.ndarray]],
) -> None:
    rows = changes(members, "reference", Judging(4))
    assert rows["better"]["delta_corr_mean_p_adjusted"] < 0.01
    assert rows["better"]["verdict"] == "better"
    assert rows["better"]["in_mcs"] is True
    assert rows["same"]["delta_corr_mean_p_adjusted"] > 0.05
    assert rows["same"]["verdict"] == "undecided"
    assert rows["reference"]["verdict"] is None
    assert rows["same"]["in_mcs"] is False
    assert rows["reference"]["in_mcs"] is False


def test_means_are_paired_over_eras_and_sharpe_is_taken_for_each_seed(members: dict[str, dict[str, np.ndarray]]) -> None:
    members["same"]["corr"][0, 7] = np.nan
    rows = changes(members, "reference", Judging(4))
    both = np.delete(np.arange(ERAS), 7)
    own, reference = members["same"]["corr"][:, both], members["reference"]["corr"][:, both]
    assert rows["same"]["delta_corr_mean"] == pytest.approx((own - reference).mean(), abs=1e-15)
    wanted = np.mean([sharpe(s) for s in own]) - np.mean([sharpe(s) for s in reference])
    assert rows["same"]["delta_corr_sharpe"] == pytest.approx(wanted, abs=1e-12)


def test_mmc_is_resampled_from_the_eras_that_have_it(members: dict[str, dict[str, np.ndarray]]) -> None:
    row = changes(members, "reference", Judging(4))["same"]
    half = (members["same"]["mmc"] - members["reference"]["mmc"]).mean(0)[ERAS // 2 :]
    assert row["delta_mmc_mean"] == pytest.approx(half.mean())
    one = {key: {name: scores[:1] for name, scores in members[key].items()} for key in ("reference", "same")}
    wanted = mean_differences((one["same"]["mmc"] - one["reference"]["mmc"])[0, ERAS // 2 :, None], 4)
    assert changes(one, "reference", Judging(4))["same"]["delta_mmc_mean_p"] == wanted.p[0]
    for scores in members.values():
        scores["mmc"][:] = np.nan
    assert np.isnan(changes(members, "reference", Judging(4))["same"]["delta_mmc_mean"])


def test_a_change_does_not_depend_on_what_else_is_compared_but_its_adjusted_p_does(
    members: dict[str, dict[str, np.ndarray]],
) -> None:
    alone = changes({key: members[key] for key in ("reference", "same")}, "reference", Judging(4))["same"]
    among = changes(members, "reference", Judging(4))["same"]
    together = ("_adjusted", "_sim_low", "_sim_high", "_resolution")
    names = [name for name in alone if name.startswith("delta_") and not name.endswith(together)]
    assert [alone[name] for name in names] == pytest.approx([among[name] for name in names], rel=1e-9)
    assert alone["delta_corr_mean_p_adjusted"] == alone["delta_corr_mean_p"] < among["delta_corr_mean_p_adjusted"]


def test_series_put_each_seed_and_era_in_its_place() -> None:
    table = pl.DataFrame({"seed": [9, 1, 9], "era": [5, 7, 7], "corr": [0.1, 0.2, 0.3]})
    np.testing.assert_array_equal(series_of(table, [5, 6, 7])["corr"], [[np.nan, np.nan, 0.2], [0.1, np.nan, 0.3]])


def test_corr_is_also_given_over_just_the_eras_that_mmc_has() -> None:
    n = 10
    table = pl.DataFrame(
        {"variant": "a", "seed": 0, "era": range(n), "split": ["val1"] * 9 + ["val2"], **dict.fromkeys(ERA_METRICS, 0.0)},
        schema_overrides=dict.fromkeys(ERA_METRICS, pl.Float64),
    ).with_columns(
        corr=pl.Series(np.arange(n) / 100),
        mmc=pl.Series([np.nan] * 5 + [0.01] * 5),
        bmc=pl.Series([np.nan] * n),
    )
    row = score_table(table, Scoring("a", "all", None, None, 20), {}).filter(split="val1").row(0, named=True)
    assert (row["mmc_n_eras"], row["bmc_n_eras"], row["n_eras"]) == (4, 0, 9)
    assert row["corr_mean_mmc_eras"] == pytest.approx(0.065)
    assert np.isnan(row["corr_mean_bmc_eras"])


def test_the_payout_multipliers_follow_the_horizon_unless_given() -> None:
    def multipliers(days: int | None, payout: tuple[float, float] | None = None) -> tuple[float, float]:
        return Scoring("a", "all", None, None, days, payout).multipliers

    assert multipliers(60) == (3, 15)
    assert multipliers(20) == multipliers(None) == (0.75, 2.25)
    assert multipliers(60, (0.5, 2.0)) == (0.5, 2)


def test_churn_is_one_less_spearman_over_pairs_of_seeds() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    values = rng.normal(size=(200, 6)).round(1)
    values[:, 1] += 2 * values[:, 0]
    churn = seed_churn(values, ["a", "a", "a", "b", "b", "c"])
    wanted = 1 - np.mean([spearmanr(values[:, i], values[:, j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))])
    np.testing.assert_allclose(churn[:3], wanted, atol=1e-12)
    np.testing.assert_allclose(churn[3:5], 1 - spearmanr(values[:, 3], values[:, 4]).statistic, atol=1e-12)
    assert np.isnan(churn[5])
    np.testing.assert_allclose(seed_churn(np.column_stack([values[:, 0], np.exp(values[:, 0])]), ["a", "a"]), 0, atol=1e-12)
    assert np.isnan(seed_churn(np.ones((5, 2)), ["a", "a"])).all()


def test_which_eras_others_miss_changes_no_sharpe() -> None:
    rng = np.random.default_rng(8)
    members = {name: member(rng) for name in "abcd"}
    members["c"]["corr"][:, 3] = np.nan
    members["d"]["corr"][1, 50] = np.nan
    together = changes(members, "a", Judging(4))
    for name in "cd":
        without = changes({key: members[key] for key in ("a", name, "b")}, "a", Judging(4))[name]
        for end in ("", "_low", "_high", "_p"):
            assert together[name][f"delta_corr_sharpe{end}"] == pytest.approx(without[f"delta_corr_sharpe{end}"], rel=1e-9)


@pytest.mark.parametrize("who", ["same", "reference"])
def test_the_error_is_that_of_the_eras_that_both_have(members: dict[str, dict[str, np.ndarray]], who: str) -> None:
    one_seed = {key: {name: scores[:1] for name, scores in members[key].items()} for key in ("reference", "same")}
    one_seed[who]["corr"][:, 40:] = np.nan
    row = changes(one_seed, "reference", Judging(4))["same"]
    short = {key: {name: scores[:, :40] for name, scores in series.items()} for key, series in one_seed.items()}
    wanted = changes(short, "reference", Judging(4))["same"]
    for end in ("", "_low", "_high", "_sim_low", "_p_adjusted"):
        assert row[f"delta_corr_mean{end}"] == pytest.approx(wanted[f"delta_corr_mean{end}"], rel=1e-9)


PAIRS = {"placebo": {"better": "noise"}, "untrained": {"better": "network"}}


def test_a_method_no_better_than_its_placebo_is_not_called_better(members: dict[str, dict[str, np.ndarray]]) -> None:
    rng = np.random.default_rng(3)
    members |= {"noise": member(rng), "network": member(rng)}
    assert changes(members, "reference", Judging(4), placebos=PAIRS)["better"]["verdict"] == "better"
    members["network"] = {name: scores.copy() for name, scores in members["better"].items()}
    row = changes(members, "reference", Judging(4), placebos=PAIRS)["better"]
    assert row["delta_corr_mean_sim_low"] > 0
    assert (row["delta_untrained_corr_mean"], row["delta_untrained_corr_mean_p_adjusted"]) == (0, 1)
    assert (row["verdict"], row["untrained"]) == ("untrained not beaten", "network")
    members["noise"]["corr"] = members["better"]["corr"] + rng.normal(0, 0.01, (2, ERAS))
    row = changes(members, "reference", Judging(4), placebos=PAIRS)["better"]
    assert (row["verdict"], row["placebo"], row["reference"]) == ("placebo not beaten", "noise", "reference")
    assert row["delta_placebo_corr_mean_sim_low"] < 0 < row["delta_placebo_corr_mean_sim_high"]


def test_a_change_against_the_placebo_is_that_of_a_comparison_with_it_as_reference(
    members: dict[str, dict[str, np.ndarray]],
) -> None:
    row = changes(members, "reference", Judging(4), placebos={"placebo": {"better": "same"}})["better"]
    wanted = changes({key: members[key] for key in ("same", "better")}, "same", Judging(4))["better"]
    for end in ("", "_low", "_high", "_p", "_p_adjusted", "_sim_low", "_sim_high"):
        assert row[f"delta_placebo_corr_mean{end}"] == wanted[f"delta_corr_mean{end}"]


def test_a_placebo_changes_no_verdict_but_better(members: dict[str, dict[str, np.ndarray]]) -> None:
    plain = changes(members, "reference", Judging(4))
    beside = changes(members, "reference", Judging(4), placebos={"placebo": {"same": "better", "one seed": "gone"}})
    for key in ("same", "one seed"):
        assert beside[key]["verdict"] == plain[key]["verdict"] != "better"
    assert beside["one seed"]["placebo"] is None
