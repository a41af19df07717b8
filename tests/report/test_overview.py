"""The states of a folder of runs: how far runs in progress are, what the others show, and what is wrong with some."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from numerai_lab.experiment import run
from numerai_lab.fitting.run_context import WholeRun
from numerai_lab.report import overview as module
from numerai_lab.report.overview import Overview, RunState
from numerai_lab.report.overview_text import change_line, counted, overview_lines
from numerai_lab.runs import live_progress
from numerai_lab.runs.layout import PROGRESS, UNFINISHED
from numerai_lab.runs.live_progress import LiveProgress, ProgressFile, is_worked_on, read_progress
from numerai_lab.storage.stamped_json import read_stamped, with_stamp
from tests.conftest import Quiet, make_config
from tests.many_runs import make_runs, run_in_progress, tell_progress


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a finished run."""
    (path,) = make_runs(tmp_path_factory.mktemp("whole"), 1)
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def only(overview: Overview) -> RunState:
    """The state of the only folder."""
    assert overview.refresh()
    (state,) = overview.states()
    return state


def test_a_finished_run_says_what_it_shows(runs: Path, whole: Path) -> None:
    shutil.copytree(whole, runs / whole.name)
    state = only(Overview(runs))
    assert (state.status, state.elsewhere, state.has_report) == ("finished", True, True)
    assert state.sentence.startswith("SYNTHETIC data. None of 2 methods is shown to help over these 100 eras; gains above")
    assert state.method in ("raw+pca", "cutout")
    assert state.verdict == "undecided"
    assert f"{state.delta:+.4f}".replace("0.", ".") == state.change.split()[0]


def replaced(name: str, put: Callable[[Path], object]) -> Callable[[Path], object]:
    """Breaks a run folder: something else lies in the place of a file."""

    def breaks(path: Path) -> None:
        (path / name).unlink()
        put(path / name)

    return breaks


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe for the manifest": (replaced("manifest.json", os.mkfifo), "manifest.json is a pipe, no file"),
    "a pipe for scores": (replaced("scores.csv", os.mkfifo), "damaged run folder (scores.csv is a pipe; a run is read where"),
    "a link for scores": (
        replaced("scores.csv", lambda path: path.symlink_to("/etc/passwd")),
        "damaged run folder (scores.csv",
    ),
    "a link to nowhere": (replaced("manifest.json", lambda path: path.symlink_to("nowhere")), "manifest.json is a link, no file"),
    "no scores": (lambda path: (path / "scores.csv").unlink(), "damaged run folder ("),
    "half a manifest": (lambda path: (path / "manifest.json").write_text('{"name":'), "damaged run folder (Expecting value"),
    "no manifest": (lambda path: (path / "manifest.json").unlink(), "not a run folder (no manifest.json)"),
    "a deep manifest": (
        lambda path: (path / "manifest.json").write_text('{"a":' * 100_000),
        "damaged run folder (manifest.json is",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_shown_with_its_sentence_and_the_others_as_they_are(name: str, runs: Path, whole: Path) -> None:
    shutil.copytree(whole, runs / "other")
    shutil.copytree(whole, runs / "whatever")
    breaks, sentence = BROKEN[name]
    breaks(runs / "whatever")
    overview = Overview(runs)
    assert overview.refresh()
    other, broken = overview.states()
    assert (broken.status, other.status) == ("broken", "finished")
    assert broken.sentence.startswith(sentence)
    assert "\n" not in broken.sentence


def test_links_failed_runs_and_what_is_no_run(runs: Path, whole: Path) -> None:
    (runs / "linked").symlink_to(whole)
    (runs / "dangling").symlink_to("nowhere")
    (runs / "notes").mkdir()
    (runs / "ledger.jsonl").touch()
    (runs / "20260203-131313_umap-failed").mkdir()
    (runs / "20260203-131313_umap-failed" / "failed.txt").write_text("Traceback …\nValueError: \x1b[31mthe disk\n")
    overview = Overview(runs)
    assert overview.refresh()
    failed, linked = overview.states()
    assert (linked.run, linked.status, linked.sentence[:7]) == ("linked", "broken", "a link;")
    assert (failed.status, failed.sentence) == ("failed", "ValueError: \\u001b[31mthe disk")
    assert failed.started == "2026-02-03T13:13:13+00:00"


def test_a_run_in_progress_advances_is_killed_and_vanishes(runs: Path) -> None:
    overview = Overview(runs)
    with run_in_progress(runs, "20261130-020000_umap", stage="fit umap@0", share=0.5, done=3, stages=12) as folder:
        state = only(overview)
        assert (state.run, state.status, state.started) == ("20261130-020000_umap", "running", "2026-11-30T02:00:00+00:00")
        assert state.progress == LiveProgress(stage="fit umap@0", share=0.5, done=3, stages=12)
        version = overview.version
        assert overview.refresh()
        assert overview.changes(version).states == []
        tell_progress(folder, stage="train raw+umap@0", done=4, stages=12, seconds=60.0, seconds_left=180.0)
        assert overview.refresh()
        (changed,) = overview.changes(version).states
        assert changed.progress
        assert changed.progress.share_of_run == 0.25
        assert change_line(changed) == f"{state.run}: train raw+umap@0; 4 of 12 stages, 60 s so far, about 3 min left"
    killed = only(overview)  # nothing in its folder changed
    assert killed.status == "interrupted"
    assert killed.sentence == f"`nlab resume {folder}` goes on with it"
    shutil.rmtree(folder)
    assert overview.refresh()
    assert overview.states() == []
    assert overview.changes(version).folders == []


@pytest.mark.parametrize("content", ["", "[]", '{"share": 7}', '{"stage": "x", "seconds_left": NaN}', "{" * 1000])
def test_what_no_run_writes_is_no_progress(content: str, runs: Path) -> None:
    with run_in_progress(runs, "run") as folder:
        (folder / PROGRESS).write_text(content)
        assert read_progress(folder) == LiveProgress()
        (folder / PROGRESS).unlink()
        os.mkfifo(folder / PROGRESS)
        assert read_progress(folder) == LiveProgress()


def test_a_lock_that_is_a_pipe_is_nobodys(runs: Path) -> None:
    (runs / f"{UNFINISHED}x-abc").mkdir()
    os.mkfifo(runs / f"{UNFINISHED}x-abc" / ".lock")
    assert not is_worked_on(runs / f"{UNFINISHED}x-abc")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the folders that were read."""
    names: list[str] = []

    def noting(path: Path) -> RunState | None:
        names.append(path.name)
        return original(path)

    original = module.state_of
    monkeypatch.setattr(module, "state_of", noting)
    return names


def test_what_did_not_change_is_read_once(runs: Path, whole: Path, read: list[str]) -> None:
    for name in ("a", "b"):
        shutil.copytree(whole, runs / name)
    overview = Overview(runs)
    assert overview.refresh()
    assert overview.refresh()
    assert read == ["b", "a"]
    os.utime(runs / "a" / "manifest.json")
    assert overview.refresh()
    assert read == ["b", "a", "a"]


def test_unfinished_runs_are_read_first_and_the_others_as_time_allows(runs: Path, whole: Path, read: list[str]) -> None:
    shutil.copytree(whole, runs / "z")
    with run_in_progress(runs, "a"):
        overview = Overview(runs)
        overview.look()
        assert not overview.read(seconds=0)
        assert [state.status for state in overview.states()] == ["unread", "unread"]
        assert overview.refresh()
    assert read == [f"{UNFINISHED}a-abc", "z"]


def test_a_folder_that_vanishes_while_it_is_read_is_gone(runs: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, runs / "a")
    overview = Overview(runs)
    overview.look()
    monkeypatch.setattr(module, "read_run", shutil.rmtree)
    assert overview.refresh()
    assert overview.refresh()
    assert overview.states() == []


class Spy(Quiet):
    """A display that reads what the run in progress writes into its folder."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.seen = runs, list[RunState]()

    @contextmanager
    def run(self, whole: WholeRun) -> Iterator[None]:
        overview, end = Overview(self.runs), time.monotonic() + 10
        while not (self.seen and (live := self.seen[-1].progress) and live.stages) and time.monotonic() < end:
            overview.refresh()
            self.seen += overview.states()
            time.sleep(0.01)
        yield


def test_a_run_writes_how_far_it_is_and_leaves_nothing_of_it(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_progress, "WRITE_EVERY", 0.01)
    display = Spy(runs)
    done = run(make_config(splits={"train": "1-60", "val1": "69-71", "val2": "80-82"}), runs, display)
    last = display.seen[-1]
    assert (last.status, last.run) == ("running", done.name)
    assert last.progress
    assert (last.progress.done, last.progress.stages) == (0, 4)
    assert not (done.path / PROGRESS).exists()
    assert PROGRESS not in done.manifest["files"]
    assert only(Overview(runs)).status == "finished"


def test_a_folder_that_cannot_be_written_ends_no_run_for_its_progress(tmp_path: Path) -> None:
    ProgressFile(tmp_path / "missing").write()
    assert [*tmp_path.iterdir()] == []


def test_lines_fit_and_say_how_many_are_left_out(runs: Path, whole: Path) -> None:
    shutil.copytree(whole, runs / "20260101-000000_run")
    progress = {"stage": "fit umap@0", "share": 0.5, "done": 3, "stages": 12, "seconds": 60.0, "seconds_left": 60.0}
    with run_in_progress(runs, "20261130-020000_umap", **progress):
        overview = Overview(runs)
        assert overview.refresh()
    states = overview.states()
    assert counted(states) == "1 running, 1 finished"
    assert overview_lines(states, 80)[:5] == [
        "1 running, 1 finished",
        "",
        "20261130-020000_umap",
        "  [##########          ] 50%  3 of 12 stages, 60 s so far, about 60 s left",
        "  now fit umap@0, 50%",
    ]
    assert max(map(len, overview_lines(states, 40))) <= 40
    few = overview_lines(states, 80, height=8)
    assert len(few) <= 8
    assert few[-1] == "1 more: make the terminal higher, or `nlab watch --once`"
    assert overview_lines([], 80) == ["no run yet"]


def test_a_row_has_no_nested_values(runs: Path) -> None:
    with run_in_progress(runs, "run", stage="fit", done=1, stages=2):
        row = only(Overview(runs)).as_row()
    assert json.loads(json.dumps(row)) == row
    assert (row["stage"], row["done"], row["share_of_run"]) == ("fit", 1, 0.5)


def test_a_folder_that_changes_while_it_is_read_is_read_again(runs: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, runs / "a")
    overview = Overview(runs)
    original = module.state_of

    def changing(path: Path) -> RunState | None:
        state = original(path)
        (path / "manifest.json").write_text("{}")
        overview.look()  # as that for another browser
        return state

    overview.look()
    with monkeypatch.context() as patch:
        patch.setattr(module, "state_of", changing)
        assert overview.read()
    assert overview.states()[0].status == "finished"
    assert overview.refresh()
    assert overview.states()[0].status == "broken"


def test_the_newest_run_is_the_one_that_began_last_whatever_its_folder_is_called(runs: Path, whole: Path) -> None:
    shutil.copytree(whole, runs / "20301231-235959_run")
    manifest = runs / "20301231-235959_run" / "manifest.json"
    manifest.write_text(with_stamp({**read_stamped(manifest), "started": "2026-11-30T01:00:00+02:00"}))
    with run_in_progress(runs, "20261129-233000_umap"):
        overview = Overview(runs)
        assert overview.refresh()
    assert [state.started for state in overview.states()] == ["2026-11-29T23:30:00+00:00", "2026-11-29T23:00:00+00:00"]
