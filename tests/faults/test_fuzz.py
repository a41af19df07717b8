"""Files with mutated bytes, thousands of them: each is read, or refused in a sentence; no traceback, no hang, no code executed.

500 inputs a reader here, 100,000 in `make soak` (20,000 data files), the first of them the same at every run.
"""

import pickle
import re
import shutil
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.core.arrays import arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.progress import NO_CONTEXT
from numerai_lab.data import parquet_pages
from numerai_lab.data.files import Files
from numerai_lab.data.reader import load
from numerai_lab.experiment import run
from numerai_lab.report.comparison import compare
from numerai_lab.runs.layout import MANIFEST
from numerai_lab.runs.reading import FILES
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.era_store import Store
from numerai_lab.storage.resumable import CHECKPOINT, fit_context, journaled
from numerai_lab.storage.stage_cache import Cache, Entry, Stage
from numerai_lab.storage.stamped_json import STAMP, read_mapping, with_stamp
from tests.conftest import Quiet, make_config
from tests.faults.mutated import mutated
from tests.faults.test_security import DONE, Attack
from tests.soak import rest

SECONDS = 10
"""That a reader may take for one input."""
FEW = 500
INPUTS = pytest.mark.parametrize("n_inputs", [FEW, pytest.param(100_000, marks=pytest.mark.soak)])


def inputs(name: str, n_inputs: int) -> Iterable[int]:
    """The numbers of inputs; of a long test those that it has not come to yet."""
    return range(n_inputs) if n_inputs <= FEW else rest(name, n_inputs)


def each(paths: list[Path], numbers: Iterable[int], read: Callable[[Path], Any]) -> list[str]:
    """Mutates one file after the other, reads, and puts it right again; what was said of each, empty where it was read."""
    whole = {path: path.read_bytes() for path in paths}
    messages = []
    for i in numbers:
        path, rng = paths[i % len(paths)], np.random.default_rng(i)
        content = pickle.dumps(Attack()) if i % 500 < len(paths) else mutated(whole[path], rng)
        path.write_bytes(content)
        try:
            with soon(f"input {i}, {path.name}"):
                read(path)
            messages.append("")
        except NlabError as error:
            messages.append(str(error))
        path.write_bytes(whole[path])
        assert DONE == [], (i, path)
    return messages


def refused(messages: list[str]) -> float:
    """The share of inputs that were refused; 1 of none."""
    return sum(map(bool, messages)) / len(messages) if messages else 1.0


@contextmanager
def soon(what: str) -> Iterator[None]:
    """Raises TimeoutError in a block that hangs."""

    def late(*_: object) -> None:
        raise TimeoutError(what)

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def finds_damage(what: Entry | Store) -> Callable[[Path], None]:
    """A reader that refuses what is not as it was written; a blank more or less in JSON is no damage."""
    honest = what.meta

    def read(path: Path) -> None:
        damage = what.damage()
        if damage:
            raise NlabError(damage)
        assert path.suffix == ".json"
        assert what.meta == honest

    return read


@INPUTS
def test_configs(n_inputs: int, tmp_path: Path) -> None:
    paths = [Path(shutil.copy(path, tmp_path)) for path in sorted(Path("configs").glob("*.yaml"))]
    messages = each(paths, inputs("configs", n_inputs), load_config)
    assert refused(messages) >= 0.5
    assert all(".yaml" in one for one in messages if one)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with too few eras for intervals: it is read in no time."""
    config = make_config(
        splits={"train": "1-60", "val1": "69-71", "val2": "80-82"}, variants={"baseline": {}, "cut": {"augment": ["cut"]}},
        augmenters={"cut": {"kind": "cutout"}},
    )  # fmt: skip
    return run(config, tmp_path_factory.mktemp("runs"), Quiet()).path


@INPUTS
def test_run_folders_that_broke_are_all_refused(n_inputs: int, finished: Path) -> None:
    tables = [finished / name for name in (MANIFEST, "scores.csv", "per_era.parquet")]
    honest = read_mapping(finished / MANIFEST)

    def read(path: Path) -> None:
        compare([finished])
        assert read_mapping(finished / MANIFEST) == honest  # a blank more or less
        assert path.name == MANIFEST

    messages = each(tables, inputs("run-folders", n_inputs), read)
    assert refused(messages) > 0.98
    assert all("damaged run folder" in one for one in messages if one)


@INPUTS
def test_run_folders_whose_checksums_were_forged_are_read_or_refused(n_inputs: int, finished: Path) -> None:
    manifest = finished / MANIFEST
    honest = manifest.read_bytes()

    def read(path: Path) -> None:
        try:
            facts = read_mapping(manifest)
        except ValueError:
            facts = {}
        facts.pop(STAMP, None)
        if path != manifest:
            facts[FILES][path.name] = checksum(path)
        if facts:
            manifest.write_text(with_stamp(facts))
        compare([finished])

    def forged(path: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # 1e300 is a number too
                read(path)
        finally:
            manifest.write_bytes(honest)

    each([finished / name for name in (MANIFEST, "scores.csv", "per_era.parquet")], inputs("forged-folders", n_inputs), forged)


@INPUTS
def test_stage_cache_entries_that_broke_are_never_used(n_inputs: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

    def make(work: Path) -> None:
        np.save(work / "columns.npy", values, allow_pickle=False)
        (work / "state.safetensors").write_bytes(arrays_to_bytes({"mean_": values[0], "weights_": values}))

    stage = Stage("fit", "fit x", {"what": 1})
    with Cache(tmp_path) as cache:
        entry = cache.obtain(stage, make)

    paths = sorted(entry.folder.iterdir())
    assert refused(each(paths, inputs("cache-entries", n_inputs), finds_damage(entry))) > 0.98
    for path in paths:
        path.write_bytes(mutated(path.read_bytes(), np.random.default_rng(0)))
        with Cache(tmp_path) as cache:
            assert cache.obtain(stage, make).damage() == ""
            assert cache.hits == []


@INPUTS
def test_checkpoints_and_half_written_columns_that_broke_cost_what_was_lost_and_no_more(n_inputs: int, tmp_path: Path) -> None:
    saved = {"round": np.array(7), "weights": np.arange(12.0)}
    fit_context(tmp_path, NO_CONTEXT.progress).save_checkpoint(saved)
    columns, journal = journaled(tmp_path / "columns.npy", (6, 2))
    columns[:] = np.arange(12).reshape(6, 2)
    columns.flush()
    with journal.writing() as note:
        for era in range(3):
            note(era, columns[2 * era : 2 * era + 2])
    del columns

    def read(path: Path) -> None:
        kept = fit_context(tmp_path, NO_CONTEXT.progress).load_checkpoint()
        assert kept is None or all(np.array_equal(kept[name], saved[name]) for name in saved)
        again, written = journaled(tmp_path / "columns.npy", (6, 2))
        for era in written.read(lambda era: again[2 * era : 2 * era + 2]):
            np.testing.assert_array_equal(again[2 * era : 2 * era + 2], np.arange(4).reshape(2, 2) + 4 * era)
        if not written.path.exists():
            shutil.copy(tmp_path / "journal", written.path)

    shutil.copy(journal.path, tmp_path / "journal")
    each([tmp_path / CHECKPOINT, tmp_path / "columns.npy", journal.path], inputs("checkpoints", n_inputs), read)


@INPUTS
def test_stores_that_broke_are_found_and_made_anew(n_inputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))  # other tests read the store that all share
    loaded = load(make_config().data)
    wanted = np.array(loaded.panel.features)
    for name, store in (("stores", loaded.store), ("labels", loaded.labels)):
        messages = each(sorted(store.folder.iterdir()), inputs(name, n_inputs // 2), finds_damage(store))
        assert refused(messages) > 0.98
    (loaded.store.folder / "features.npy").write_bytes(b"broken")
    again = load(make_config().data)
    assert again.new_stores
    np.testing.assert_array_equal(again.panel.features, wanted)


@pytest.mark.parametrize("n_inputs", [FEW, pytest.param(20_000, marks=pytest.mark.soak)])
def test_data_files_that_broke_are_read_or_refused(n_inputs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    rows = {"id": list("abcdef"), "era": ["1"] * 3 + ["2"] * 3, "target": [0.0, 0.5, 1.0] * 2}
    frame = pl.DataFrame({**rows, "feature_a": [0.0, 0.25, 1.0, 0.5, 0.75, 0.0], "feature_b": [0.0, 0.25, 1.0, 0.5, 0.75, 0.0]})
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    paths = [tmp_path / "a.parquet", tmp_path / "a.csv"]

    def read(path: Path) -> None:
        load(Files(path=str(path)))
        shutil.rmtree(tmp_path / "cache")

    messages = each(paths, inputs("data-files", n_inputs), read)
    assert all(str(tmp_path) in one or one.startswith("data.") for one in messages if one)


@pytest.mark.parametrize(
    ("column", "integers", "large"),
    [*((column, False, False) for column in range(4)), (3, True, False), (0, False, True), (2, False, True), (3, True, True)],
)
def test_a_data_file_that_its_reader_would_die_of_is_a_sentence(
    column: int, integers: bool, large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that claims a negative number of values has polars reserve 2**61 bytes, which ends the process."""
    import polars as pl

    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    if large:
        monkeypatch.setattr(parquet_pages, "PYARROW_BYTES", 0)
    target = [0.0, 0.5, 1.0] * 2
    feature = pl.Series([0, 2, 4] * 2, dtype=pl.Int8) if integers else target
    pl.DataFrame({"id": list("abcdef"), "era": list("111222"), "target": target, "feature_a": feature}).write_parquet(
        tmp_path / "a.parquet"
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    starts = [match.start() for match in re.finditer(b",\x15\x0c\x15", whole)]
    assert len(starts) == 4
    at = starts[column] + 2  # a page's number of values, 6, becomes -7
    (tmp_path / "a.parquet").write_bytes(whole[:at] + b"\x0d" + whole[at + 1 :])
    with pytest.raises(NlabError, match=r"a\.parquet: can't be read: .*; the file is damaged"):
        load(Files(path=str(tmp_path / "a.parquet")))
