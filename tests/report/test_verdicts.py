"""A sentence a variant."""

from typing import Any

import polars as pl
import pytest

from numerai_lab.report.verdicts import verdict, verdicts


def row(change: float | None, low: float | None, high: float | None, p: float | None, needed: int | None) -> dict[str, Any]:
    return {
        "variant": "raw+umap",
        "split": "val",
        "n_eras": 600,
        "delta_corr_mean": change,
        "delta_corr_mean_low": low,
        "delta_corr_mean_high": high,
        "delta_corr_mean_p_adjusted": p,
        "eras_needed": needed,
        "eras_more": None if needed is None else needed - 600,
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0012, -0.0003, 0.0027, 0.3, 1010), "corr +0.0012 [-0.0003, +0.0027], not resolved; 410 more eras needed"),
        ((0.0012, 0.0003, 0.0021, 0.012, None), "corr +0.0012 [+0.0003, +0.0021], better (adjusted p .012)"),
        ((-0.0012, -0.0021, -0.0003, 0.0005, None), "corr -0.0012 [-0.0021, -0.0003], worse (adjusted p < .001)"),
        ((0.0012, 0.0001, 0.0023, 0.2, 12000), "corr +0.0012 [+0.0001, +0.0023], not resolved; 11,400 more eras needed"),
        ((0.0012, float("nan"), float("nan"), float("nan"), None), "corr +0.0012, too few eras to say"),
        ((0.0, 0.0, 0.0, 1.0, None), "corr +0.0000 [+0.0000, +0.0000], the same scores as the reference"),
    ],
)
def test_it_says_better_worse_or_how_many_eras_are_missing(values: tuple[Any, ...], said: str) -> None:
    assert verdict(row(*values)) == f"raw+umap: {said}"


def test_a_variant_without_scores_is_said_to_have_none() -> None:
    assert verdict(row(float("nan"), None, None, None, None)).endswith("no era in which both it and the reference have a score")


def test_there_is_one_for_each_compared_variant_over_the_whole_period() -> None:
    rows = [row(0.1, 0.05, 0.15, 0.01, None), {**row(0.1, 0.05, 0.15, 0.01, None), "split": "val1"}]
    reference = {**row(None, None, None, None, None), "variant": "baseline"}
    assert len(verdicts(pl.DataFrame([reference, *rows]))) == 1
    assert verdicts(pl.DataFrame({"variant": ["baseline"], "split": ["val"]})) == []
