"""Stores that other people wrote into a shared cache: wrong types and shapes are damage, however well the checksums fit."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.cli.app import app
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.storage.checksums import KnownChecksums, checksums
from numerai_lab.storage.cleanup import items
from numerai_lab.storage.era_store import META, Store, remove_damaged
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.storage.stamped_json import STAMP, with_stamp

TINY = Synthetic(size="tiny")
ODD: tuple[Any, ...] = (None, -1, 2**63, 10**400, float("nan"), "\ud800", [1.5], [[]], [None] * 7, {"a": "x"})
SOFT = {"floats_in_bins": [[None] * 7], "horizon_days": [None]}
"""Values among these that a key may have."""


@pytest.fixture(scope="module")
def whole() -> Loaded:
    return load(TINY)


def copies(whole: Loaded, cache: Path) -> dict[str, Store]:
    """The stores of the data in a cache of their own, by kind; scoring features are those of the rows."""
    assert whole.stores.extras
    stores = {}
    for store in (whole.store, whole.labels, whole.stores.extras):
        kind = store.folder.parent.name
        stores[kind] = Store(Path(shutil.copytree(store.folder, cache / kind / store.folder.name)))
    return stores


def rewrite(store: Store, changes: Mapping[str, Any]) -> None:
    """Changes keys of the meta, with a stamp and checksums that fit; `...` takes a key away."""
    sums = {"checksums": checksums(store.folder.glob("*.npy"), store.folder)}
    facts = {**store.meta, **sums, **changes, STAMP: ...}
    (store.folder / META).write_text(with_stamp({key: value for key, value in facts.items() if value is not ...}))


def test_a_store_whose_meta_holds_wrong_types_is_damaged_though_its_stamp_fits(whole: Loaded, tmp_path: Path) -> None:
    for kind, store in copies(whole, tmp_path).items():
        right = (store.folder / META).read_text()
        assert store.damage() == ""
        for key in store.meta.keys() - {STAMP}:
            for value in (..., *(odd for odd in ODD if odd not in SOFT.get(key, []))):
                rewrite(store, {key: value})
                assert store.damage(), (kind, key, value)
                (store.folder / META).write_text(right)


SHAPES: Mapping[str, Any] = {
    "features": np.zeros((3, 2), np.int8),
    "ids": np.zeros(3, "S3"),
    "eras": np.arange(100)[::-1].astype(np.int32),
    "bounds": np.zeros((100, 3), np.int64),
    "absent": np.zeros((1, 1), bool),
    "era_sums": np.zeros((100, 2), np.float64),
    "target": np.zeros((100, 2), np.float32),
    "extra-0": np.array(["x"] * 9),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_store_whose_arrays_have_other_shapes_is_damaged_though_their_checksums_fit(
    name: str, whole: Loaded, tmp_path: Path
) -> None:
    store = copies(whole, tmp_path)[{"target": "labels", "extra-0": "extras"}.get(name, "stores")]
    np.save(store.folder / f"{name}.npy", SHAPES[name])
    rewrite(store, {})
    assert store.damage()
    (store.folder / f"{name}.npy").unlink()
    rewrite(store, {})
    assert store.damage()
    remove_damaged(store, KnownChecksums(tmp_path))
    assert not store.folder.exists()


def test_a_single_number_in_the_place_of_an_array_is_damage(whole: Loaded, tmp_path: Path) -> None:
    store = copies(whole, tmp_path)["labels"]
    np.save(store.folder / "target.npy", np.float32(0.5))
    rewrite(store, {})
    assert store.damage() == "target.npy holds a single number"


def test_stores_that_are_whole_and_of_different_lengths_are_refused(
    whole: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = copies(whole, tmp_path)
    for folder in TINY.cache_folders:
        shutil.copytree(folder, tmp_path / folder.relative_to(cache_dir()))
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    assert not load(TINY).new_stores
    for kind in ("labels", "extras"):
        arrays = {path: np.load(path) for path in stores[kind].folder.glob("*.npy")}
        n_rows = len(next(iter(arrays.values())))
        for path, array in arrays.items():
            np.save(path, array[:-1])
        rewrite(stores[kind], {})
        assert stores[kind].damage() == ""
        with pytest.raises(
            NlabError,
            match=rf"{stores[kind].folder.name} holds {n_rows - 1} rows and .* {n_rows} of the same data, .* remove both",
        ):
            load(TINY)
        for path, array in arrays.items():
            np.save(path, array)
        rewrite(stores[kind], {})


@pytest.mark.parametrize("what", ["link", "link to nothing", "file"])
def test_a_link_or_file_in_the_place_of_a_store_gives_way_and_what_it_points_to_stays(what: str, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / META).write_text("precious")
    store = Store(tmp_path / "stores" / "key")
    store.folder.parent.mkdir()
    if what == "file":
        store.folder.touch()
    else:
        store.folder.symlink_to(precious if what == "link" else tmp_path / "nothing")
    remove_damaged(store, KnownChecksums(tmp_path))
    assert not store.folder.is_symlink()
    assert not store.folder.exists()
    assert [(path.name, path.read_text()) for path in precious.iterdir()] == [(META, "precious")]


def test_commands_on_the_cache_say_damaged_and_prune_it(
    whole: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cache(*words: str) -> str:
        app(["cache", *words], prog_name="nlab", standalone_mode=False)
        return capsys.readouterr().out

    monkeypatch.setenv("NLAB_CACHE", str(tmp_path))
    for store in copies(whole, tmp_path).values():
        rewrite(store, {"version": "x"})
    stage = tmp_path / STAGES / "fit" / "0" / META
    stage.parent.mkdir(parents=True)
    stage.write_text(with_stamp({"label": "fit", "seconds": "x", "bytes": 1}))
    listed = {row["family"]: row for row in json.loads(cache("list", "--format", "json"))}
    assert (listed["stages/fit"]["what"], listed["stages/fit"]["seconds"]) == ("damaged", 0.0)
    assert json.loads(cache("info", "--format", "json").partition("]")[0] + "]")[-1]["entries"] == 4
    with pytest.raises(NlabFailure, match="4 damaged; runs never use them"):
        cache("verify")
    assert "4 checked, 4 damaged" in capsys.readouterr().out
    cache("prune", "--keep", "0", "--data")
    assert items(tmp_path) == []
