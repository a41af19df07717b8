"""How far a run is, and how long it still takes: by the kinds of its stages, never by its first step."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from numerai_lab.experiment import run
from numerai_lab.fitting.plan import plan
from numerai_lab.fitting.run_context import WholeRun
from numerai_lab.fitting.run_progress import RunProgress, Speeds, expected_seconds
from numerai_lab.fitting.workload import PlannedStage
from numerai_lab.report import progress as displays
from numerai_lab.report.progress import Bars, Lines, TimeLeft
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_speeds import Speed, read_speeds, remember_speeds
from tests.conftest import Quiet, make_config, quick


class Watched(Quiet):
    """Keeps the progress of the run that it is shown."""

    whole: Any

    @contextmanager
    def run(self, whole: WholeRun) -> Iterator[None]:
        self.whole = whole
        yield


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def stage(label: str, kind: str, amount: float) -> PlannedStage:
    return PlannedStage(label, kind.split("|")[0], kind, amount)


@pytest.mark.parametrize("way", [pytest.param("folds", marks=pytest.mark.slow), "cross_fit"])
def test_the_stages_of_a_run_are_those_that_were_planned(way: str, tmp_path: Path) -> None:
    crossed = {**quick("supervised_autoencoder"), "max_steps": 2, "evaluate_every": 1, "scheme": "cross_fit"}
    config = make_config(
        seeds=[0, 1],
        data={"source": "synthetic", "size": "tiny", "target": "target", "auxiliary_targets": ["target_cyrusd_20"]},
        generators={
            "pca": quick("pca"),
            "noise": quick("random_columns"),
            **({"crossed": crossed} if way == "cross_fit" else {}),
        },
        augmenters={"cut": {"kind": "cutout"}, "drawn": quick("copula"), "later": {"kind": "recency"}},
        variants={
            "baseline": {},
            "two": {"targets": ["target", "target_cyrusd_20"], "augment": ["later"]},
            **{name: {"features": ["raw", name]} for name in ("pca", "noise")},
            **({"crossed": {"features": ["raw", "crossed"]}} if way == "cross_fit" else {}),
            **{name: {"augment": [name]} for name in ("cut", "drawn")},
            "again": {"neutralize": {"features": "all", "proportion": 0.5}},
            "mean": {"ensemble": ["baseline", "pca"]},
        },
        **({"cv": {"folds": 2}} if way == "folds" else {}),
    )
    display = Watched()
    done = run(config, tmp_path, display)
    progress = display.whole
    assert progress.seconds_left() == 0
    assert Counter(one.label for one in progress._done) == Counter(one.label for one in progress.stages)
    costs = {label for label in done.manifest["costs"] if not label.startswith("realism of ")}  # parts of the stage `realism`
    assert costs <= {one.label for one in progress.stages}
    assert progress.line().startswith(f"whole run: {len(progress.stages)} of {len(progress.stages)} stages, 100%")
    planned = plan(config)
    assert planned.unknown == []
    assert 0 < planned.expected_seconds < 100
    assert "by earlier runs here" in next(line for line in planned.lines() if line.startswith("time"))


def test_time_left_is_that_of_the_kinds_of_the_stages_that_are_left(now: list[float]) -> None:
    trees, columns = "train xgboost|deep", "columns pca"
    stages = [stage("a", columns, 10), stage("b", trees, 100), stage("c", trees, 300), stage("d", trees, 100)]
    progress = RunProgress(stages, Speeds({columns: Speed(1, 1)}))
    assert progress.seconds_left() is None
    assert progress.line() == "whole run: 0 of 4 stages, 0 s so far, more than 10 s left"
    progress.finish("a", None)  # from the cache
    progress.begin("b")
    now[0] = 50
    assert progress.seconds_left() is None
    assert "time left not known yet" in progress.line()
    progress.at(1, 2)  # its own speed tells when it ends, and nothing of the two after it
    assert progress.line() == "whole run: 1 of 4 stages, 50 s so far, more than 50 s left; now b, 50%"
    progress.finish("b", 50)
    assert progress.seconds_left() == 150 + 50
    progress.begin("c")
    now[0] = 80
    progress.at(1, 1000)  # a thousandth after 30 s would be eight hours
    assert progress.seconds_left() == 120 + 50
    progress.at(500, 1000)
    assert progress.seconds_left() == 30 + 50
    assert progress.line() == "whole run: 2 of 4 stages, 50%, 80 s so far, about 80 s left; now c, 50%"


def test_a_kind_with_other_parameters_is_guessed_from_its_family_and_measured_speeds_count_first() -> None:
    deep, flat = stage("a", "train xgboost|deep", 10), stage("b", "train xgboost|flat", 30)
    assert expected_seconds([deep, flat], {}) == (0.0, ["train xgboost"])
    assert expected_seconds([deep, flat], {"train xgboost": Speed(4, 2), deep.kind: Speed(1, 1)}) == (10 + 60, [])
    speeds = Speeds({deep.kind: Speed(100, 1)})
    speeds.add(deep, 5)
    assert (speeds.seconds_of(deep), speeds.seconds_of(flat)) == (5, 15)


def test_speeds_of_a_damaged_record_are_unknown(tmp_path: Path) -> None:
    remember_speeds(tmp_path, {"a": Speed(1, 2)})
    remember_speeds(tmp_path, {"b": Speed(3, 4)})
    assert read_speeds(tmp_path) == {"a": Speed(1, 2), "b": Speed(3, 4)}
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace("3", "9"))
    assert read_speeds(tmp_path) == {}


def test_a_plan_says_what_has_not_run_here_yet() -> None:
    (cache_dir() / "stage_seconds.json").unlink(missing_ok=True)
    planned = plan(make_config())
    assert planned.as_dict()["expected_seconds"] is None
    assert planned.unknown == ["train ridge", "predict ridge", "score", "report"]
    assert "time     unknown: no train ridge, predict ridge, score … ran here yet" in planned.lines()


def test_the_first_step_of_a_task_is_no_measure_of_the_others(now: list[float]) -> None:
    left = TimeLeft()
    now[0] = 32  # a matrix was made before the first tree
    assert left.seconds(1, 2000) is None
    now[0] = 34
    assert left.seconds(101, 2000) is None  # too soon
    now[0] = 42
    assert left.seconds(501, 2000) == pytest.approx(10 / 500 * 1499)
    assert left.text(501, 2000) == "about 30 s left"


class Whole:
    def line(self) -> str:
        return "whole run: 3 of 9 stages"


def test_a_run_off_a_terminal_says_how_far_it_is_while_a_library_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(displays, "LINE_EVERY", 0.05)
    display = Lines()
    with caplog.at_level(logging.INFO, "nlab"):
        with display.run(Whole()), display.task("train baseline@0"):
            time.sleep(0.3)
        n_lines = caplog.messages.count("whole run: 3 of 9 stages")
        time.sleep(0.1)
    assert 3 <= n_lines == caplog.messages.count("whole run: 3 of 9 stages")


def test_bars_show_the_run_below_the_task(capsys: pytest.CaptureFixture[str]) -> None:
    display = Bars(Console(force_terminal=True, width=80))
    with display.run(Whole()), display.task("train baseline@0") as progress:
        progress(3, 10)
        time.sleep(0.2)
    drawn = capsys.readouterr().out
    assert "whole run: 3 of 9 stages" in drawn
    assert max(len(line) for line in drawn.splitlines() if "whole run" in line) < 160


class Cell:
    """The output of a notebook's cell: every text that it showed."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, data: dict[str, str], **how: Any) -> "Cell":
        assert how == {"raw": True, "display_id": True}
        return self.update(data)

    def update(self, data: dict[str, str], raw: bool = True) -> "Cell":
        self.shown.append(data["text/plain"])
        return self


def test_a_notebook_shows_a_line_that_is_replaced_and_other_programs_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell()
    assert isinstance(displays.python_display(), displays.Silent)
    monkeypatch.setattr(displays, "CELL_EVERY", 0.05)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=cell.display))
    display = displays.python_display()
    with display.run(Whole()), display.task("train baseline@0"):
        time.sleep(0.3)
    n_lines = len(cell.shown)
    time.sleep(0.1)
    assert 4 <= n_lines == cell.shown.count("whole run: 3 of 9 stages")
