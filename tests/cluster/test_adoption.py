"""Run folders that come back as tars: taken whole, or refused with nothing left."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from numerai_lab.cluster.adoption import adopted_run
from numerai_lab.cluster.packing import packed
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabFailure
from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run, read_run
from tests.conftest import Quiet, make_config, reseal


@pytest.fixture(scope="module")
def config() -> Config:
    return make_config(generators={"pca": {"kind": "pca", "n_components": 2}}, splits={"train": "train"})


@pytest.fixture(scope="module")
def done(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(config, tmp_path_factory.mktemp("worker"), Quiet())


def with_member(content: bytes, name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> bytes:
    """The tar with one more member."""
    buffer = io.BytesIO(content)
    with tarfile.open(fileobj=buffer, mode="a:") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, size, "/etc/passwd"
        tar.addfile(member, io.BytesIO(b"x" * size))
    return buffer.getvalue()


def sparse() -> bytes:
    """A tar of one sparse file that says it holds a terabyte."""
    member = tarfile.TarInfo("predictions.parquet")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    member.size = 512
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"1\n0\n0\n".ljust(512, b"\0")))
    return buffer.getvalue()


def test_what_a_worker_sends_becomes_the_same_run_folder(done: Run, config: Config, tmp_path: Path) -> None:
    path = adopted_run(packed(done.path), done.name, config, tmp_path)
    again = adopted_run(packed(done.path), done.name, config, tmp_path)
    assert (path.name, again.name) == (done.name, f"{done.name}-2")
    mine = {file.relative_to(done.path): file.read_bytes() for file in done.path.rglob("*") if file.is_file()}
    assert {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()} == mine
    assert read_run(path).scores.equals(done.scores)


def test_a_run_of_a_worker_is_one_of_this_installation(
    done: Run, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLAB_CONFIG", str(tmp_path / "config"))  # with a secret that the worker does not have
    assert not read_run(done.path).own
    assert read_run(adopted_run(packed(done.path), done.name, config, tmp_path / "runs")).own


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda content: with_member(content, "../escaped"), "no path inside a folder"),
        (lambda content: with_member(content, "/escaped"), "no path inside a folder"),
        (lambda content: with_member(content, "models/../../escaped"), "no path inside a folder"),
        (lambda content: with_member(content, "link", tarfile.SYMTYPE), "no plain file"),
        (lambda content: with_member(content, "link", tarfile.LNKTYPE), "no plain file"),
        (lambda content: with_member(content, "pipe", tarfile.FIFOTYPE), "no plain file"),
        (lambda content: with_member(content, "config.yaml"), "there twice"),
        (lambda content: with_member(content, "models/more.json", size=3), "too much"),
        (gzip.compress, "no tar of plain files"),
        (lambda content: content[: len(content) // 2], "unexpected end of data|no tar"),
        (lambda content: sparse(), "no plain file"),
        (lambda content: b"", "no tar"),
    ],
)
def test_forged_tars_are_refused_and_leave_nothing(
    done: Run, config: Config, tmp_path: Path, forge: Callable[[bytes], bytes], message: str
) -> None:
    folder = tmp_path / "inside"
    with pytest.raises(NlabFailure, match=message):
        adopted_run(forge(packed(done.path)), done.name, config, folder)
    assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "/a", ".unfinished-1"])
def test_names_that_are_none_of_a_run_folder_are_refused(done: Run, config: Config, tmp_path: Path, name: str) -> None:
    with pytest.raises(NlabFailure, match="no name of a run folder"):
        adopted_run(packed(done.path), name, config, tmp_path / "inside")


def test_the_run_of_another_config_is_refused(done: Run, config: Config, tmp_path: Path) -> None:
    other = make_config(generators={"pca": {"kind": "pca", "n_components": 3}}, splits={"train": "train"})
    with pytest.raises(NlabFailure, match="the run of another config"):
        adopted_run(packed(done.path), done.name, other, tmp_path / "inside")
    edited = tmp_path / "edited"
    shutil.copytree(done.path, edited)
    text = (edited / "config.yaml").read_text()
    (edited / "config.yaml").write_text(text.replace("alpha: 1.0", "alpha: 2.0"))
    with pytest.raises(NlabFailure, match=r"config\.yaml is not what was written"):
        adopted_run(packed(edited), done.name, config, tmp_path / "inside")
    reseal(edited)
    with pytest.raises(NlabFailure, match="the run of another config"):
        adopted_run(packed(edited), done.name, config, tmp_path / "inside")
    assert list((tmp_path / "inside").iterdir()) == []
