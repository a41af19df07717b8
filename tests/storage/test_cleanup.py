"""`nlab cache`: what is kept is listed, checked and pruned, oldest use first, and never what is in use."""

import json
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data import ingest, reader
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.storage.cleanup import bytes_of, damaged_items, items, orphans, prune, remove
from numerai_lab.storage.folders import LOCK, built, cache_dir, in_use, lock_of
from numerai_lab.storage.resumable import CHECKPOINT
from numerai_lab.storage.scratch import scratch
from numerai_lab.storage.stage_cache import Cache, Entry, Stage
from numerai_lab.storage.stamped_json import top_values, with_stamp
from numerai_lab.storage.used_entries import UsedEntries, used_entries
from tests.forks import nlab


def writes(n_bytes: int) -> Callable[[Path], None]:
    return lambda work: (work / "file").write_bytes(b"x" * n_bytes) and None


def filled(cache: Path, n: int = 3) -> list[Entry]:
    """Entries of 100 kB, the first one used longest ago."""
    with Cache(cache / "stages") as stages:
        entries = [stages.obtain(Stage("fit", f"fit {i}", {"i": i}), writes(100_000)) for i in range(n)]
    for i, entry in enumerate(entries):
        os.utime(entry.folder / "meta.json", (1e9 + i, 1e9 + i))
    return entries


def test_pruning_takes_what_was_not_used_for_longest(tmp_path: Path) -> None:
    first, second, third = filled(tmp_path)
    with Cache(tmp_path / "stages") as stages:
        stages.obtain(Stage("fit", "fit 0", {"i": 0}), writes(1))  # used again
    removed, left = prune(tmp_path, 210_000, data=False)
    assert [what.split("  ")[1] for what, _ in removed] == ["fit 1"]
    assert first.folder.exists()
    assert not second.folder.exists()
    assert third.folder.exists()
    assert 200_000 < left < 210_000


def test_pruning_leaves_what_is_in_use(tmp_path: Path) -> None:
    first, *rest = filled(tmp_path)
    with Cache(tmp_path / "stages") as stages:
        stages.obtain(Stage("fit", "fit 0", {"i": 0}), writes(1))
        prune(tmp_path, 0, data=False)
        assert [item.in_use for item in items(tmp_path)] == [True]
    assert first.damage() == ""
    assert not any(entry.folder.exists() for entry in rest)
    prune(tmp_path, 0, data=False)
    assert [path.name for path in (tmp_path / "stages" / "fit").iterdir()] == []


def test_pruning_leaves_what_a_living_run_lists_and_takes_what_a_dead_one_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    first, second, _ = filled(tmp_path)
    with scratch() as space, Cache(tmp_path / "stages", used=UsedEntries(space.folder)) as stages:
        stages.obtain(Stage("fit", "fit 0", {"i": 0}), writes(1))
        stages.obtain(Stage("fit", "new", {"i": 3}), writes(1))
        dead = tmp_path / "scratch" / "run-dead"
        dead.mkdir()
        (dead / LOCK).touch()
        UsedEntries(dead).add(second.folder)
        assert {item.what for item in items(tmp_path) if item.in_use} == {"fit 0", "new"}
        prune(tmp_path, 0, data=False)
        assert {item.what for item in items(tmp_path)} == {"fit 0", "new"}
        (first.folder / "file").write_bytes(b"y" * 100_000)
        (damaged,) = [item for item, damage in damaged_items(tmp_path) if damage]
        assert not remove(damaged)
    assert remove(damaged)


def test_a_damaged_entry_is_not_made_anew_while_a_living_run_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    monkeypatch.setattr("numerai_lab.storage.stage_cache.PAUSE", 0.01)
    first, *_ = filled(tmp_path)
    with ThreadPoolExecutor(1) as pool, Cache(tmp_path / "stages") as other:
        with scratch() as space, Cache(tmp_path / "stages", used=UsedEntries(space.folder)) as stages:
            stages.obtain(Stage("fit", "fit 0", {"i": 0}), writes(1))
            (first.folder / "file").write_bytes(b"y" * 100_000)
            again = pool.submit(other.obtain, Stage("fit", "fit 0", {"i": 0}), writes(2))
            with pytest.raises(TimeoutError):
                again.result(0.2)
        assert again.result().damage() == ""


def test_looking_and_pruning_go_on_beside_runs_and_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.storage.stage_cache.PAUSE", 0.001)
    draws = random.Random(0)
    until = time.monotonic() + 1.5

    def run() -> None:
        k = draws.randrange(6)
        with Cache(tmp_path / "stages") as stages:
            assert stages.obtain(Stage("fit", f"fit {k}", {"k": k}), writes(1000)).damage() == ""

    def look() -> list[dict[str, Any]]:
        return [item.as_dict(used_entries(tmp_path)) for item in items(tmp_path)]

    def make_data() -> None:
        with built(tmp_path / "stores" / str(draws.randrange(1000))) as work:
            (work / "meta.json").write_text("{}")

    def again_and_again(act: Callable[[], object]) -> int:
        times = 0
        while time.monotonic() < until:
            act()
            times += 1
        return times

    def verify() -> None:
        assert not [item for item, damage in damaged_items(tmp_path) if damage and item.family != "stores"]

    acts = [run, run, run, make_data, lambda: prune(tmp_path, 0, data=True), lambda: prune(tmp_path, 2000, data=True)]
    with ThreadPoolExecutor(8) as pool:  # threads hold locks against each other as processes do
        times = list(pool.map(again_and_again, [*acts, look, verify]))
    assert min(times) > 0
    prune(tmp_path, 0, data=True)
    assert items(tmp_path) == orphans(tmp_path) == []


def test_data_is_pruned_only_when_asked_for(tmp_path: Path) -> None:
    filled(tmp_path, 1)
    with built(tmp_path / "stores" / "abc") as work:
        (work / "features.npy").write_bytes(b"x" * 1000)
    prune(tmp_path, 0, data=False)
    assert [item.family for item in items(tmp_path)] == ["stores"]
    prune(tmp_path, 0, data=True)
    assert items(tmp_path) == []


def test_the_old_lock_of_made_data_is_nothing_that_a_dead_process_left(tmp_path: Path) -> None:
    folder = tmp_path / "synthetic" / "tiny-seed0-v2"
    with in_use(folder):
        folder.mkdir(parents=True)
    os.utime(lock_of(folder), (0, 0))
    assert orphans(tmp_path) == []


def test_data_that_is_being_read_is_not_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(cache_dir() / "pruned"))

    def after_pruning(step: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **named: prune(cache_dir(), 0, data=True) and step(*arguments, **named)

    steps = [(ingest, step) for step in ("_ingest", "_ingest_further", "_label", "_write_extras")]
    for module, step in [*steps, (reader, "_loaded")]:
        monkeypatch.setattr(module, step, after_pruning(getattr(module, step)))
    assert reader.load(Synthetic(size="tiny"), ["all"]).new_stores
    removed, _ = prune(cache_dir(), 0, data=True)
    assert sorted(what.split("/")[0] for what, _ in removed) == ["extras", "labels", "scoring_features", "stores", "synthetic"]


def test_what_dead_processes_left_is_removed_and_what_live_ones_build_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numerai_lab.storage.folders.cache_dir", lambda: tmp_path)
    for dead in (tmp_path / "scratch" / "run-dead", tmp_path / "stores" / ".abc-dead"):
        dead.mkdir(parents=True)
        (dead / LOCK).touch()
    with scratch() as space, built(tmp_path / "stores" / "live") as work:
        assert {path.name for path in orphans(tmp_path)} == {"run-dead", ".abc-dead"}
        prune(tmp_path, 10**9, data=False)
        assert orphans(tmp_path) == []
        assert space.folder.exists()
        assert work.exists()


def test_a_stage_that_was_interrupted_is_listed_and_kept_until_space_is_wanted(tmp_path: Path) -> None:
    def interrupted(work: Path) -> None:
        (work / CHECKPOINT).write_bytes(b"x" * 500)
        raise KeyboardInterrupt

    with Cache(tmp_path / "stages") as stages, pytest.raises(KeyboardInterrupt):
        stages.obtain(Stage("fit", "fit x", {}), interrupted)
    (item,) = items(tmp_path)
    assert (item.unfinished, item.n_bytes) == (True, 500)
    prune(tmp_path, 500, data=False)
    assert items(tmp_path) == [item]
    prune(tmp_path, 499, data=False)
    assert items(tmp_path) == []


@pytest.mark.parametrize(("text", "n_bytes"), [("20GB", 20 * 10**9), ("1.5 MB", 1_500_000), ("0", 0), ("7kB", 7000)])
def test_sizes_are_read_as_people_write_them(text: str, n_bytes: int) -> None:
    assert bytes_of(text) == n_bytes


@pytest.mark.parametrize("text", ["", "-1GB", "20 apples", "GB", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(NlabError, match="is no size"):
        bytes_of(text)


def test_the_commands_list_verify_repair_and_prune(tmp_path: Path) -> None:
    first, *_ = filled(tmp_path)
    place = {"NLAB_CACHE": str(tmp_path)}
    listed = json.loads(nlab("cache", "list", "--format", "json", **place).stdout)
    assert [(row["family"], row["what"], row["in_use"]) for row in listed] == [
        ("stages/fit", f"fit {i}", False) for i in (2, 1, 0)
    ]
    assert json.loads(nlab("cache", "info", "--format", "json", **place).stdout)[-1]["entries"] == 3
    assert nlab("cache", "verify", **place).stdout == "3 checked, 0 damaged\n"
    (first.folder / "file").write_text("wrong")
    result = nlab("cache", "verify", **place)
    assert result.returncode == 1
    assert "fit 0: file is not what was written" in result.stdout
    assert "--repair removes them" in result.stderr
    assert nlab("cache", "verify", "--repair", **place).returncode == 0
    assert not first.folder.exists()
    assert [damage for _, damage in damaged_items(tmp_path)] == ["", ""]
    assert "2 removed" in nlab("cache", "prune", "--keep", "0", **place).stdout
    assert nlab("cache", "list", **place).stdout == ""
    assert nlab("cache", "prune", "--keep", "lots", **place).returncode == 2


def test_values_of_a_large_mapping_are_found_without_reading_it_all(tmp_path: Path) -> None:
    path = tmp_path / "meta.json"
    facts = {"facts": {"label": "inner", "n": [1, 2]}, "label": 'x,\n "seconds": 7', "seconds": 2.5, "last": None}
    path.write_text(with_stamp(facts))
    assert top_values(path, ("seconds", "label", "last")) == [2.5, facts["label"], None]
    with pytest.raises(KeyError):
        top_values(path, ("n",))
    path.write_text('{\n "label": broken\n}')
    with pytest.raises(ValueError, match="Expecting value"):
        top_values(path, ("label",))


def test_a_link_in_the_place_of_a_lock_stops_nobody_from_looking_and_pruning(tmp_path: Path) -> None:
    first, *_ = filled(tmp_path)
    (tmp_path / "precious").write_text("precious")
    lock = lock_of(first.folder)
    lock.unlink()
    lock.symlink_to(tmp_path / "precious")
    assert [item.as_dict(())["in_use"] for item in items(tmp_path)] == [False, False, True]
    assert [damage for _, damage in damaged_items(tmp_path) if damage] == [
        f"{lock}: no lock can be taken there (it is a link, which nothing here makes; remove it)"
    ]
    removed, _ = prune(tmp_path, 0, data=False)
    assert len(removed) == 2
    assert first.folder.exists()
    assert (tmp_path / "precious").read_text() == "precious"
