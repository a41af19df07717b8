"""Tables fit the terminal, and the exports hold every digit."""

import csv
import io
import json

import polars as pl
import pytest
from rich.console import Console

from numerai_lab.report.tables import (
    TableColumn,
    coverage,
    exported,
    footnoted,
    left_out,
    rendered,
    summary_columns,
    with_interval,
)

SCORES = pl.DataFrame(
    {
        "variant": ["baseline", "a|b"],
        "split": ["val1", "val1"],
        "notes": ["", "transductive"],
        "n_eras": [30, 30],
        "corr_mean": [0.0123456789, float("nan")],
        "corr_sharpe": [1.5, 0.25],
        "fnc_mean": [0.01, -0.002],
        "max_feature_exposure_mean": [0.3, 0.4],
        "mmc_mean": [None, None],
        "delta_corr_mean": [None, -0.001],
        "delta_corr_mean_sim_low": [None, -0.003],
        "delta_corr_mean_sim_high": [None, 0.001],
        "delta_corr_mean_p": [None, 0.4],
        "delta_corr_mean_p_adjusted": [None, 0.6],
        "verdict": [None, "no gain above +.0010"],
        "in_mcs": [True, False],
    },
    schema_overrides={"mmc_mean": pl.Float64},
)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_printed_table_fits_and_cuts_no_cell(width: int) -> None:
    text = _printed(SCORES, width)
    assert max(map(len, text.splitlines())) <= width
    assert ("+0.0123" in text) is (width >= 80)
    assert "…" not in text.replace("-0.0030 … +0.0010", "")
    assert "mmc" not in text
    assert "-0.0010" in text
    assert "-0.0030 … +0.0010" in text
    assert "no gain above" in text
    gone = left_out(with_interval(SCORES), summary_columns(False), width)
    assert gone.startswith(f"left out at {width} columns: ")
    missing = gone.partition("columns: ")[2].partition(" (a wider")[0].split(", ")
    assert all((heading in text) is not (heading in missing) for heading in ("p adj", "sharpe", "max exp"))


def test_a_table_of_runs_keeps_the_verdict_and_the_change_at_80_columns_and_says_what_is_left_out() -> None:
    names = ["20260101-120000_umap_medium", "20260101-120000_quickstart"]
    runs = SCORES.with_columns(pl.Series("run", names), pl.Series("variant", ["baseline", "raw+untrained"]))
    text = _printed(runs, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "no gain above" in text
    assert "-0.0010" in text
    message = left_out(with_interval(runs), summary_columns(False), 80)
    assert message.startswith("left out at 80 columns: 95 % of Δ, sharpe, ")
    assert "-0.0030 … +0.0010" in _printed(runs.drop("split"), 80)
    assert message.endswith("(a wider terminal, or --format csv)")
    assert left_out(with_interval(runs), summary_columns(False), 400) == ""


def _printed(table: pl.DataFrame, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(rendered(with_interval(table), summary_columns(False), width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_notes_become_marks_and_lines_below() -> None:
    marked, below = footnoted(SCORES)
    assert marked["variant"].to_list() == ["baseline", "a|b †"]
    assert below == ["† transductive"]


def test_a_line_says_where_mmc_is_over_fewer_eras_than_the_rest() -> None:
    counted = SCORES.with_columns(mmc_n_eras=pl.Series([12, 12]), bmc_n_eras=pl.Series([30, 30]))
    (line,) = coverage(counted)
    assert line == "mmc over fewer eras: val1 12 of 30 eras (corr over the same eras: corr_mean_mmc_eras)"
    assert footnoted(counted)[1] == ["† transductive", line]
    assert coverage(counted.with_columns(mmc_n_eras=0)) == []
    missing = SCORES.with_columns(corr_n_missing=pl.Series([0, 3]))
    assert coverage(missing) == ["a|b: no corr in 3 of 30 eras of val1 (constant predictions or targets)"]


def test_json_is_a_list_of_objects_with_null_for_what_is_missing() -> None:
    rows = json.loads(exported(SCORES, "json"))
    assert rows[0]["corr_mean"] == 0.0123456789
    assert rows[1]["corr_mean"] is None
    assert rows[0]["delta_corr_mean"] is None


def test_csv_and_markdown_hold_every_row() -> None:
    rows = list(csv.DictReader(io.StringIO(exported(SCORES, "csv"))))
    assert [row["variant"] for row in rows] == ["baseline", "a|b"]
    lines = exported(SCORES, "md").splitlines()
    assert len(lines) == 4
    assert "a\\|b" in lines[3]


def test_cells_are_texts_and_no_markup() -> None:
    table = pl.DataFrame({"variant": ["list[int]", "[/x] bad", "[bold]x"]})
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(rendered(table, [TableColumn("variant", "variant", "s")]))
    output = console.export_text()
    assert all(cell in output for cell in table["variant"])
