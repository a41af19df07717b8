"""`nlab live`: the rows of the current round and no other, checked as Numerai checks submissions."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from numerai_tools.submissions import validate_submission_numerai

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.tournament.live import live
from tests.conftest import Quiet, make_config, quick
from tests.data.published import Server, published

KINDS: dict[str, Any] = {
    "plain": {},
    "learned": {"features": ["raw", "pca", "auto"]},
    "crossed": {"features": ["raw", "crossed"]},
    "neutral": {"features": ["pca"], "neutralize": {"features": "medium"}},
    "mean": {"ensemble": ["plain", "neutral"], "neutralize": {"features": "medium", "proportion": 0.5}},
    "two": {"targets": ["target", "target_cyrusd_20"]},
    "net": {"model": quick("mlp")},
}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with published(tmp_path, monkeypatch) as server:
        yield server


def finished(runs: Path, data: dict[str, Any], **changes: Any) -> Run:
    return run(make_config(data=data, **changes), runs, Quiet())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(
        tmp_path_factory.mktemp("runs"),
        {"source": "synthetic", "size": "tiny", "feature_set": "small", "auxiliary_targets": ["target_cyrusd_20"]},
        generators={"pca": quick("pca"), "auto": quick("autoencoder"), "crossed": quick("supervised_autoencoder")},
        variants=KINDS,
        seeds=[4, 5],
    )


@pytest.mark.parametrize("variant", KINDS)
def test_numerai_takes_the_file_of_every_kind_of_variant(done: Run, tmp_path: Path, variant: str) -> None:
    written = live(done.path, tmp_path / "out.csv", Quiet(), variant)
    ids = pd.read_csv(written.path)["id"]
    validate_submission_numerai(ids, pd.read_csv(written.path))
    assert written.facts["rows"] == f"{len(ids)} (live)"
    assert written.facts["round"] == "unknown, the file does not say"
    assert -1 <= float(written.facts["corr with lab_lgbm_ender20"]) <= 1


def test_the_run_folder_and_the_live_file_are_enough(done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = live(done.path, tmp_path / "before.csv", Quiet(), "learned")
    for name in ("live.parquet", "live_benchmark_models.parquet"):
        shutil.copy(_cached(name), tmp_path / name)
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "empty"))
    moved = shutil.copytree(done.path, tmp_path / "elsewhere" / "moved")
    after = live(moved, tmp_path / "after.csv", Quiet(), "learned", tmp_path / "live.parquet")
    assert after.path.read_bytes() == before.path.read_bytes()
    assert {**after.facts, "run": ""} == {**before.facts, "run": ""}


def _cached(name: str) -> Path:
    (path,) = cache_dir().glob(f"synthetic/default-tiny-*/{name}")
    return path


def test_rows_of_past_eras_are_not_live(done: Run, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match=r"has rows of \d+ eras, not live ones alone \(era X\); `nlab predict` takes any rows"):
        live(done.path, tmp_path / "out.csv", Quiet(), "plain", _cached("validation.parquet"))
    assert not (tmp_path / "out.csv").exists()


@pytest.fixture
def of_numerai(server: Server, tmp_path: Path) -> Run:
    return finished(tmp_path / "runs", {"source": "numerai", "feature_set": "medium"}, variants={"plain": {}})


def publish(server: Server, tmp_path: Path, number: int) -> list[str]:
    """Publishes a round whose live ids differ from those before, and returns them."""
    server.round = number
    for name in ("live.parquet", "live_benchmark_models.parquet"):
        frame = pd.read_parquet(server.folder / name)
        frame.index = pd.Index([f"n{number}{i:012d}" for i in range(len(frame))], name="id")
        frame.to_parquet(server.folder / name)
    return [*frame.index]


def test_every_round_has_live_rows_of_its_own(server: Server, of_numerai: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for number in (1001, 1002):
        ids = publish(server, tmp_path, number)
        written = live(of_numerai.path, out, Quiet())
        assert written.facts["round"] == str(number)
        assert "corr with lab_lgbm_ender20" in written.facts
        assert pl.read_csv(out)["id"].to_list() == ids
    folder = tmp_path / "cache/numerai/v5.3"
    assert [path.name for path in folder.glob("live-*")] == ["live-1002"]


def test_a_live_file_of_another_round_is_never_used(server: Server, of_numerai: Run, tmp_path: Path) -> None:
    publish(server, tmp_path, 1001)
    live(of_numerai.path, tmp_path / "first.csv", Quiet())
    folder = tmp_path / "cache/numerai/v5.3"
    shutil.copy(server.folder / "live.parquet", folder / "live.parquet")
    server.refusing = True
    with pytest.raises(NlabError, match="no answer; rows of an earlier round are not used; .* name it with --data FILE"):
        live(of_numerai.path, tmp_path / "out.csv", Quiet())
    server.refusing, server.round = False, 1002
    (server.folder / "live.parquet").unlink()
    with pytest.raises(NlabError, match=r"Numerai has no live rows of v5\.3 in round 1002"):
        live(of_numerai.path, tmp_path / "out.csv", Quiet())
    assert not (tmp_path / "out.csv").exists()
    live(of_numerai.path, tmp_path / "out.csv", Quiet(), data=folder / "live.parquet")


def test_a_folder_without_live_rows_says_how_to_name_some(done: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("train.parquet", "validation.parquet", "features.json"):
        shutil.copy(_cached(name), folder / name)
    own = finished(tmp_path / "runs", {"source": "files", "path": str(folder), "feature_set": "small"}, variants={"plain": {}})
    with pytest.raises(NlabError, match=r"mine has no live.parquet; name one with --data FILE"):
        live(own.path, tmp_path / "out.csv", Quiet())
    shutil.copy(_cached("live.parquet"), folder / "live.parquet")
    (folder / "train.parquet").unlink()
    assert "corr" not in " ".join(live(own.path, tmp_path / "out.csv", Quiet()).facts)
