"""`--cluster` of run, methods and controls: the same results as on this machine alone."""

import json
import logging
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from numerai_lab.cli.app import app
from numerai_lab.cluster import connection as connections
from numerai_lab.cluster.connection import ClusterConnection, connected
from numerai_lab.cluster.places import place_of
from numerai_lab.cluster.stages import stages_on
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import RunOptions, run
from numerai_lab.fitting.partial import make_stages, pieces_of
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.studies.controls import ControlSpec, control_configs, run_controls
from numerai_lab.studies.methods import MethodPlan, run_each
from tests.conftest import Quiet, make_config
from tests.own_methods import SMALL_CONTROL

VARIANTS = {
    "baseline": {},
    "raw+noise": {"features": ["raw", "noise"]},
    "noise_only": {"features": ["noise"]},
    "raw+pca": {"features": ["raw", "pca"]},
    "twice": {"augment": ["same"]},
}


@pytest.fixture
def config() -> Config:
    return make_config(
        seeds=[3, 4],
        generators={"noise": {"kind": "random_columns", "n_columns": 2}, "pca": {"kind": "pca", "n_components": 2}},
        augmenters={"same": {"kind": "duplicate"}},
        variants=VARIANTS,
        cv={"folds": 2, "embargo": {"eras": 0, "allow_leak": True}},
    )


def test_variants_that_share_a_generator_are_made_together(config: Config) -> None:
    groups = {("baseline",), ("raw+noise", "noise_only"), ("raw+pca",), ("twice",)}
    pieces = list(pieces_of(config, 3))
    assert {piece.variants for piece in pieces} == groups
    assert len(pieces) == len(set(pieces)) == 4 * 2 * 3


def test_pieces_make_every_stage_of_a_run_and_no_other(config: Config, tmp_path: Path) -> None:
    for piece in pieces_of(config, 3):
        make_stages(config, piece, Quiet())
    made = {path.name for path in (cache_dir() / STAGES).glob("*/*") if path.is_dir()}
    done = run(config, tmp_path, Quiet())
    labels = {hit["key"] for hit in done.manifest["cache_hits"]}
    assert labels == made
    assert len(made) == len({path.name for path in (cache_dir() / STAGES).glob("*/*") if path.is_dir()})


def test_a_run_takes_whole_stages_of_workers_and_makes_damaged_ones_itself(
    config: Config, connection: ClusterConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nlab")
    variants = {name: config.variants[name] for name in ("baseline", "raw+noise", "noise_only")}
    small = config.model_copy(update={"cv": None, "seeds": [3], "variants": variants})
    with stages_on(connection, small) as offered:
        folders = [path for path in offered.glob("*/*/*") if path.is_dir()]
        models = [path for path in folders if path.parent.name == "models"]
        assert len(models) == len(variants)
        (models[0] / "model.safetensors").write_bytes(b"forged")
        done = run(small, tmp_path / "here", Quiet(), options=RunOptions(offered=offered))
        log = (done.path / "log.txt").read_text()
    assert log.count("made by a worker") == len(folders) - 1
    assert log.count("what a worker made is damaged (model.safetensors is not what was written)") == 1
    assert not offered.exists()
    alone = run(small, tmp_path / "alone", Quiet(), options=RunOptions(cached=False))
    assert (done.path / "predictions.parquet").read_bytes() == (alone.path / "predictions.parquet").read_bytes()


@pytest.mark.soak
def test_methods_and_controls_give_the_runs_that_they_give_alone(tmp_path: Path) -> None:
    config, lines = make_config(), list[str]()
    (tmp_path / "null.yaml").write_text(SMALL_CONTROL)
    with connected(place_of("local:2")) as connection:
        plan = MethodPlan(tmp_path / "methods", only=("cutout",), cluster=connection)
        methods = {trial.name: trial for trial in run_each(config, plan, lines.append)}
        spec = ControlSpec(tmp_path, tmp_path / "runs", seeds=(11,), cluster=connection)
        (control,) = run_controls(spec, control_configs(spec), Quiet(), lines.append)
    assert {name: (trial.variant, trial.kind, trial.failure) for name, trial in methods.items()} == {
        "cutout": ("cutout", "cutout", ""),
    }
    assert (control.world, control.seed, control.failure) == ("null", 11, "")
    assert control.run is not None
    assert control.run.path.parent == tmp_path / "runs" / "controls"
    for trial in methods.values():
        assert trial.run is not None
        assert trial.run.path.parent == tmp_path / "methods" / trial.name
        assert trial.variant in trial.run.scores["variant"].to_list()
    (alone,) = run_controls(ControlSpec(tmp_path, tmp_path / "alone", seeds=(11,)), control_configs(spec), Quiet(), lines.append)
    assert alone.run is not None
    scores = [pl.read_parquet(one.path / "predictions.parquet") for one in (alone.run, control.run)]
    assert scores[0].equals(scores[1])


def test_the_command_runs_on_workers_and_says_so(
    connection: ClusterConnection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nlab")
    path = tmp_path / "c.yaml"
    path.write_text(make_config(variants={"baseline": {}}).to_yaml())
    words = ["run", str(path), "--runs-dir", str(tmp_path / "runs"), "--cluster", connection.client.scheduler.address]
    done = CliRunner().invoke(app, [*words, "--format", "json"])
    assert done.exit_code == 0, done.stderr
    assert "2 stages from a worker" in caplog.text
    assert {row["variant"] for row in json.loads(done.stdout)} == {"baseline"}


def test_the_command_asks_for_as_many_workers_as_a_training_has_parts(
    connection: ClusterConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "connected", partial(connected, wait=0.5))
    path = tmp_path / "c.yaml"
    path.write_text(make_config(variants={"baseline": {}}, model={"kind": "xgboost", "workers": 3}).to_yaml())
    done = CliRunner().invoke(app, ["run", str(path), "--cluster", connection.client.scheduler.address])
    assert isinstance(done.exception, NlabError)
    assert "2 of 3 workers" in str(done.exception)


def test_models_in_parts_are_in_no_piece_and_their_generators_are(tmp_path: Path) -> None:
    variants = {"baseline": {}, "raw+noise": {"features": ["raw", "noise"]}}
    generators = {"noise": {"kind": "random_columns", "n_columns": 2}}
    config = make_config(variants=variants, generators=generators, model={"kind": "xgboost", "workers": 2})
    (piece,) = pieces_of(config, 1)
    assert piece.variants == ("raw+noise",)
    assert {path.parent.name for path in make_stages(config, piece, Quiet())} == {"fit", "columns"}
