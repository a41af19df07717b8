"""A sentence a variant, and one for what the eras can see."""

from typing import Any

import polars as pl
import pytest

from numerai_lab.metrics.verdict import verdict_of
from numerai_lab.report.verdicts import judged, resolution, verdict, verdicts

NAN = float("nan")


def row(change: float, low: float, high: float, p: float, alone: float = 0.4, seeds: int = 3) -> dict[str, Any]:
    return {
        "variant": "raw+umap",
        "split": "val",
        "n_eras": 600,
        "delta_n_seeds": seeds,
        "delta_corr_mean": change,
        "delta_corr_mean_sim_low": low,
        "delta_corr_mean_sim_high": high,
        "delta_corr_mean_p": alone,
        "delta_corr_mean_p_adjusted": p,
        "delta_corr_mean_resolution": 0.0067,
        "verdict": verdict_of(change, low, high),
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0012, -0.0003, 0.0027, 0.3), "corr +0.0012 [-0.0003, +0.0027], undecided"),
        ((0.0012, 0.0003, 0.0021, 0.012), "corr +0.0012 [+0.0003, +0.0021], better (adjusted p .012)"),
        ((-0.0012, -0.0021, -0.0003, 0.0005), "corr -0.0012 [-0.0021, -0.0003], worse (adjusted p < .001)"),
        ((0.0001, -0.0011, 0.0013, 0.9), "corr +0.0001 [-0.0011, +0.0013], no gain above +.0013"),
        (
            (0.0012, -0.0003, 0.0027, 0.2, 0.015),
            "corr +0.0012 [-0.0003, +0.0027], undecided (alone yes (p .015), among 6 no)",
        ),
        (
            (0.0012, 0.0003, 0.0021, 0.012, 0.002, 1),
            "corr +0.0012 [+0.0003, +0.0021], better (adjusted p .012); of these two trained models, not of the method",
        ),
        ((0.0012, NAN, NAN, NAN), "corr +0.0012, too few eras to say"),
        ((0.0, 0.0, 0.0, 1.0), "corr +0.0000 [+0.0000, +0.0000], the same scores as the reference"),
    ],
)
def test_it_says_what_was_found_or_what_was_excluded(values: tuple[Any, ...], said: str) -> None:
    assert verdict(row(*values), 6) == f"raw+umap: {said}"


def test_a_gain_is_excluded_only_below_the_smallest_effect_of_interest() -> None:
    assert verdict_of(0.0, -0.0019, 0.0019) == "no gain above +.0019"
    assert verdict_of(0.0, -0.0021, 0.0021) == "undecided"
    assert verdict_of(0.0, -0.0021, 0.0021, smallest=0.005) == "no gain above +.0021"
    assert verdict_of(-0.003, -0.005, -0.001) == "worse"


def test_a_variant_without_scores_is_said_to_have_none() -> None:
    assert verdict(row(NAN, NAN, NAN, NAN)).endswith("no era in which both it and the reference have a score")


def test_there_is_one_for_each_compared_variant_over_the_whole_period() -> None:
    rows = [row(0.1, 0.05, 0.15, 0.01), {**row(0.1, 0.05, 0.15, 0.01), "split": "val1"}]
    reference = {**dict.fromkeys(rows[0]), "split": "val", "variant": "baseline"}
    assert len(verdicts(pl.DataFrame([reference, *rows]))) == 1
    assert verdicts(pl.DataFrame({"variant": ["baseline"], "split": ["val"]})) == []


def test_the_resolution_is_said_once_with_how_many_were_judged() -> None:
    rows = [{**row(0.0012, -0.0003, 0.0027, 0.3), "variant": name} for name in "abcdef"]
    copy = {**row(0.0, 0.0, 0.0, 1.0), "variant": "copy"}
    said = resolution(pl.DataFrame([*rows, copy]))
    assert said == "these 600 eras tell differences of .0067 corr apart (80 % power, among 6 variants; 3 seeds)"
    assert judged(pl.DataFrame([*rows, copy]))["copy"][0] == "same"
    alone = resolution(pl.DataFrame([row(0.0012, -0.0003, 0.0027, 0.3, seeds=1)]))
    assert alone.endswith("(80 % power, one variant; noise of retraining left out: one seed)")
    assert resolution(pl.DataFrame([row(0.1, NAN, NAN, NAN) | {"delta_corr_mean_resolution": NAN}])) == ""
