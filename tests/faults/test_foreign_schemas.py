"""Manifests, cards and tables of wrong types, made up by the hundred: each is read, or refused in a sentence.

40 here, 5,000 in `make soak`; every command that reads a run reads each of them.
"""

import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from numerai_lab.cli.app import app
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.report.page import redrawn
from numerai_lab.runs.layout import CONFIG, MANIFEST, PER_ERA, PORTABLE, PREDICTIONS, REPORT, SCORES
from numerai_lab.runs.manifest import Manifest, checked
from numerai_lab.runs.reading import RunFiles, read_run
from numerai_lab.storage.stamped_json import STAMP, read_mapping, with_stamp
from tests.conftest import Quiet, make_config, quick, reseal
from tests.faults.strangers import EVERY_TABLE
from tests.faults.test_foreign_text import ESCAPE
from tests.faults.test_fuzz import soon
from tests.soak import rest

MANY = 5000
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf"), "", "x", "1", ESCAPE, "../../x", "n" * 300),
    *([], [None], ["x"], [[]], [{}], [-1], [1e300], [10**400], {}, {"a": 1}, {"a": {"seconds": "x"}}, {"a": [1]}, {"": None}),
)
COLUMNS = (
    pl.lit(None),
    *(pl.lit(value) for value in (True, 3, -1, 1e300, "x", "../x", "1.5", "\x1b[2J", "a\nb", b"x")),
    pl.lit([1.0]),
    pl.struct(pl.lit(1).alias("a")),
    pl.lit(float("nan")),
    pl.lit(float("inf")),
    pl.lit("2026-01-02").str.to_date(),
)
COMMANDS = (
    ["show", "RUN"],
    ["show", "RUN", "--format", "json"],
    ["compare", "RUN", "GOOD"],
    ["compare", "RUN", "GOOD", "--only-changed"],
    ["list", "runs", "--runs-dir", "RUNS"],
    ["open", "RUN", "--redraw"],
    ["inspect", "RUN", "--rows"],
    ["predict", "RUN", "FILE", "--out", "OUT.csv"],
    ["power", "CONFIG", "--run", "RUN"],
    ["query", EVERY_TABLE, "--runs-dir", "RUNS"],
    ["watch", "--once", "--runs-dir", "RUNS"],
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config(
        splits={"train": "1-60", "val1": "69-71", "val2": "80-82"},
        augmenters={"cut": {"kind": "cutout"}, "drawn": quick("copula")},
        variants={"baseline": {}, "cut": {"augment": ["cut"]}, "drawn": {"augment": ["drawn"]}},
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to every value of JSON, at most three of a list."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, one in inner:
        yield from paths_in(one, (*path, key))


def changed(facts: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The facts with another value at a path; `...` takes the key away."""
    if not path:
        return value
    copy: Any = dict(facts) if isinstance(facts, dict) else list(facts)
    if len(path) == 1 and value is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


def with_fact(run: Path, copy: Path, path: tuple[Any, ...], value: Any) -> Path:
    """A copy of a run folder whose manifest has another value at a path."""
    shutil.copytree(run, copy)
    facts = read_mapping(copy / MANIFEST)
    facts.pop(STAMP)
    (copy / MANIFEST).write_text(with_stamp(changed(facts, path, value)))
    return copy


def forge(folder: Path, rng: np.random.Generator) -> str:
    """Changes a manifest, a card or a table, and its checksums; returns what was changed."""
    name = str(rng.choice([MANIFEST, MANIFEST, MANIFEST, PORTABLE, SCORES, PER_ERA, PREDICTIONS]))
    path = folder / name
    if name in (MANIFEST, PORTABLE):
        facts = read_mapping(path)
        facts.pop(STAMP)
        for _ in range(int(rng.integers(1, 3))):
            places = [place for place in paths_in(facts) if place and place[0] != "files"]
            place = places[int(rng.integers(len(places)))]
            value = [*ODD, ...][int(rng.integers(len(ODD) + 1))]
            facts = changed(facts, place, value)
            name += f" {'.'.join(map(str, place))}={value!r:.30}"
        path.write_text(with_stamp(facts))
    else:
        table = pl.read_csv(path) if name == SCORES else pl.read_parquet(path)
        column = str(rng.choice(table.columns))
        which = int(rng.integers(len(COLUMNS) + 2))
        table = table.drop(column) if which >= len(COLUMNS) else table.with_columns(COLUMNS[which].alias(column))
        table = table.head(int(rng.choice([0, 1, len(table)])))
        name += f" {column}: {which}, {len(table)} rows"
        try:
            table.write_csv(path) if name.startswith(SCORES) else table.write_parquet(path)
        except pl.exceptions.PolarsError:  # a CSV has no lists
            path.write_text("a,b\n1,2\n")
    if not name.startswith(MANIFEST):
        reseal(folder)
    return name


def outcome(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command, run here, and what it says; any error that is no sentence is raised."""
    code = 0
    try:
        app(arguments, prog_name="nlab", standalone_mode=False)
    except NlabError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("n_inputs", [40, pytest.param(MANY, marks=pytest.mark.soak)])
def test_whatever_a_folder_holds_every_command_reads_or_refuses_it(
    n_inputs: int, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    names = {"CONFIG": good / CONFIG, "OUT.csv": tmp_path / "out.csv"}
    names["FILE"] = next(Path(os.environ["NLAB_CACHE"]).glob("synthetic/*tiny*/live.parquet"))

    def done(command: list[str], runs: Path) -> tuple[int, str]:
        places = {"RUN": runs / "run", "GOOD": runs / "good", "RUNS": runs, **names}
        return outcome([str(places.get(word, word)) for word in command], capsys)

    for name in ("good", "run"):
        shutil.copytree(good, tmp_path / "runs" / name)
    for command in COMMANDS:  # one that fails anyway would show nothing; six eras are too few for power
        assert done(command, tmp_path / "runs")[0] == (2 if command[0] == "power" else 0), command
    counts: dict[int, int] = {}
    wrong = []
    for i in range(n_inputs) if n_inputs < MANY else rest("schemas", n_inputs):
        runs = tmp_path / f"runs{i}"
        shutil.copytree(good, runs / "good")
        shutil.copytree(good, runs / "run")
        what = forge(runs / "run", np.random.default_rng(i))
        for command in COMMANDS:
            with soon(f"{i}: {what}: {command[0]}"), warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # 1e300 is a number too
                try:
                    code, said = done(command, runs)
                except Exception as error:
                    capsys.readouterr()
                    wrong.append(f"input {i}: {what}: {command[0]}: {error!r}")
                    continue
            if {"\x1b", "\x07", "\x9b"} & {*said}:
                wrong.append(f"input {i}: {what}: {command[0]} prints control characters")
            counts[code] = counts.get(code, 0) + 1
        shutil.rmtree(runs)
        assert wrong == [] or n_inputs < MANY
    assert wrong == []
    assert set(counts) <= {0, 1, 2}
    assert all(counts[code] > len(COMMANDS) for code in (0, 2)) or n_inputs == MANY


def test_one_odd_run_stops_no_comparison_and_no_list(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "odd", "other"):
        shutil.copytree(good, tmp_path / name)
    facts = read_mapping(tmp_path / "odd" / MANIFEST)
    facts.pop(STAMP)
    (tmp_path / "odd" / MANIFEST).write_text(with_stamp(changed(facts, ("scoring", "reference"), "nobody")))
    (tmp_path / "other" / MANIFEST).write_text(with_stamp(changed(facts, ("stages",), {"a": 3})))
    for command in (["list", "runs", "--runs-dir", str(tmp_path)], ["compare", *map(str, sorted(tmp_path.iterdir()))]):
        code, said = outcome(command, capsys)
        assert code == 0
        assert "good" in said
        assert "odd" in said
        assert "other" in said


def test_predictions_without_a_variant_are_a_damaged_run(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_parquet(odd / PREDICTIONS).drop("cut").write_parquet(odd / PREDICTIONS)
    reseal(odd)
    code, said = outcome(["open", str(odd), "--redraw"], capsys)
    assert code == 2
    assert "damaged run folder (predictions.parquet: no column cut)" in said


@pytest.mark.parametrize("column", ["corr_mean", "n_eras"])
def test_scores_without_corr_are_a_damaged_run(
    column: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).drop(column).write_csv(odd / SCORES)
    reseal(odd)
    for command in (["predict", str(odd), str(odd / PREDICTIONS), "--out", str(tmp_path / "out.csv")], ["show", str(odd)]):
        code, said = outcome(command, capsys)
        assert code == 2
        assert f"damaged run folder (no column {column})" in said


@pytest.mark.parametrize(("column", "empty"), [("n_eras", True), ("mmc_n_eras", True), ("mmc_n_eras", False)])
def test_scores_without_counts_are_shown_and_compared(
    column: str, empty: bool, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    table = pl.read_csv(odd / SCORES)
    (table.with_columns(pl.lit(None).alias(column)) if empty else table.drop(column)).write_csv(odd / SCORES)
    reseal(odd)
    for command in (["show", str(odd)], ["compare", str(odd), str(good)]):
        assert outcome(command, capsys)[0] == 0


def test_odd_characters_are_escaped_on_a_page(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    odd = with_fact(good, tmp_path / "odd", ("variants", "baseline", "words"), f"said {ESCAPE}")
    assert outcome(["open", str(odd), "--redraw"], capsys)[0] == 0
    page = (odd / REPORT).read_text(encoding="utf-8")
    assert "said \\u001b]0;owned" in page
    assert not {"\x1b", "\x9b", "\u202e"} & {*page}


@pytest.mark.parametrize("verdict", [None, float("nan"), "splendid", 3])
def test_a_verdict_that_is_not_known_is_that_of_the_interval(
    verdict: Any, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).with_columns(verdict=pl.lit(verdict)).write_csv(odd / SCORES)
    reseal(odd)
    for folder in (good, odd):
        code, said = outcome(["show", str(folder)], capsys)
        assert code == 0
        assert "too few eras" in said
    assert outcome(["compare", str(good), str(odd)], capsys)[0] == 0


@pytest.mark.parametrize("key", ["seconds", "peak_bytes"])
@pytest.mark.parametrize("place", [("stages", "data"), ("costs", "train baseline@0")])
def test_what_an_older_run_did_not_record_of_its_costs_is_blank(
    key: str, place: tuple[str, str], good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = with_fact(good, tmp_path / "odd", (*place, key), ...)
    redrawn(read_run(odd))
    for command in (["list", "runs", "--runs-dir", str(tmp_path)], ["show", str(odd)]):
        code, said = outcome(command, capsys)
        assert code == 0
        assert "damaged" not in said
    page = (odd / REPORT).read_text(encoding="utf-8")
    assert re.search(f'<td class="text">{place[1]}</td><td>[0-9.]*</td><td>[0-9.]*</td>', page)
    assert f'<td class="text">{place[1]}</td>' + ("<td></td>" if key == "seconds" else "") in page
    assert ("<td></td></tr>" in page) is (key == "peak_bytes")


@pytest.mark.parametrize("column", ["share_of_truth", "share_of_oracle", "n_eras", "delta_n_seeds", "mmc_n_eras"])
def test_text_in_the_place_of_numbers_is_a_damaged_run(
    column: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).with_columns(pl.lit("x").alias(column)).write_csv(odd / SCORES)
    reseal(odd)
    for command in (["show", str(odd)], ["open", str(odd), "--redraw"]):
        code, said = outcome(command, capsys)
        assert code == 2
        assert f"column {column} holds no numbers" in said


@pytest.mark.parametrize("column", ["delta_corr_mean", "delta_corr_mean_sim_low"])
def test_changes_where_a_run_has_none_are_read(
    column: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).with_columns(pl.lit(0.5).alias(column)).write_csv(odd / SCORES)
    reseal(odd)
    for command in (["show", str(odd)], ["compare", str(good), str(odd)]):
        assert outcome(command, capsys)[0] == 0
    redrawn(read_run(odd))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", ["n_eras", "delta_n_seeds", "mmc_n_eras"])
def test_counts_that_are_not_finite_are_a_damaged_run(
    column: str, value: float, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).with_columns(pl.lit(value).alias(column)).write_csv(odd / SCORES)
    reseal(odd)
    code, said = outcome(["show", str(odd)], capsys)
    assert code == 2
    assert f"column {column} holds no counts" in said


@pytest.mark.parametrize(("value", "says"), [(3.0, "3"), (2.5, "2.5"), (1e300, "1e+300")])
def test_counts_that_another_tool_wrote_as_floats_are_read(
    value: float, says: str, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    pl.read_csv(odd / SCORES).with_columns(pl.lit(value).alias("n_eras")).write_csv(odd / SCORES)
    reseal(odd)
    code, said = outcome(["show", str(odd), "--format", "md"], capsys)
    assert code == 0
    assert f"| {says} |" in said


def test_a_number_that_64_bits_do_not_hold_is_a_damaged_run(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value, code in ((10**400, 2), (-(2**63), 2), (2**63 - 1, 0)):
        odd = with_fact(good, tmp_path / f"odd{code}{value < 0}", ("variants", "cut", "seconds"), value)
        found, said = outcome(["show", str(odd)], capsys)
        assert found == code
        assert ("manifest.json holds a number that is too large" in said) is (code == 2)


def test_metadata_that_is_no_utf8_is_left_out(good: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    odd = Path(shutil.copytree(good, tmp_path / "odd"))
    table = pq.read_table(odd / PER_ERA).replace_schema_metadata({b"\xff\xfe": b"\xff"})
    pq.write_table(table, odd / PER_ERA)
    reseal(odd)
    assert outcome(["compare", str(good), str(odd)], capfd)[0] == 0
    assert len(RunFiles(odd, read_mapping(odd / MANIFEST)).table(PER_ERA)) == len(table)
    assert "panicked" not in capfd.readouterr().err


def test_a_reference_that_is_no_variant_is_a_sentence_of_power(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = with_fact(good, tmp_path / "odd", ("scoring", "reference"), "nobody")
    code, said = outcome(["power", str(good / CONFIG), "--run", str(odd)], capsys)
    assert code == 2
    assert "its reference 'nobody' is none of its variants" in said


def test_the_schema_takes_what_runs_write_and_names_what_is_wrong(good: Path) -> None:
    facts = read_mapping(good / MANIFEST)
    Manifest.model_validate(facts)
    assert {name for name, field in Manifest.model_fields.items() if field.is_required()} <= facts.keys()
    wrong = ((("cv",), 3, "cv"), (("stages", "data", "seconds"), "x", "stages.data.seconds"), (("command",), [None], "command.0"))
    for path, value, where in wrong:
        forged = changed(facts, path, value)
        with pytest.raises(ValueError, match=f"manifest.json: {where}: input should be"):
            checked(forged)
