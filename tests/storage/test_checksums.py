"""Checksums of files are remembered, and never where a file may have changed since."""

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from numerai_lab.storage import checksums
from numerai_lab.storage.checksums import FOLDER, SMALL, KnownChecksums
from numerai_lab.storage.stamped_json import read_stamped, with_stamp

SIZE = 2 * SMALL
FIRST, SECOND = b"a" * SIZE, b"b" * SIZE


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read through, in order."""
    files, original = [], checksums._read_through

    def counted(path: Path) -> tuple[int, list[int]]:
        files.append(path)
        return original(path)

    monkeypatch.setattr(checksums, "_read_through", counted)
    return files


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes so far ahead that files count as settled."""
    now = checksums.time.time
    monkeypatch.setattr(checksums.time, "time", lambda: now() + 10)


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once_and_again_after_every_change(tmp_path: Path, read: list[Path]) -> None:
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    assert [known.of(path), known.of(path), KnownChecksums(tmp_path / "cache").of(path)] == [zlib.crc32(FIRST)] * 3
    assert len(read) == 1
    path.write_bytes(SECOND)
    assert [known.of(path), known.of(path)] == [zlib.crc32(SECOND)] * 2
    assert len(read) == 2
    assert KnownChecksums(tmp_path / "cache", trusted=False).of(path) == zlib.crc32(SECOND)
    assert len(read) == 3


@pytest.mark.usefixtures("later")
def test_a_change_in_place_is_seen_though_size_inode_and_mtime_stay_the_same(tmp_path: Path) -> None:
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    os.utime(path, (1, 1))
    known.of(path)
    inode = path.stat().st_ino
    with path.open("r+b") as file:
        file.write(SECOND)
    os.utime(path, (1, 1))
    assert path.stat().st_ino == inode
    assert known.of(path) == zlib.crc32(SECOND)


def test_a_file_that_just_changed_is_not_remembered(tmp_path: Path, read: list[Path]) -> None:
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    os.utime(path, (1, 1))  # its ctime is young
    known.of(path)
    assert not (tmp_path / "cache").exists()
    known.of(path)
    assert len(read) == 2


@pytest.mark.usefixtures("later")
def test_another_file_under_the_same_name_is_read(tmp_path: Path) -> None:
    known, link = KnownChecksums(tmp_path / "cache"), tmp_path / "link"
    for name, content in (("one", FIRST), ("two", SECOND)):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (1, 1))
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        assert known.of(link) == zlib.crc32(content)
    (tmp_path / "one").rename(tmp_path / "two")
    assert known.of(link) == zlib.crc32(FIRST)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("content", ["", "{", '{"folder": 1, "files": [], "stamp": 0}', '{"files": {"file": 3}}'])
def test_a_damaged_record_is_not_believed(tmp_path: Path, content: str) -> None:
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    known.of(path)
    (record,) = (tmp_path / "cache" / FOLDER).iterdir()
    record.write_text(content)
    assert known.of(path) == zlib.crc32(FIRST)


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("how", ["mapping", "text", "number", "without inode", "checksum as text"])
def test_a_whole_record_of_another_version_is_not_believed(tmp_path: Path, how: str) -> None:
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    known.of(path)
    (record,) = (tmp_path / "cache" / FOLDER).iterdir()
    facts = read_stamped(record)
    values = facts["files"]["file"]
    other = {
        "mapping": {"crc": 3},
        "text": "3",
        "number": 3,
        "without inode": [*values[:3], 3],
        "checksum as text": [*values[:-1], "3"],
    }[how]
    record.write_text(with_stamp({**facts, "files": {"file": other}}))
    assert known.of(path) == zlib.crc32(FIRST)
    assert read_stamped(record)["files"]["file"] == values


@pytest.mark.usefixtures("later")
def test_many_that_write_at_once_never_make_each_other_wrong(tmp_path: Path) -> None:
    known, files = KnownChecksums(tmp_path / "cache"), [tmp_path / f"file{i}" for i in range(8)]
    contents = [bytes([i]) * SIZE for i in range(8)]
    for path, content in zip(files, contents, strict=True):
        path.write_bytes(content)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(known.of, files)) == [zlib.crc32(content) for content in contents]
    assert [path.suffix for path in (tmp_path / "cache" / FOLDER).iterdir()] == [".json"]


@pytest.mark.usefixtures("later")
def test_a_cache_that_cannot_be_written_to_remembers_nothing_and_says_nothing(tmp_path: Path, read: list[Path]) -> None:
    (tmp_path / "cache").write_text("a file in the folder's place")
    known, path = KnownChecksums(tmp_path / "cache"), tmp_path / "file"
    path.write_bytes(FIRST)
    assert [known.of(path), known.of(path)] == [zlib.crc32(FIRST)] * 2
    assert len(read) == 2


@pytest.mark.usefixtures("later")
def test_records_of_folders_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    known = KnownChecksums(tmp_path / "cache")
    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(FIRST)
        known.of(tmp_path / name / "file")
    (tmp_path / "gone" / "file").unlink()
    (tmp_path / "gone").rmdir()
    known.forget_missing()
    assert len(list((tmp_path / "cache" / FOLDER).iterdir())) == 1
