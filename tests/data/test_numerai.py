"""`source: numerai` with the real numerapi client, against a server on this machine that speaks its two GraphQL calls."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data.numerai import Numerai
from numerai_lab.data.reader import load, outline
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import Size
from tests.data.published import Server, published


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with published(tmp_path, monkeypatch) as server:
        yield server


def test_a_version_is_downloaded_once_byte_for_byte_and_then_needs_no_network(server: Server) -> None:
    source = Numerai(version="v5.3", feature_set="medium")
    panel = load(source).panel
    assert (panel.n_raw, len(panel.eras)) == (12, 40)
    assert set(panel.extras) == {"numerai_meta_model", "lab_lgbm_ender20", "lab_lgbm_ender60"}
    wanted = {"features.json", "train.parquet", "validation.parquet", "meta_model.parquet"}
    wanted |= {"train_benchmark_models.parquet", "validation_benchmark_models.parquet"}
    assert {name.removeprefix("GET ") for name in server.asked if name.startswith("GET")} == wanted
    for name in wanted:
        assert (source.folder / name).read_bytes() == (server.folder / name).read_bytes()
    server.asked.clear()
    np.testing.assert_array_equal(load(source).panel.features, panel.features)
    assert server.asked == []


def test_files_put_there_by_hand_are_used_without_asking(server: Server, tmp_path: Path) -> None:
    assert load(Numerai(version="v5.3", path=str(server.folder))).panel.n_raw == 12
    assert server.asked == []


def test_update_fetches_what_has_grown_and_nothing_else(server: Server, tmp_path: Path) -> None:
    source = Numerai(version="v5.3")
    before = load(source).identity
    assert source.update() == []
    grown = tmp_path / "grown"
    grown.mkdir()
    write_tournament(grown, World(Size.even(40, 31, 6, 12), 0))
    (server.folder / "validation.parquet").write_bytes((grown / "validation.parquet").read_bytes())
    assert load(source).identity == before
    assert source.update() == ["validation.parquet"]
    assert load(source).identity != before


def test_grown_validation_is_noticed_once_a_day_and_fetched_only_when_asked(server: Server) -> None:
    source = Numerai(version="v5.3")
    identity = load(source).identity
    record = source.folder / "validation.parquet.meta.json"
    os.utime(record, (0, 0))
    server.asked.clear()
    assert load(source).notes == ()
    assert [line for line in server.asked if "validation" in line] == ["HEAD validation.parquet"]
    os.utime(source.folder / ".asked", (1, 1))
    path = server.folder / "validation.parquet"
    path.write_bytes(path.read_bytes() + b"more")
    loaded = load(source)
    assert loaded.notes == ("validation has grown at the source since it was downloaded; `nlab data update` fetches it",)
    assert loaded.identity == identity
    server.asked.clear()
    assert load(source).notes == loaded.notes
    assert server.asked == []


def test_a_run_goes_on_where_nobody_answers_whether_validation_has_grown(server: Server) -> None:
    source = Numerai(version="v5.3")
    load(source)
    os.utime(source.folder / "validation.parquet.meta.json", (0, 0))
    server.refusing = True
    assert load(source).notes == ()


@pytest.mark.parametrize("answers", [True, False])
def test_a_run_goes_on_where_its_folder_takes_no_stamp(server: Server, monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:
    source = Numerai(version="v5.3")
    load(source)
    os.utime(source.folder / "validation.parquet.meta.json", (0, 0))
    path = server.folder / "validation.parquet"
    path.write_bytes(path.read_bytes() + b"more")
    server.refusing = not answers
    real = os.open

    def read_only(path: str, flags: int, *rest: int) -> int:
        if flags & os.O_CREAT and Path(path).parent == source.folder:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, *rest)

    monkeypatch.setattr(os, "open", read_only)
    assert bool(load(source).notes) == answers
    assert not (source.folder / ".asked").exists()


def test_a_version_of_older_file_names_is_read_too(server: Server) -> None:
    for part in ("train", "validation"):
        (server.folder / f"{part}.parquet").rename(server.folder / f"{part}_int8.parquet")
    loaded = load(Numerai(version="v5.3", feature_set="medium"))
    assert (loaded.panel.n_raw, len(loaded.panel.eras)) == (12, 40)


def test_a_version_without_tables_that_the_reader_knows_says_so(server: Server) -> None:
    with pytest.raises(NlabError, match=r"the reader knows none of the tables of v5\.2"):
        load(Numerai(version="v5.2"))


def test_a_plan_fetches_nothing(server: Server) -> None:
    source = Numerai(version="v5.3")
    with pytest.raises(NlabError, match="a plan fetches nothing; run `nlab data download"):
        outline(source)
    assert server.asked == []
    load(source)
    assert len(outline(source).table.eras) == 40


def test_an_unknown_version_is_answered_with_the_nearest(server: Server) -> None:
    with pytest.raises(NlabError, match="Numerai has no 'v5.4'; did you mean 'v5.3'"):
        load(Numerai(version="v5.4"))


def test_a_refusing_server_is_one_sentence_with_the_way_out_and_no_secret(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.refusing = True
    monkeypatch.setenv("NUMERAI_PUBLIC_ID", "PUBLIC")
    monkeypatch.setenv("NUMERAI_SECRET_KEY", "SECRETKEY")
    source = Numerai(version="v5.3")
    with caplog.at_level(logging.DEBUG), pytest.raises(NlabError) as caught:
        load(source)
    assert "by hand, or use --set data.source=synthetic" in str(caught.value)
    assert str(source.folder) in str(caught.value)
    assert "SECRETKEY" not in str(caught.value) + caplog.text
    assert not source.folder.exists()
