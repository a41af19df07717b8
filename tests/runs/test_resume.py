"""A killed run goes on where it stopped and ends as an undisturbed one would have."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from numerai_lab import experiment
from numerai_lab.cli.app import app
from numerai_lab.cli.resume import resume
from numerai_lab.config.schema import Config
from numerai_lab.config.stand_ins import RECORD
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block
from numerai_lab.experiment import RunOptions, run
from numerai_lab.generators.linear import PCA
from numerai_lab.runs import writing
from numerai_lab.runs.layout import UNFINISHED
from numerai_lab.runs.reading import read_run
from numerai_lab.runs.unfinished import unfinished_run, unfinished_runs
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import LOCK
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab


def small(**changes: object) -> Config:
    return make_config(**{"name": "small", "splits": {}, "generators": {"pca": quick("pca")}, **changes})


def left_unfinished(runs: Path, config: Config) -> Path:
    """The folder of a run that died: the files of its first moments, and nobody who holds its lock."""
    folder = runs / f"{UNFINISHED}20260102-030405_{config.name}-abc"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config.to_yaml())
    (folder / "log.txt").write_text("before\n")
    (folder / "predictions.parquet").write_text("torn")
    (folder / LOCK).touch()
    return folder


def test_a_resumed_run_takes_the_folder_and_the_name_of_the_killed_one(tmp_path: Path) -> None:
    whole = run(small(), tmp_path / "whole", Quiet(), options=RunOptions(cached=False))
    folder = left_unfinished(tmp_path / "runs", small())
    resumed = run(small(), tmp_path / "runs", Quiet(), options=RunOptions(unfinished=folder))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["20260102-030405_small"]
    assert resumed.manifest["resumed"] is True
    assert (resumed.path / "log.txt").read_text().startswith("before\n")
    assert not (resumed.path / LOCK).exists()
    assert (resumed.path / "predictions.parquet").read_bytes() == (whole.path / "predictions.parquet").read_bytes()


@pytest.mark.parametrize("where", ["experiment.write_report", "runs.writing.checksums", "runs.writing.renamed"])
def test_a_run_that_died_in_its_last_steps_is_known_by_the_config_that_was_asked_for(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"numerai_lab.{where}", killed)
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path, Quiet())
    (folder,) = unfinished_runs(tmp_path, small())
    done = run(small(), tmp_path, Quiet(), options=RunOptions(unfinished=folder))
    assert "embargo: auto" in done.manifest["asked_config"]
    assert "embargo: 8" in done.content("config.yaml").decode()
    assert done.config.splits.embargo == 8


def test_resume_of_a_run_that_lacks_its_final_name_alone_keeps_the_config_that_was_asked_for(tmp_path: Path) -> None:
    done = run(small(), tmp_path, Quiet())
    done.path.rename(left := tmp_path / f"{UNFINISHED}{done.name}-abc")
    app(["resume", str(left)], prog_name="nlab", standalone_mode=False)
    (again,) = tmp_path.iterdir()
    assert read_run(again).manifest["asked_config"] == done.manifest["asked_config"] == small().to_yaml()
    assert read_run(again).content("predictions.parquet") == done.content("predictions.parquet")


def test_only_runs_of_the_same_config_that_nobody_works_on_are_found(tmp_path: Path) -> None:
    folder = left_unfinished(tmp_path, small())
    assert unfinished_runs(tmp_path, small()) == [folder]
    assert unfinished_runs(tmp_path, small(seeds=[5])) == []
    with Lock(folder / LOCK) as lock:
        lock.take()
        assert unfinished_runs(tmp_path, small()) == []
        with pytest.raises(NlabError, match="is not dead"):
            run(small(), tmp_path, Quiet(), options=RunOptions(unfinished=folder))
    assert unfinished_run(tmp_path / "20260102-030405_small") == folder
    with pytest.raises(NlabError, match="unfinished there: .unfinished-20260102-030405_small-abc"):
        unfinished_run(tmp_path / "other")


def test_a_run_that_was_killed_before_it_wrote_anything_leaves_no_folder_behind_the_next(tmp_path: Path) -> None:
    empty, begun = (tmp_path / f"{UNFINISHED}20260102-030405_{name}-abc" for name in ("small", "other"))
    empty.mkdir()
    left = left_unfinished(tmp_path, small(name="left"))
    with Lock(begun / LOCK) as lock:  # of a process that is about to write
        lock.take()
        assert unfinished_runs(tmp_path, small()) == []
        done = run(small(), tmp_path, Quiet())
        assert {path.name for path in tmp_path.iterdir()} == {done.name, left.name, begun.name}


class Dies(PCA):
    """A generator whose process is told to stop in era 70, once."""

    died: ClassVar[bool] = False

    def transform(self, block: Block) -> np.ndarray:
        if block.era == 70 and not Dies.died:
            Dies.died = True
            raise KeyboardInterrupt
        asked.append(block.era)
        return super().transform(block)


asked: list[int] = []


def test_columns_go_on_after_the_last_era_that_was_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = small()
    config.generators["pca"] = Dies(n_components=3)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "runs", Quiet())
    first = list(asked)
    asked.clear()
    with caplog.at_level(logging.INFO, "nlab"):
        again = run(config, tmp_path / "runs", Quiet())
    assert first == list(range(1, 70))
    assert asked == list(range(70, 97))
    assert [hit["stage"] for hit in again.manifest["cache_hits"]] == ["fit pca@0"]
    whole = run(config, tmp_path / "whole", Quiet(), options=RunOptions(cached=False))
    assert pl.read_parquet(again.path / "predictions.parquet").equals(pl.read_parquet(whole.path / "predictions.parquet"))


def too_small(*_: object) -> None:
    raise NlabError("this run does not fit")


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("name", "ends", "error"), [("refuse_too_much", too_small, NlabError), ("load_sealed", stopped, BaseException)]
)
def test_a_run_that_can_not_be_gone_on_with_now_keeps_its_folder(
    name: str, ends: Callable[..., None], error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = left_unfinished(tmp_path, small())
    with monkeypatch.context() as now:
        now.setattr(experiment, name, ends)
        with pytest.raises(error):
            run(small(), tmp_path, Quiet(), options=RunOptions(unfinished=folder))
    assert unfinished_runs(tmp_path) == [folder]
    assert "torn" in (folder / "predictions.parquet").read_text()
    assert run(small(), tmp_path, Quiet(), options=RunOptions(unfinished=folder)).manifest["resumed"] is True


def test_a_run_whose_plugin_has_changed_is_gone_on_with_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left_unfinished(tmp_path, small())
    plugin = {"name": "mine.py", "give": "--plugin mine.py", "sha256": "a" * 64, "kinds": {"generators": ["row_moments"]}}
    (folder / RECORD).write_text(json.dumps([plugin]))
    monkeypatch.setattr(writing, "plugins_in", lambda _: [plugin | {"sha256": "b" * 64}])
    done = run(small(), tmp_path, Quiet(), options=RunOptions(unfinished=folder))
    assert done.manifest["warnings"][0] == "the plug-in mine.py has changed since this run began; its stages are made anew"
    assert not folder.exists()


def test_a_run_that_is_interrupted_while_data_load_can_be_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(experiment, "load_sealed", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(small(), tmp_path, Quiet())
    (folder,) = unfinished_runs(tmp_path, small())
    assert f"interrupted: `nlab resume {folder}` goes on with this run" in caplog.text


def test_a_new_run_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "refuse_too_much", too_small)
    with pytest.raises(NlabError, match="does not fit"):
        run(small(), tmp_path, Quiet())
    assert list(tmp_path.iterdir()) == []


def test_resume_goes_on_by_force_where_a_run_no_longer_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "refuse_too_much", too_small)
    monkeypatch.setattr("numerai_lab.report.progress.progress_display", Quiet)
    folder = left_unfinished(tmp_path, small())
    with pytest.raises(NlabError, match="does not fit"):
        resume(folder)
    resume(folder, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["20260102-030405_small"]


def test_the_commands_resume(tmp_path: Path) -> None:
    config = small()
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    runs = tmp_path / "runs"
    left_unfinished(runs, config)
    result = nlab("run", path, "--runs-dir", runs, "--resume")
    assert result.returncode == 0, result.stderr
    assert "going on with" in result.stderr
    folder = left_unfinished(runs, config)
    result = nlab("resume", runs / folder.name.removeprefix(UNFINISHED), "--format", "json")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in runs.iterdir()) == ["20260102-030405_small", "20260102-030405_small-2"]
    result = nlab("run", path, "--runs-dir", runs, "--resume")
    assert "no unfinished run of this config" in result.stderr
    assert "stages from the cache" in result.stderr
    assert nlab("resume", runs / "x").returncode == 2
