"""What a person at a terminal of 80 columns sees."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run
from tests.conftest import Quiet, make_config
from tests.forks import nlab

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(make_config(augmenters={"cut": {"kind": "cutout"}}), tmp_path_factory.mktemp("runs"), Quiet())


def test_a_run_at_80_columns_shows_progress_and_ends_with_sentence_lines_and_path(tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    config = tmp_path / "c.yaml"
    config.write_text(
        "name: terminal\ndata: {source: synthetic, size: tiny}\naugmenters: {cut: {kind: cutout}}\n"
        "model: {kind: xgboost, n_estimators: 30}\n"
    )
    command = ["-m", "numerai_lab", "run", str(config), "--runs-dir", str(tmp_path / "runs")]
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    child = pexpect.spawn(sys.executable, command, dimensions=(24, 80), env=environment, encoding="utf-8", timeout=120)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    lines = [line for part in ESCAPES.sub("", child.before).split("\n") for line in part.rstrip("\r").split("\r")]
    bars = [line for line in lines if line.startswith("train cut@0")]
    assert bars
    assert any(re.match(r"whole run: \d+ of \d+ stages", line) for line in lines)
    assert all(re.search(r"\d+/\S+ .* [\d.]+ [GM]B", line) and len(line) <= 80 for line in bars)
    assert any(re.match(r"train: [\d.]+ s, peak memory", line) for line in lines)
    printed = lines[next(i for i, line in enumerate(lines) if line.startswith("SYNTHETIC data. ")) :]
    end = next(i for i, line in enumerate(printed) if line.startswith("run folder:"))
    assert max(map(len, printed[:end])) <= 80
    heads = next(i for i, line in enumerate(printed) if line.startswith("  Δ to baseline "))
    assert printed[heads].split("  ")[-1].strip() == "cost"
    assert printed[heads + 1] == "cut: raw features, plus copies of rows with 25 % of features blanked"
    assert re.match(r"  [+-]\.\d{4} \[[+-]\.\d{4}, [+-]\.\d{4}\]  .*  undecided +[\d.]+ s$", printed[heads + 2])
    (folder,) = (tmp_path / "runs").iterdir()
    assert str(folder) in "".join(printed[end:])


def test_show_prints_the_newest_run_as_it_ended(done: Run) -> None:
    result = nlab("show", "--runs-dir", done.path.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("SYNTHETIC data. cut is not shown to help over these ")
    assert f"\n\n{done.name}\nSYNTHETIC data: " in result.stdout
    assert "\ncut †: raw features, plus copies of rows" in result.stdout
    assert "\n† LEAK: embargo 2 < " in result.stdout
    assert " LEAK: embargo 2 < " in " ".join(result.stdout.split("\n\n")[0].split())
    assert "LEAK" in result.stderr
    assert json.loads(nlab("show", done.path, "--format", "json").stdout)[0]["variant"] == "baseline"


@pytest.mark.parametrize("width", ["80", "120"])
@pytest.mark.parametrize("command", ["show", "show --table", "compare", "list runs", "list generators"])
def test_nothing_wraps_by_accident_and_what_is_left_out_is_named(done: Run, command: str, width: str) -> None:
    words = command.split()
    place = [done.path] if words[0] == "compare" else ["--runs-dir", done.path.parent]
    result = nlab(*words, *place, COLUMNS=width)
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= int(width)
    if words[0] != "list" and width == "80":
        assert re.search(r"left out (at \d+ columns|here, shown by --table): .*sharpe", " ".join(result.stdout.split()))
        assert "undecided" in result.stdout


def test_the_score_table_is_one_flag_away_and_a_sort_shows_it_too(done: Run) -> None:
    plain, table, ranked = (nlab("show", done.path, *words).stdout for words in ([], ["--table"], ["--sort", "corr_sharpe"]))
    assert "val1" not in plain.replace("val1 eras", "").replace("val1 and val2 alone", "")
    assert table.startswith(plain.split("\nleft out here")[0].rstrip("\n"))
    assert all(re.search(r"\n cut † +val1 ", printed) for printed in (table, ranked))


def test_list_runs_has_a_row_each_whatever_became_of_it(done: Run, tmp_path: Path) -> None:
    shutil.copytree(done.path, tmp_path / "20260101-000001_good")
    shutil.copytree(done.path, tmp_path / "20260101-000002_broken")
    (tmp_path / "20260101-000002_broken" / "scores.csv").unlink()
    (tmp_path / "20260101-000003_bad-failed").mkdir()
    (tmp_path / "20260101-000003_bad-failed" / "failed.txt").write_text("disk full\n")
    (tmp_path / ".unfinished-20260101-000004_dead-x").mkdir()
    (tmp_path / ".unfinished-20260101-000004_dead-x" / "config.yaml").write_text("name: dead\n")
    (tmp_path / "else").mkdir()
    rows = json.loads(nlab("list", "runs", "--runs-dir", tmp_path, "--format", "json").stdout)
    status = {row["run"]: row["status"] for row in rows}
    assert status == {
        ".unfinished-20260101-000004_dead-x": "unfinished, to be resumed",
        "20260101-000003_bad-failed": "failed: disk full",
        "20260101-000002_broken": "damaged: can't be read",
        "20260101-000001_good": None,
    }
    (good,) = (row for row in rows if row["status"] is None)
    assert good["corr"] == pytest.approx(max(done.scores.filter(split="val")["corr_mean"]))
    assert nlab("list", "runs", "--runs-dir", tmp_path / "else").stderr == f"no run in {tmp_path / 'else'}\n"


def test_open_prints_the_path_and_hands_it_to_the_browser(done: Run, tmp_path: Path) -> None:
    (done.path / "report.html").unlink()
    result = nlab(
        "open", done.path, BROWSER=f'{sys.executable} -c \'import sys; open("{tmp_path}/asked", "w").write(sys.argv[1])\' %s'
    )
    assert result.stdout.strip() == str(done.path / "report.html")
    assert (tmp_path / "asked").read_text() == (done.path / "report.html").as_uri()
    assert (done.path / "report.html").stat().st_size > 1e6
    assert nlab("open", "--runs-dir", tmp_path).returncode == 2


@pytest.mark.parametrize(("words", "wanted"), [("nlab describe um", "umap"), ("nlab list ru", "runs"), ("nlab sho", "show")])
def test_the_shell_completes_commands_and_names(words: str, wanted: str) -> None:
    count = str(len(words.split()) - 1)
    result = nlab(_NLAB_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count)
    assert wanted in result.stdout.split()
