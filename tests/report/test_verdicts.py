"""A sentence a variant, and one for what the eras can see."""

from typing import Any

import polars as pl
import pytest

from numerai_lab.metrics.verdict import verdict_of
from numerai_lab.report.verdicts import judged, lines_of_comparison, resolution, verdict, verdicts

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
        ((0.0012, NAN, NAN, NAN), "corr +0.0012, too few eras or seeds to say"),
        ((0.0, 0.0, 0.0, 1.0), "corr +0.0000 [+0.0000, +0.0000], the same scores as the reference"),
    ],
)
def test_it_says_what_was_found_or_what_was_excluded(values: tuple[Any, ...], said: str) -> None:
    assert verdict(row(*values), 6) == f"raw+umap: {said}"


def test_too_few_eras_are_said_of_a_change_against_a_named_reference() -> None:
    few = {**row(0.0012, NAN, NAN, NAN), "reference": "baseline"}
    assert verdict(few) == "raw+umap: corr +0.0012 against baseline, too few eras or seeds to say"


def test_a_gain_is_excluded_only_below_the_smallest_effect_of_interest() -> None:
    assert verdict_of(0.0, -0.0019, 0.0019) == "no gain above +.0019"
    assert verdict_of(0.0, -0.0021, 0.0021) == "undecided"
    assert verdict_of(0.0, -0.00002, 0.00002) == "no gain above +.0001"  # .0000 would exclude every gain
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
    message = resolution(pl.DataFrame([*rows, copy]))
    assert message == "these 600 eras tell differences of .0067 corr apart (80 % power, among 6 variants; 3 seeds)"
    assert judged(pl.DataFrame([*rows, copy]))["copy"][0] == "same"
    wide = {**row(0.02, -0.01, 0.05, 0.5), "variant": "wide"}
    assert resolution(pl.DataFrame([*rows, wide])).endswith(
        "among 7 variants; 3 seeds); wide varies more: its interval reaches .0300 to either side"
    )
    assert resolution(pl.DataFrame([*rows, {**row(0.02, 0.01, 0.03, 0.01), "variant": "found"}])).endswith("3 seeds)")
    alone = resolution(pl.DataFrame([row(0.0012, -0.0003, 0.0027, 0.3, seeds=1)]))
    assert alone.endswith("(80 % power, one variant; noise of retraining left out: one seed)")
    two = resolution(pl.DataFrame([row(0.0012, -0.0003, 0.0027, 0.3, seeds=2)]))
    assert two.endswith("(80 % power, one variant; 2 seeds; three or more make intervals much narrower)")
    assert resolution(pl.DataFrame([row(0.1, NAN, NAN, NAN) | {"delta_corr_mean_resolution": NAN}])) == ""


def beside(kind: str, name: str, *ends: float) -> dict[str, Any]:
    """What a row says of the comparison with a placebo."""
    columns = zip(("", "_sim_low", "_sim_high"), ends, strict=True)
    return {kind: name, **{f"delta_{kind}_corr_mean{end}": value for end, value in columns}}


def test_a_sentence_says_what_the_method_does_against_the_reference_and_its_placebo() -> None:
    undecided = {**row(0.0007, -0.0048, 0.0062, 0.7, 0.6), "variant": "raw+pca", "reference": "baseline"}
    assert verdict({**undecided, **beside("placebo", "raw+noise", -0.0003, -0.006, 0.0055)}) == (
        "raw+pca: corr +0.0007 [-0.0048, +0.0062] against baseline, undecided; "
        "against its placebo raw+noise -0.0003 [-0.0060, +0.0055]"
    )
    better = {**row(0.0041, 0.0003, 0.0079, 0.012), "reference": "baseline"}
    lost = {**better, **beside("placebo", "noise", 0.0003, -0.001, 0.0016), "verdict": "placebo not beaten"}
    assert verdict(lost) == (
        "raw+umap: corr +0.0041 [+0.0003, +0.0079] against baseline, better than the reference (adjusted p .012), "
        "not shown to be better than its placebo; against its placebo noise +0.0003 [-0.0010, +0.0016]"
    )
    won = {**better, **beside("placebo", "noise", 0.003, 0.001, 0.005), **beside("untrained", "net", 0.0, 0.0, 0.0)}
    assert verdict({**won, "verdict": "untrained not beaten", "delta_n_seeds": 1}).endswith(
        "not shown to be better than an untrained network; against its placebo noise +0.0030 [+0.0010, +0.0050], better; "
        "against an untrained network net +0.0000 [+0.0000, +0.0000], the same scores; "
        "of these two trained models, not of the method"
    )
    assert judged(pl.DataFrame([lost]))["raw+umap"][0] == "placebo not beaten"


def test_below_a_comparison_stand_its_verdicts_and_how_many_were_judged_together() -> None:
    rows = [{**row(0.0012, -0.0003, 0.0027, 0.3), "run": run} for run in ("one", "two")]
    rows.append({**row(0.0012, 0.0003, 0.0021, 0.012), "run": "two", "variant": "best"})
    lines = lines_of_comparison(pl.DataFrame(rows))
    assert lines[0] == "one/raw+umap: corr +0.0012 [-0.0003, +0.0027], undecided"
    assert lines[2].startswith("two/best: corr +0.0012 [+0.0003, +0.0021], better")
    assert lines[3] == "p adj, verdicts and their intervals are adjusted over all 3 variants that were compared here"
    many = [{**rows[0], "run": f"r{i}"} for i in range(30)]
    lines = lines_of_comparison(pl.DataFrame([*many, rows[2]]))
    assert [line.split(":")[0] for line in lines[:2]] == ["two/best", "30 others"]
    assert lines[1] == "30 others: 30 undecided"
    assert "over all 31 variants" in lines[2]
