"""Descriptors, memory, threads and temporary files do not grow with the number of stages, seeds and runs.

The fast forms are part of the suite; `make resources` runs the full ones.
"""

import os
import resource
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from numerai_lab import experiment
from numerai_lab.experiment import RunOptions, out_of_fold, run
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_cache import Cache, Stage
from numerai_lab.storage.stamped_json import with_stamp
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab

full = pytest.mark.resources
GROWTH_BYTES = 8_000_000
"""Resident memory that a run more may add: allocators do not give every page back."""


def many_stages(n_generators: int, seeds: list[int]) -> dict[str, Any]:
    """A config with four stages for each generator and seed."""
    names = [f"noise{i}" for i in range(n_generators)]
    return {
        "seeds": seeds,
        "generators": {name: {"kind": "random_columns", "n_columns": i + 1} for i, name in enumerate(names)},
        "variants": {"baseline": {}, **{name: {"features": [name]} for name in names}},
        "cv": None,
    }


def stages_with(n_descriptors: int, config: dict[str, Any], folder: Path) -> int:
    """The number of stages of a run in a process that may open so many descriptors."""
    path = folder / "config.yaml"
    path.write_text(make_config(**config).to_yaml())
    limit = (n_descriptors, n_descriptors)
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {limit}); from numerai_lab.cli.app import main; main()"
    command = [sys.executable, "-c", code, "run", str(path), "--runs-dir", str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return len(list((cache_dir() / "stages").glob("*/[!.]*")))


def test_a_run_of_many_stages_needs_few_descriptors(tmp_path: Path) -> None:
    assert stages_with(48, many_stages(8, [0, 1]), tmp_path) >= 64


@full
def test_a_thousand_stages_run_under_a_limit_of_256_descriptors(tmp_path: Path) -> None:
    assert stages_with(256, many_stages(125, [0, 1]), tmp_path) >= 1000


def resources() -> tuple[int, int, int, int]:
    """Open descriptors, threads, resident bytes, and temporary files of this process."""
    process = psutil.Process()
    temporary = [*Path(tempfile.gettempdir()).glob("pages-*"), *(cache_dir() / "scratch").glob("*")]
    return process.num_fds(), threading.active_count(), process.memory_info().rss, len(temporary)


def assert_resources_level_off(folder: Path, n_runs: int, cached: bool) -> None:
    """Asserts that runs in one process, each with another seed, take no more than the second one did."""
    model = {"kind": "xgboost", "n_estimators": 3, "external_memory": True}
    seen = []
    for seed in range(n_runs):
        config = make_config(**many_stages(2, [seed]), model=model)
        run(config, folder / str(seed), Quiet(), options=RunOptions(cached=cached))
        seen.append(resources())
    descriptors, threads, resident, temporary = zip(*seen, strict=True)
    assert descriptors[-1] == descriptors[1]
    assert threads[-1] == threads[1]
    assert temporary[-1] == temporary[1] == 0
    assert resident[-1] - resident[1] <= GROWTH_BYTES * (n_runs - 2) ** 0.5


@pytest.mark.parametrize("cached", [True, False])
def test_runs_in_one_process_leave_nothing_open(cached: bool, tmp_path: Path) -> None:
    assert_resources_level_off(tmp_path, 4, cached)


@full
def test_twenty_runs_in_one_process_take_what_two_did(tmp_path: Path) -> None:
    assert_resources_level_off(tmp_path, 20, cached=True)


@pytest.mark.parametrize(
    "again", [{"cv": {"folds": 4, "scheme": "blocked", "embargo": {"eras": 1, "allow_leak": True}}}, {"retrain": {"every": 6}}]
)
def test_folds_and_steps_leave_nothing_open_and_no_scratch(
    again: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = []

    def watched(context: RunContext, fold: FitPlan) -> Predictions:
        predictions = out_of_fold(context, fold)
        held = [file.path for file in psutil.Process().open_files() if file.path.startswith(str(cache_dir()))]
        scratch = [path for path in (cache_dir() / "scratch").rglob("*") if path.is_file()]
        after.append((sorted(held), len(scratch)))
        return predictions

    monkeypatch.setattr(experiment, "out_of_fold", watched)
    config = many_stages(1, [0]) | {"cv": None, **again}
    config["generators"]["noise0"] = {**quick("pca"), "select": {"by": "variance", "top_k": 10}}
    config |= {"augmenters": {"a": {"kind": "cutout"}}}
    config["variants"]["noise0"] |= {"augment": ["a"]}
    run(make_config(**config), tmp_path, Quiet())
    assert len(after) >= 4
    assert after == [after[0]] * len(after)


def filled(cache: Path, n: int) -> None:
    """A cache of so many entries as large as those of a thousand eras."""
    with Cache(cache / "stages") as stages:
        eras = list(range(1000))
        entry = stages.obtain(Stage("columns", "columns pca@0", {"fit of era": eras}), lambda work: None)
    meta = entry.meta
    for i in range(n):
        folder = entry.folder.with_name(f"{i:020x}")
        folder.mkdir()
        (folder / "meta.json").write_text(with_stamp(meta))
        (folder / "columns.npy").touch()
        folder.with_name(f".{folder.name}.lock").touch()


def test_the_list_shows_the_last_hundred_and_says_how_many_more_there_are(tmp_path: Path) -> None:
    filled(tmp_path, 130)
    for options, n_lines in (([], 100), (["--all"], 131), (["--format", "csv"], 131)):
        done = nlab("cache", "list", *options, NLAB_CACHE=str(tmp_path), COLUMNS="120")
        assert done.returncode == 0, done.stderr
        assert sum("columns pca@0" in line for line in done.stdout.splitlines()) == n_lines
        assert ("31 more, used longer ago: --all or --format csv shows them" in done.stderr) == (n_lines == 100)


@full
@pytest.mark.parametrize("table_format", ["table", "json"])
def test_ten_thousand_entries_are_listed_in_two_seconds(table_format: str, tmp_path: Path) -> None:
    filled(tmp_path, 10_000)
    before = children_seconds()
    subprocess.run(
        [sys.executable, "-m", "numerai_lab", "cache", "list", "--format", table_format],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "NLAB_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert children_seconds() - before < 2  # of the processor: the clock's depend on what else the machine does


def children_seconds() -> float:
    """Processor seconds that child processes which ended have taken."""
    taken = resource.getrusage(resource.RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime
