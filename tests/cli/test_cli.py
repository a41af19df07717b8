"""The command as a user meets it: exit codes, one message on stderr, data on stdout, nothing created by mistake."""

import csv
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from numerai_lab.core.processors import usable_cores
from tests.forks import nlab

HEAVY = ("torch", "umap", "xgboost", "lightgbm", "sklearn", "pandas", "polars", "matplotlib", "scipy", "dask", "distributed")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(
        "name: cli\ndata: {source: synthetic, size: tiny}\n"
        "generators: {pca: {kind: pca, n_components: 3}}\n"
        "augmenters: {cut: {kind: cutout}}\nmodel: {kind: ridge}\n"
    )
    return path


def test_help_comes_in_under_half_a_second() -> None:
    def seconds() -> float:
        """Of processor time, so that a busy machine makes no difference."""
        start = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "numerai_lab", "--help"], stdout=subprocess.DEVNULL, check=True)
        end = resource.getrusage(resource.RUSAGE_CHILDREN)
        return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime

    assert min(seconds() for _ in range(3)) < 0.5  # the first compiles


@pytest.mark.parametrize(
    "module", ["numerai_lab", "numerai_lab.cli.app", "numerai_lab.config.schema", "numerai_lab.fitting.variants"]
)
def test_importing_loads_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_run_prints_what_it_shows_on_stdout_and_progress_on_stderr(config: Path, tmp_path: Path) -> None:
    result = nlab("run", config, "--runs-dir", tmp_path / "runs", OMP_NUM_THREADS="3")
    assert result.returncode == 0, result.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "manifest.json").read_text())["machine"]["threads"] == 3
    assert result.stdout.startswith("SYNTHETIC data. ")
    assert re.search(r"\ncut( †)?: raw features, plus copies of rows", result.stdout)
    assert re.search(r"\nraw\+pca( †)?: raw features and \d+ principal components", result.stdout)
    assert "shown by --table: val1 and val2 alone" in result.stdout
    assert f"run folder: {folder}" in result.stderr
    assert "train:" in result.stderr
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("how", ["json", "csv", "md"])
def test_stdout_holds_the_data_alone_in_other_formats(config: Path, tmp_path: Path, how: str) -> None:
    result = nlab("run", config, "--runs-dir", tmp_path / "runs", "--format", how)
    lines = result.stdout.strip().splitlines()
    if how == "json":
        assert len(json.loads(result.stdout)) == 18  # 6 variants, placebos among them, on 3 splits
    else:
        assert len(lines) == {"csv": 1, "md": 2}[how] + 18


def test_compare_ranks_skips_and_writes(config: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for alpha in ("1", "100"):
        nlab("run", config, "--runs-dir", runs, "--set", f"model.alpha={alpha}")
    (runs / "broken").mkdir()
    result = nlab("compare", *sorted(runs.iterdir()), "--sort", "corr_sharpe")
    assert result.returncode == 0, result.stderr
    assert "skipped" in result.stderr
    assert result.stdout.count("baseline") >= 4
    assert f"\n{sorted(runs.iterdir())[0].name}: model.alpha 1\n" in result.stdout
    out = tmp_path / "table.csv"
    assert nlab("compare", *sorted(runs.iterdir()), "--out", out).returncode == 0
    assert len(out.read_text().splitlines()) == 1 + 2 * 18
    assert nlab("compare", runs / "broken").returncode == 2


@pytest.mark.parametrize("arguments", [["run"], ["validate"], ["run", "--dry-run"]])
def test_a_bad_config_is_one_message_exit_code_2_and_creates_nothing(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nmodle: {kind: ridge}\ndata: {source: synthetic, sise: tiny}\n")
    cache = tmp_path / "cache"
    result = nlab(*arguments, path, cwd=tmp_path, NLAB_CACHE=str(cache))
    assert result.returncode == 2
    assert result.stdout == ""
    assert "modle: unknown key, did you mean 'model'?" in result.stderr
    assert "data.sise: unknown key, did you mean 'size'?" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_an_output_that_cant_be_written_is_refused_before_hours_are_spent(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for command in ("audit", "methods"):
        for place in (tmp_path / "file" / "inside.md", tmp_path):
            result = nlab(command, config, "--out", place, cwd=tmp_path, NLAB_CACHE=str(tmp_path / "cache"))
            assert result.returncode == 2
            assert result.stderr.splitlines()[-1].endswith(f"{place}: can't be written; name another file")
    assert not (tmp_path / "cache").exists()


def test_dry_run_shows_config_splits_and_costs_and_creates_nothing(config: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    result = nlab("run", config, "--dry-run", cwd=tmp_path, NLAB_CACHE=str(cache), OMP_NUM_THREADS="3")
    assert result.returncode == 0, result.stderr
    assert f"threads  3, of {usable_cores()} core" in result.stdout
    assert "min_child_weight" not in result.stdout
    assert "alpha: 1.0" in result.stdout
    assert "train        4,800 rows, eras 1-60 (60 eras)" in result.stdout
    assert "embargo      1,280 rows, eras 61-68, 79-86 (16 eras)" in result.stdout
    assert "memory   about" in result.stdout
    assert "not in cache" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    plan = json.loads(nlab("run", config, "--dry-run", "--format", "json", cwd=tmp_path, NLAB_CACHE=str(cache)).stdout)
    assert plan["splits"]["train"]["rows"] == 4800
    assert plan["config"]["model"] == {"kind": "ridge", "alpha": 1.0}
    assert plan["memory_bytes"] > 1e8


def test_a_runs_folder_that_cannot_be_made_is_bad_input(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = nlab("run", config, "--runs-dir", tmp_path / "file" / "runs")
    assert result.returncode == 2
    assert "choose another with --runs-dir" in result.stderr


@pytest.mark.parametrize("family", ["generators", "augmenters", "models", "metrics", "sources"])
def test_list_gives_objects_with_names_and_describe_explains_each(family: str) -> None:
    entries = json.loads(nlab("list", family, "--format", "json").stdout)
    assert len(entries) >= 2
    for entry in entries[:3]:
        content = json.loads(nlab("describe", entry["name"], "--format", "json").stdout)
        assert content["family"] == family
        assert "Source:" in content["text"]
        assert all(parameter["says"] for parameter in content["parameters"])


def test_describe_prints_what_a_reader_of_each_format_can_use() -> None:
    explained = json.loads(nlab("describe", "pca", "--format", "json").stdout)
    table = list(csv.DictReader(io.StringIO(nlab("describe", "pca", "--format", "csv").stdout)))
    assert table == explained["parameters"]
    title, *paragraphs, parameters = nlab("describe", "pca", "--format", "md").stdout.split("\n\n")
    assert title == "# pca (generators)"
    assert "\n\n".join(paragraphs) == f"{explained['text']}\n\nEmits: {explained['emits']}.\n\nControl: {explained['control']}"
    assert [line.split(" | ")[0] for line in parameters.splitlines()[2:]] == [f"| {row['name']}" for row in table]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    for arguments, said in (
        (["describe", "umpa"], "did you mean 'umap'?"),
        (["list", "generator"], "did you mean 'generators'?"),
    ):
        result = nlab(*arguments)
        assert result.returncode == 2
        assert said in result.stderr
    assert nlab("frobnicate").returncode == 2
    assert nlab("run").returncode == 2


def test_a_bug_keeps_its_traceback_and_exits_with_1(config: Path, tmp_path: Path) -> None:
    code = (
        "import numerai_lab.models.linear as m\n"
        "def broken(self, *a): raise ZeroDivisionError('a bug')\n"
        "m.Ridge.fit = broken\nfrom numerai_lab.cli.app import main\nmain()"
    )
    command = [sys.executable, "-c", code, "run", str(config), "--runs-dir", str(tmp_path / "runs")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "a bug" in next((tmp_path / "runs").glob("*-failed/failed.txt")).read_text()


def test_a_run_that_is_told_to_stop_stays_unfinished_and_leaves_no_other_trace(config: Path, tmp_path: Path) -> None:
    runs, cache = tmp_path / "runs", tmp_path / "cache"
    nlab("run", config, "--runs-dir", tmp_path / "first", NLAB_CACHE=str(cache))
    arguments = ["run", config, "--runs-dir", runs, "--set", "model.kind=lightgbm", "--set", "model.n_estimators=100000"]
    command = [sys.executable, "-m", "numerai_lab", *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "NLAB_CACHE": str(cache)}) as process:
        assert process.stderr is not None
        while "train …" not in process.stderr.readline():
            pass
        time.sleep(3)
        process.terminate()
        process.stderr.read()
    assert process.returncode == 130
    (folder,) = runs.iterdir()
    assert folder.name.startswith(".unfinished-")
    assert not (folder / "failed.txt").exists()
    assert list((cache / "scratch").iterdir()) == []
