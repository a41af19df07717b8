"""Faults from outside: each ends with one clear sentence, the right exit code, and nothing half-written under a final name."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC
from datetime import datetime as real
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.experiment import run
from numerai_lab.generators.linear import PCA
from numerai_lab.models import Ridge
from numerai_lab.runs.unfinished import unfinished_runs
from numerai_lab.storage.cleanup import damaged_items
from numerai_lab.storage.folders import cache_dir
from tests.conftest import Quiet, make_config, quick
from tests.forks import nlab


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The tiny tournament as files of the user's."""
    source = Synthetic(size="tiny")
    source.files()
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train.parquet", "validation.parquet", "features.json"):
        shutil.copy(source.folder / name, folder / name)
    return folder


def config_of(folder: Path, **changes: Any) -> Config:
    return make_config(data={"source": "files", "path": str(folder), "feature_set": "small"}, **changes)


def written(config: Config, tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    return path


def final_names(runs: Path) -> list[str]:
    return [path.name for path in runs.iterdir() if not path.name.endswith("-failed")] if runs.exists() else []


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv[1:2] = []
from numerai_lab.cli.app import main
main()
"""


@pytest.mark.parametrize("n_bytes", [20_000, 600_000])
def test_a_full_disk_is_one_sentence_and_leaves_no_half_entry(tmp_path: Path, files: Path, n_bytes: int) -> None:
    """A file can't grow beyond a limit, as on a disk that is full: once in the store, once in a generator's columns."""
    config = written(config_of(files, generators={"pca": {"kind": "pca", "n_components": 40}}), tmp_path)
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", LIMITED, str(n_bytes), "run", str(config), "--runs-dir", str(tmp_path / "runs")]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NLAB_CACHE": str(cache)}, check=False)
    assert result.returncode == 1, result.stderr
    assert "File too large; no file may grow so large there" in result.stderr
    assert "Traceback" not in result.stderr
    assert final_names(tmp_path / "runs") == []
    assert [damage for _, damage in damaged_items(cache) if damage] == []
    assert nlab("run", config, "--runs-dir", tmp_path / "runs", NLAB_CACHE=str(cache)).returncode == 0


def test_an_address_space_that_no_library_fits_into_is_bad_input_of_one_sentence(tmp_path: Path) -> None:
    def limited(*words: object) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", 'ulimit -v 1500000; exec "$0" -m numerai_lab "$@"', sys.executable, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    refused = limited("run", written(make_config(), tmp_path), "--runs-dir", tmp_path / "runs")
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "nlab: `ulimit -v` allows 1.5 GB of address space, and libraries alone take 2.2 GB: raise it"
    )
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()
    assert limited("run", "--help").returncode == 0
    assert limited("--version").returncode == 0


def test_a_read_only_runs_folder_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any, **__: Any) -> Any:  # root may write where nobody else may, so no mode of a folder would do
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("numerai_lab.runs.writing.new_folder", read_only)
    with pytest.raises(NlabError, match=r"can't hold run folders \(Read-only file system\); choose another with --runs-dir"):
        run(make_config(), tmp_path / "runs", Quiet())
    assert final_names(tmp_path / "runs") == []


def test_a_read_only_cache_is_a_failure_of_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(cache_dir() / "stages"))

    monkeypatch.setattr("numerai_lab.storage.stage_cache.write_whole", read_only)
    with pytest.raises(NlabFailure, match="stages: Read-only file system; nothing can be written there now: .*NLAB_CACHE"):
        run(make_config(), tmp_path / "runs", Quiet())
    assert final_names(tmp_path / "runs") == []


def test_a_data_file_that_vanished_is_bad_input(tmp_path: Path, files: Path) -> None:
    (files / "train.parquet").unlink()
    (files / "validation.parquet").unlink()
    with pytest.raises(NlabError, match=r"data\.path: .* holds none"):
        run(config_of(files), tmp_path / "runs", Quiet())
    assert final_names(tmp_path / "runs") == []


class DeletesData(PCA):
    """A generator in whose time somebody deletes the data files."""

    def transform(self, block: Block) -> Any:
        shutil.rmtree(VICTIM[0], ignore_errors=True)
        return super().transform(block)


VICTIM: list[Path] = []


def test_data_files_deleted_after_they_were_read_change_nothing(tmp_path: Path, files: Path) -> None:
    generators = {"generators": {"pca": quick("pca")}}
    config = config_of(files, **generators)
    wanted = (run(config, tmp_path / "whole", Quiet()).path / "predictions.parquet").read_bytes()
    VICTIM[:] = [files]
    config.generators["pca"] = DeletesData(n_components=3)
    found = run(config, tmp_path / "runs", Quiet())
    assert (found.path / "predictions.parquet").read_bytes() == wanted


def test_changed_data_is_read_anew_and_no_stage_of_the_old_is_used(tmp_path: Path, files: Path) -> None:
    first = run(config_of(files), tmp_path / "runs", Quiet())
    table = pl.read_parquet(files / "train.parquet")
    table.head(len(table) - 80).write_parquet(files / "train.parquet")
    again = run(config_of(files), tmp_path / "runs", Quiet())
    assert again.manifest["data"]["store_made"]
    assert again.manifest["cache_hits"] == []
    assert again.manifest["data"]["train_rows"] == first.manifest["data"]["train_rows"] - 80


def test_a_data_file_that_changes_while_it_is_read_is_bad_input(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and targets are read first, features later: they must be of the same file."""
    from numerai_lab.data import ingest

    original = ingest.read_features
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))

    def slowly(*arguments: Any) -> int:
        done = original(*arguments)
        pl.read_parquet(files / "train.parquet").reverse().write_parquet(files / "train.parquet")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "read_features", slowly)
        with pytest.raises(NlabError, match=r"train\.parquet: a data file changed while the data was read"):
            run(config_of(files), tmp_path / "runs", Quiet())
    assert final_names(tmp_path / "runs") == []
    assert run(config_of(files), tmp_path / "runs", Quiet()).manifest["data"]["store_made"]


def test_features_that_are_missing_become_the_middle_bin_and_are_counted(tmp_path: Path, files: Path) -> None:
    table = pl.read_parquet(files / "train.parquet")
    name = next(column for column in table.columns if column.startswith("feature"))
    holes = pl.when(pl.int_range(pl.len()) % 1000 == 0).then(float("nan")).otherwise(pl.col(name).cast(pl.Float32) / 4)
    table.with_columns(holes.cast(pl.Float32).alias(name)).write_parquet(files / "train.parquet")
    later = pl.read_parquet(files / "validation.parquet")
    later.with_columns((pl.col(name).cast(pl.Float32) / 4).alias(name)).write_parquet(files / "validation.parquet")
    config = config_of(files)
    config.data.feature_set = "all"
    done = run(config, tmp_path / "runs", Quiet())
    assert any("5 missing feature values were set to the middle bin" in warning for warning in done.manifest["warnings"])


@pytest.mark.parametrize("value", [5, -1])
def test_a_new_bin_is_refused_with_its_place(tmp_path: Path, files: Path, value: int) -> None:
    table = pl.read_parquet(files / "train.parquet")
    name = next(column for column in table.columns if column.startswith("feature"))
    changed = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(value).otherwise(pl.col(name)).cast(pl.Int8).alias(name)
    )
    changed.write_parquet(files / "train.parquet")
    config = config_of(files)
    config.data.feature_set = "all"
    with pytest.raises(NlabError, match=f"holds {value}.*, wanted bins 0 to 4"):
        run(config, tmp_path / "runs", Quiet())
    assert final_names(tmp_path / "runs") == []


class Bad(PCA):
    """A generator that gives what it may not in era 70."""

    def transform(self, block: Block) -> Any:
        values = super().transform(block)
        if block.era != 70:
            return values
        if HOW[0] == "rows":
            return values[1:]
        values[3, 1] = {"nan": np.nan, "infinity": np.inf}[HOW[0]]
        return values


HOW: list[str] = []


class Hungry(PCA):
    """A generator that asks for more memory than there is."""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Any:
        if HOW[0] == "gpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return np.empty(2**50)


@pytest.mark.parametrize(
    ("how", "said"),
    [("gpu", "the GPU's memory ran out; take a smaller batch_size"), ("cpu", r"memory ran out \(Unable to allocate")],
)
def test_memory_that_runs_out_is_a_failure_of_one_sentence(how: str, said: str, tmp_path: Path) -> None:
    HOW[:] = [how]
    config = make_config(generators={"g": quick("pca")})
    config.generators["g"] = Hungry(n_components=3)
    with pytest.raises(NlabFailure, match=said):
        run(config, tmp_path, Quiet())
    assert final_names(tmp_path) == []


@pytest.mark.parametrize("how", ["nan", "infinity", "rows"])
def test_a_generator_that_gives_nonsense_fails_with_the_era_and_nothing_of_it_is_kept(how: str, tmp_path: Path) -> None:
    HOW[:] = [how]
    config = make_config(generators={"g": quick("pca")})
    config.generators["g"] = Bad(n_components=3)
    with pytest.raises(NlabFailure, match=r"generators\.g: gave .* for era 70; wanted 80 × 3, all finite"):
        run(config, tmp_path, Quiet())
    assert final_names(tmp_path) == []
    stages = [path.parent.name for path in (cache_dir() / "stages").glob("*/[!.]*")]
    assert stages == ["fit"]


def test_a_constant_prediction_is_scored_as_missing_and_warned_of(tmp_path: Path) -> None:
    flat = run(
        make_config(model={**quick("xgboost"), "min_child_weight": 1e9}, splits={}, variants={"baseline": {}}), tmp_path, Quiet()
    )
    row = flat.scores.filter(split="val1").row(0, named=True)
    assert row["corr_mean"] is None or np.isnan(row["corr_mean"])
    assert row["corr_n_missing"] == 10
    assert any("baseline@0: no corr in 20 eras" in warning for warning in flat.manifest["warnings"])


class Dumb(Ridge):
    """A model that predicts what is no number."""

    def predict(self, X: Any) -> Any:
        return np.full(len(X), np.nan, np.float32)


def test_a_model_that_predicts_no_numbers_fails_by_name_and_its_predictions_are_not_kept(tmp_path: Path) -> None:
    config = make_config()
    config.model = Dumb()
    with pytest.raises(NlabFailure, match=r"variants\.baseline: the model predicted NaN or infinity for \d+ rows"):
        run(config, tmp_path, Quiet())
    assert final_names(tmp_path) == []
    assert list((cache_dir() / "stages").glob("predictions/[!.]*")) == []


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_leaves_a_run_to_go_on_with_and_says_so_with_exit_code_130(polite: signal.Signals, tmp_path: Path) -> None:
    config = written(make_config(model={"kind": "lightgbm", "n_estimators": 100_000}), tmp_path)
    command = [sys.executable, "-m", "numerai_lab", "run", str(config), "--runs-dir", str(tmp_path / "runs")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "train …" not in process.stderr.readline():
            pass
        process.send_signal(polite)
        says = process.stderr.read()
    assert process.returncode == 130
    (folder,) = (tmp_path / "runs").iterdir()
    assert unfinished_runs(tmp_path / "runs") == [folder]
    assert f"interrupted: `nlab resume {folder}` goes on with this run\n" in says


def test_an_interrupt_that_falls_into_a_callback_of_the_garbage_collector_is_not_lost() -> None:
    code = (
        "import numerai_lab.cli.app as app, time\n"
        "class Interrupted:\n    def __del__(self): raise KeyboardInterrupt\n"
        "def work():\n    Interrupted()\n    time.sleep(30)\n    print('went on')\n"
        "app._run_app = work\napp.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == -signal.SIGINT
    assert "went on" not in done.stdout
    assert "ignored" not in done.stderr


def test_two_runs_in_the_same_second_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numerai_lab.runs import writing

    class Still(real):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real(2026, 1, 2, 3, 4, 5) if tz is UTC else real(2026, 1, 2, 4, 4, 5)

    monkeypatch.setattr(writing, "datetime", Still)
    names = [run(make_config(), tmp_path, Quiet()).path.name for _ in range(2)]
    assert names == ["20260102-030405_test", "20260102-030405_test-2"]


def test_a_clock_that_jumps_back_loses_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numerai_lab.runs import writing

    class Jumping(real):
        year_ = 2030

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            cls.year_ -= 1
            return real(cls.year_, 1, 2, 3, 4, 5)

    monkeypatch.setattr(writing, "datetime", Jumping)
    done = [run(make_config(), tmp_path, Quiet()) for _ in range(2)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(one.path.name for one in done)
    assert len({one.path.name for one in done}) == 2
    assert all(stage["seconds"] >= 0 for one in done for stage in one.manifest["stages"].values())


def test_a_config_that_is_edited_while_it_runs_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numerai_lab.experiment as experiment
    from numerai_lab.config.loading import load_config

    path = written(make_config(), tmp_path)
    loaded, _ = load_config(path)
    original = experiment.fit_generators

    def edited(context: Any) -> Any:
        path.write_text("name: other\n")
        return original(context)

    monkeypatch.setattr(experiment, "fit_generators", edited)
    done = run(loaded, tmp_path / "runs", Quiet())
    recorded = done.manifest["asked_config"]
    assert recorded == make_config().to_yaml()
    assert (done.path / "config.yaml").read_text() == recorded.replace("embargo: auto", "embargo: 8")


def test_five_thousand_run_folders_are_compared_one_by_one_and_stand_in_nobodys_way(tmp_path: Path) -> None:
    done = run(make_config(), tmp_path / "runs", Quiet())
    for i in range(5000):
        (tmp_path / "runs" / f"20200101-000000_old-{i}").mkdir()
    again = run(make_config(), tmp_path / "runs", Quiet())
    result = nlab("compare", *sorted((tmp_path / "runs").iterdir()), "--format", "json")
    assert result.returncode == 0, result.stderr[-500:]
    assert result.stderr.count("not a run folder") == 5000
    assert done.name in result.stdout
    assert again.name in result.stdout
