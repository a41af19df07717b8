"""Stores: found broken and made anew, never used; folders complete or absent."""

import errno
import logging
import os
import shutil
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.experiment import run
from numerai_lab.storage import checksums
from numerai_lab.storage.array_files import reopened
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import build_resumably, built, key_of
from numerai_lab.storage.scratch import Scratch, scratch
from tests.conftest import Quiet, make_config, quick

TINY = Synthetic(size="tiny")


@pytest.mark.parametrize(
    "name",
    ["features.npy", "ids.npy", "target.npy", "bounds.npy", "extra-0.npy", "absent.npy", "era_sums.npy", "meta.json"],
)
@pytest.mark.parametrize("how", ["flip", "cut", "gone"])
def test_a_damaged_store_is_made_anew_with_a_line_saying_so(
    name: str, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("numerai_lab.data.reader.cache_dir", lambda: tmp_path)
    whole = load(TINY)
    wanted = np.array(whole.panel.features)
    assert whole.stores.extras is not None
    store = {"target.npy": whole.labels, "extra-0.npy": whole.stores.extras}.get(name, whole.store)
    path = store.folder / name
    content = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 255
        path.write_bytes(content if how == "flip" else content[: len(content) // 2])
    with caplog.at_level(logging.WARNING, "nlab"):
        again = load(TINY)
    assert again.new_stores
    assert "is damaged" in caplog.text
    np.testing.assert_array_equal(again.panel.features, wanted)
    assert not load(TINY).new_stores


def test_a_damaged_store_that_several_load_at_once_is_removed_once_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numerai_lab.data.reader.cache_dir", lambda: tmp_path)
    whole = load(TINY)
    wanted = np.array(whole.panel.features)
    removed = threading.Event()
    path = whole.store.folder / "features.npy"
    path.write_bytes(path.read_bytes()[:-1])

    def slowly(folder: Path) -> None:
        removed.set()
        time.sleep(0.2)
        rmtree(folder)

    rmtree = shutil.rmtree
    monkeypatch.setattr("numerai_lab.storage.plain_files.shutil.rmtree", slowly)

    def loaded(late: bool) -> Loaded:
        if late:
            removed.wait(10)
        return load(TINY)

    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(loaded, [False, False, True]):
            np.testing.assert_array_equal(found.panel.features, wanted)


def test_a_store_is_read_through_once_and_then_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.data.reader.cache_dir", lambda: tmp_path)
    now, read, original = time.time, [], checksums._read_through
    load(TINY)
    monkeypatch.setattr(time, "time", lambda: now() + 10)

    def counted(path: Path) -> tuple[int, list[int]]:
        read.append(path.stat().st_size)
        return original(path)

    def opened(**how: bool) -> int:
        """Bytes that opening reads for checksums."""
        read.clear()
        load(TINY, **how)
        return sum(read)

    monkeypatch.setattr(checksums, "_read_through", counted)
    monkeypatch.setattr(checksums, "SMALL", 0)
    first = opened()  # data files are older, and may be known already
    n_bytes = sum(store.n_bytes for store in load(TINY).stores.all)
    assert first > 0.9 * n_bytes
    assert opened() == 0
    assert opened(verify=True) > 0.9 * (n_bytes + sum(path.stat().st_size for path in TINY.files().tables))


def test_absent_features_are_counted_era_by_era(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.data.reader.cache_dir", lambda: tmp_path)
    absent = load(Synthetic(size="tiny", feature_set="all")).store.meta["absent_features"]
    assert absent == [10] * 15 + [0] * 85


def half_build(folder: Path) -> None:
    with built(folder) as work:
        (work / "half").write_text("x")
        raise OSError("disk full")


def test_a_folder_that_fails_while_it_is_built_vanishes(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk full"):
        half_build(tmp_path / "store")
    assert list(tmp_path.iterdir()) == []


def test_of_two_builders_of_the_same_folder_the_first_wins(tmp_path: Path) -> None:
    with built(tmp_path / "store") as slow:
        (slow / "by").write_text("slow")
        with built(tmp_path / "store") as fast:
            (fast / "by").write_text("fast")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (tmp_path / "store" / "by").read_text() == "fast"


def test_keys_depend_on_every_fact_and_on_nothing_else() -> None:
    assert key_of(1, {"a": 2, "b": 3}) == key_of(1, {"b": 3, "a": 2})
    assert len({key_of(1, {"a": 2}), key_of(1, {"a": 3}), key_of(2, {"a": 2})}) == 3


def test_scratch_is_gone_when_the_run_ends() -> None:
    with scratch() as space:
        space.keep("k", np.ones((2, 2), np.float32))
        np.testing.assert_array_equal(space.fetch("k"), np.ones((2, 2)))
        assert space.fetch("other") is None
        folder = space.folder
    assert not folder.exists()


def test_scratch_is_reserved_on_the_disk_before_it_is_written_to(space: Scratch, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [space.features(1000, 50, np.dtype(np.int8)), space.copy_of(np.zeros((300, 100), np.float32))]
    for array, path in zip(made, sorted(space.folder.iterdir(), reverse=True), strict=True):
        assert path.stat().st_blocks * 512 >= array.nbytes

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        space.features(1000, 50, np.dtype(np.int8))


def test_a_file_that_a_kill_left_unreserved_is_reserved_before_it_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, shape = tmp_path / "columns.npy", (1000, 50)
    open_memmap(path, mode="w+", dtype=np.float32, shape=shape)[3] = 7  # what a kill before the reservation leaves
    assert path.stat().st_blocks * 512 < path.stat().st_size

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="No space left"):
            reopened(path, shape, "float32")
    array = reopened(path, shape, "float32")
    assert array is not None
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert array[3].tolist() == [7] * 50
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert reopened(path, shape, "float32") is not None  # nothing is left to reserve


def test_of_several_that_want_a_folder_one_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    made = []

    def make(work: Path) -> None:
        made.append(work)
        time.sleep(0.01)
        (work / "x").write_text("done")

    rounds = 20  # enough for those that waited to be in each other's way when they clear up
    for round_ in range(rounds):  # threads hold locks against each other as processes do
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda folder: build_resumably(folder, make), [tmp_path / f"world-{round_}"] * 8))
    assert len(made) == rounds
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == sorted(
        name for round_ in range(rounds) for name in (f"world-{round_}", f"world-{round_}/x")
    )


def test_a_folder_that_goes_while_its_lock_is_taken_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, mkdir = [], Path.mkdir

    def gone_at_first(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        made.append(self)
        if len(made) == 1:
            raise FileExistsError  # what mkdir says of a folder that was there, and is not when it looks again
        mkdir(self, mode, parents, exist_ok)

    monkeypatch.setattr(Path, "mkdir", gone_at_first)
    with Lock(tmp_path / "folder" / "lock") as lock:
        assert lock.take()


def test_all_of_a_cache_can_be_shared_by_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the umask says: a member's folders and files may be written to by the others, and new folders stay the group's."""
    shared = tmp_path / "cache"
    shared.mkdir()
    shared.chmod(0o2775)
    monkeypatch.setenv("NLAB_CACHE", str(shared))
    monkeypatch.setattr(checksums, "SETTLING_SECONDS", -60.0)  # checksums are remembered at once
    before = os.umask(0o002)
    try:
        config = make_config(generators={"p": quick("pca")}, variants={"v": {"features": ["p"]}})
        with scratch() as space:
            space.keep("x", np.zeros(3, np.float32))
            modes = [path.stat().st_mode for path in space.folder.rglob("*")] + [space.folder.stat().st_mode]
        run(config, tmp_path / "runs", Quiet())
    finally:
        os.umask(before)
    modes += [path.stat().st_mode for path in shared.rglob("*")]
    folders, files = ([mode & 0o7777 for mode in modes if stat.S_ISDIR(mode) == which] for which in (True, False))
    assert set(folders) == {0o2775}
    assert set(files) == {0o664}
    assert len(files) > 10
    assert list((shared / "checksums").iterdir())
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "runs").iterdir()} == {0o775}


def test_a_lock_that_may_only_be_read_locks_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plain = tmp_path / "lock", os.open
    path.touch()

    def read_only(name: object, flags: int, *mode: int) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))
        return plain(path, flags)

    with Lock(path) as mine, Lock(path) as other:
        assert mine.take("own")
        monkeypatch.setattr(os, "open", read_only)
        assert not other.take("read")
        mine.free()
        assert other.take("read")
        monkeypatch.undo()
        assert not mine.take("own")
