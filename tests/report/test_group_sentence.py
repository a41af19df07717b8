"""The sentence on runs that are compared: the number of variants that a verdict stands for, and nothing that a line denies."""

import re
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
import pytest

from numerai_lab.report.comparison import Group
from numerai_lab.report.group_sentence import group_sentence
from numerai_lab.report.verdicts import compared, lines_of_comparison, outcome
from tests.report.test_conclusion import few, row

CHOICE = {"split": "val1", "trials": 3, "by": "corr_mean of umap"}


@dataclass
class Member:
    """A run as a group holds it."""

    name: str
    manifest: dict[str, Any] = field(default_factory=dict)


def group(runs: dict[str, list[dict[str, Any]]], split: str = "val", choices: tuple[str, ...] = ()) -> Group:
    """Runs with these rows, the first of which has the reference."""
    first = next(iter(runs))
    reference = f"{first}/baseline"
    rows = [{"run": first, "variant": "baseline", "split": split, "n_eras": 60, "corr_mean": 0.03}]
    rows += [{**own, "run": run, "split": split, "reference": reference} for run, members in runs.items() for own in members]
    members = [Member(run, {"data": {"synthetic": False}, **({"chosen": CHOICE} if run in choices else {})}) for run in runs]
    table = pl.DataFrame(rows, infer_schema_length=None)
    return Group(tuple(runs), cast(Any, tuple(members)), {}, reference, table, split)


def test_variants_of_all_runs_are_counted_and_named_with_their_run() -> None:
    better = row("umap", 0.001, 0.005, placebo=(0.0005, 0.004))
    two = group(
        {"one": [better, row("pca", -0.001, 0.0015)], "two": [row("baseline", -0.004, 0.001), row("umap", -0.004, 0.0017)]}
    )
    assert group_sentence(two) == (
        "1 of 4 variants is shown to help over these 60 eras: one/umap (+.0030 [+.0010, +.0050]); gains above .0017 corr are "
        "excluded for 3 of them."
    )


def test_one_run_is_said_as_its_own_report_says_it() -> None:
    one = group({"one": [row("umap", 0.001, 0.005)]})
    assert group_sentence(one) == (
        "umap is shown to help over these 60 eras: corr +.0030 [+.0010, +.0050] against baseline, with no placebo beside it."
    )


def test_a_split_and_a_choice_by_its_eras_are_said() -> None:
    runs = {"one": [row("umap", -0.05, 0.04)], "two": [row("umap", -0.04, 0.05)]}
    plain = "None of 2 variants is shown to help over these 60 eras"
    assert group_sentence(group(runs)).startswith(f"{plain}; even twice the corr of one/baseline (.0300) remains possible")
    chosen = group_sentence(group(runs, "val1", ("two",)))
    assert chosen.startswith(f"{plain} of val1; ")
    assert chosen.endswith(
        "A sweep chose two by these eras, which flatter it; --split val2 judges by eras that had no part in the choice."
    )
    assert "chose" not in group_sentence(group(runs, "val2", ("two",)))


@pytest.mark.parametrize("seed", range(8))
def test_no_sentence_denies_a_verdict_below_it(seed: int) -> None:
    kinds = [row("better", 0.001, 0.005), row("worse", -0.005, -0.001), row("no gain", -0.001, 0.0015), few("few")]
    kinds += [row("undecided", -0.01, 0.02), row("placebo not beaten", 0.001, 0.005, placebo=(-0.001, 0.002))]
    runs = {f"run{i}": [{**kinds[(seed * 5 + i * 3 + j) % 6], "variant": f"v{j}"} for j in range(1 + seed % 3)] for i in range(3)}
    own = group(runs)
    text, rows = group_sentence(own), compared(own.table)
    n_better = sum(outcome(each) == "better" for each in rows)
    count = re.match(r"(None|\d+) of (\d+) variants", text)
    if all(outcome(each) == "too few eras" for each in rows):
        assert count is None
    else:
        assert count is not None
        assert int(count[1].replace("None", "0")) == n_better
        assert int(count[2]) == len(rows)
    lines = lines_of_comparison(own.table)
    assert sum(", better (" in line for line in lines) == n_better
