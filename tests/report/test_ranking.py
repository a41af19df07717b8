"""What tables are ranked by: any column of numbers, and the likely one where the name is wrong."""

from pathlib import Path

import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.report.differing import differing
from numerai_lab.report.listing import columns, listing, newest
from numerai_lab.report.ranking import ranked, sort_column
from numerai_lab.report.tables import short
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from tests.many_runs import make_runs

SCORES = pl.DataFrame(
    {
        "variant": ["a", "a", "b", "b", "c", "c"],
        "split": ["val1", "val", "val1", "val", "val1", "val"],
        "notes": [""] * 6,
        "corr_mean": [0.3, 0.1, 0.1, 0.2, 0.2, float("nan")],
        "mmc_sharpe": [1.0] * 6,
        "corr_sharpe": [1.0] * 6,
        "corr_max_drawdown": [0.0, 0.3, 0.0, 0.2, 0.0, 0.1],
        "bmc_mean": [1.0] * 6,
        "payout_proxy_mean": [1.0] * 6,
        "delta_corr_mean_p_adjusted": [1.0] * 6,
        "delta_fnc_mean": [1.0] * 6,
    }
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("sharpe", "corr_sharpe"),
        ("bmc", "bmc_mean"),
        ("corr", "corr_mean"),
        ("max_drawdown", "corr_max_drawdown"),
        ("payout", "payout_proxy_mean"),
        ("p adj", "delta_corr_mean_p_adjusted"),
        ("delta_fnc", "delta_fnc_mean"),
        ("corr_sharp", "corr_sharpe"),
        ("fnc", "delta_fnc_mean"),
    ],
)
def test_a_wrong_name_is_answered_with_the_column_that_was_meant(text: str, meant: str) -> None:
    with pytest.raises(NlabError, match=f"^--sort: no column '{text}'; did you mean '{meant}'\\?$"):
        sort_column(text, SCORES)


def test_columns_of_text_are_not_ranked_by() -> None:
    with pytest.raises(NlabError, match="no column 'notes'"):
        sort_column("notes", SCORES)
    assert sort_column("bmc_mean", SCORES) == "bmc_mean"


def test_variants_come_best_first_over_both_halves_and_those_without_a_value_last() -> None:
    assert ranked(SCORES, "corr_mean").filter(split="val")["variant"].to_list() == ["b", "a", "c"]
    by_drawdown = ranked(SCORES, "corr_max_drawdown")
    assert by_drawdown["variant"].to_list() == ["c", "c", "b", "b", "a", "a"]  # a small drawdown is best
    assert by_drawdown["split"].to_list() == ["val1", "val"] * 3


def test_runs_are_listed_by_their_best_variant_in_any_column(tmp_path: Path) -> None:
    names = [path.name for path in make_runs(tmp_path, 3, n_eras=40)]
    (tmp_path / "x-failed").mkdir()
    (tmp_path / "x-failed" / "failed.txt").write_text("disk full")
    assert [row["run"] for row in listing(tmp_path)] == ["x-failed", *reversed(names)]
    rows = listing(tmp_path, "corr_max_drawdown")
    values = {
        path.name: pl.read_csv(path / "scores.csv").filter(split="val").sort("corr_max_drawdown").row(0, named=True)
        for path in sorted(tmp_path.glob("2026*"))
    }
    assert [row["run"] for row in rows] == [*sorted(values, key=lambda name: values[name]["corr_max_drawdown"]), "x-failed"]
    for row in rows[:3]:
        assert (row["best"], row["value"]) == (values[row["run"]]["variant"], values[row["run"]]["corr_max_drawdown"])
    assert [column.heading for column in columns("bmc_mean")][2:4] == ["best by bmc_mean", "bmc_mean"]
    with pytest.raises(NlabError, match="did you mean 'corr_sharpe'"):
        listing(tmp_path, "sharpe")


def test_the_newest_run_is_the_one_whose_manifest_says_so_in_any_zone(tmp_path: Path) -> None:
    first, second, third = make_runs(tmp_path, 3, n_eras=40)
    for path, started in (
        (first, "2026-03-01T12:00:00+01:00"),
        (second, "2026-03-01T09:00:00-08:00"),
        (third, "2026-03-01T16:30:00+00:00"),
    ):
        facts = {**read_stamped(path / "manifest.json"), "started": started}
        (path / "manifest.json").write_text(with_stamp(facts))
    assert newest(tmp_path) == second
    assert [row["run"] for row in listing(tmp_path)] == [second.name, third.name, first.name]
    (second / "manifest.json").write_text("no JSON")
    assert newest(tmp_path) == third


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.012345678901234567, 0.5], ["0.01235", "0.5"]),
        ([0.0123456789, 0.0123456712], ["0.01234568", "0.01234567"]),
        ([1000.0, 3, "auto", 1e-05], ["1000", "3", "auto", "1e-05"]),
        ([float("nan"), 2.5e7, True], ["nan", "2.5e+07", "True"]),
    ],
)
def test_numbers_are_shown_with_the_digits_that_tell_them_apart(values: list[object], texts: list[str]) -> None:
    assert short(values) == texts


def test_configs_that_differ_are_shown_with_readable_numbers(tmp_path: Path) -> None:
    from numerai_lab.runs.reading import read_run

    paths = make_runs(tmp_path, 2)
    for path, rate in zip(paths, ("0.012345678901234567", "0.1"), strict=True):
        text = (path / "config.yaml").read_text()
        lines = [f"  learning_rate: {rate}" if "learning_rate" in line else line for line in text.splitlines()]
        (path / "config.yaml").write_text("\n".join(lines))
    assert differing([read_run(path) for path in paths])["model.learning_rate"].to_list() == ["0.01235", "0.1"]
