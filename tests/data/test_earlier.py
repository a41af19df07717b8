"""A file that did not change is not read again when another one beside it did; the store is the same either way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.data import ingest, keys
from numerai_lab.data.files import Files
from numerai_lab.data.keys import content_of
from numerai_lab.data.reader import Loaded, load
from numerai_lab.storage.checksums import KnownChecksums

N_ERAS, N_ROWS, N_FEATURES = 12, 25, 6


def written(folder: Path, first: int, last: int, name: str, seed: int = 0) -> None:
    """Eras of a tournament; rows of an era are in no order, and some cells are missing."""
    parts = []
    for era in range(first, last + 1):
        rng = np.random.default_rng([seed, era])
        features = pl.DataFrame(rng.integers(0, 5, (N_ROWS, N_FEATURES)), [f"feature_{i}" for i in range(N_FEATURES)])
        cells = features.with_columns(feature_0=pl.when(pl.Series(rng.random(N_ROWS) < 0.1)).then(None).otherwise("feature_0"))
        ids = [f"n{era:03d}{i:03d}" for i in rng.permutation(N_ROWS)]
        labels = {"id": ids, "era": [f"{era:04d}"] * N_ROWS, "target_x_20": rng.choice([0, 0.25, 0.5, 0.75, 1], N_ROWS)}
        parts.append(pl.concat([pl.DataFrame(labels), cells.cast(pl.Int8)], how="horizontal"))
    folder.mkdir(exist_ok=True)
    pl.concat(parts).with_columns(data_type=pl.lit(name)).write_parquet(folder / f"{name}.parquet")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose features were read."""
    names: list[str] = []

    def noted(file: Any, *arguments: Any) -> int:
        names.append(file.path.name)
        return reading(file, *arguments)

    reading = ingest.read_features
    monkeypatch.setattr(ingest, "read_features", noted)
    return names


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two files that were read into a cache of their own."""
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
    written(tmp_path / "data", 1, 8, "train")
    written(tmp_path / "data", 9, N_ERAS, "validation")
    return tmp_path / "data"


def loaded(data: Path) -> Loaded:
    return load(Files(path=str(data), target="target_x_20"))


def content(store: Loaded) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.stores.rows.folder.iterdir()}


def afresh(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The store of these files in an empty cache."""
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "empty"))
    return content(loaded(data))


def test_only_the_file_that_has_grown_is_read_again(
    data: Path, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(data)
    assert read == ["train.parquet", "validation.parquet"]
    written(data, 9, N_ERAS + 2, "validation")
    grown = loaded(data)
    assert read[2:] == ["validation.parquet"]
    assert grown.panel.eras.tolist() == list(range(1, N_ERAS + 3))
    assert "missing feature values" in " ".join(grown.notes)
    assert content(grown) == afresh(data, tmp_path, monkeypatch)


def test_a_file_with_one_other_cell_is_read_again(
    data: Path, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(data)
    train = pl.read_parquet(data / "train.parquet")
    other = (train["feature_1"][3] + 1) % 5
    train.with_columns(
        feature_1=pl.when(pl.int_range(len(train)) == 3).then(other).otherwise("feature_1").cast(pl.Int8)
    ).write_parquet(data / "train.parquet")
    corrected = loaded(data)
    assert read[2:] == ["train.parquet"]
    assert content(corrected) == afresh(data, tmp_path, monkeypatch)


def test_nothing_is_copied_from_a_store_that_is_damaged(
    data: Path, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = loaded(data).stores.rows.folder / "features.npy"
    cells = bytearray(path.read_bytes())
    cells[-5 * N_ROWS * N_FEATURES] ^= 1  # of the last training era
    path.write_bytes(cells)
    written(data, 9, N_ERAS + 2, "validation")
    grown = loaded(data)
    assert read[2:] == ["train.parquet", "validation.parquet"]
    assert content(grown) == afresh(data, tmp_path, monkeypatch)


def test_a_file_that_shares_an_era_with_another_is_read_again(
    data: Path, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(data)
    more = (
        pl.read_parquet(data / "train.parquet").filter(era="0008").with_columns(id=pl.col("id") + "x", data_type=pl.lit("train"))
    )
    pl.concat([pl.read_parquet(data / "validation.parquet"), more]).write_parquet(data / "validation.parquet")
    shared = loaded(data)
    assert read[2:] == ["train.parquet", "validation.parquet"]
    assert shared.panel.n_rows == N_ERAS * N_ROWS + N_ROWS
    assert content(shared) == afresh(data, tmp_path, monkeypatch)


def test_files_that_share_a_checksum_and_not_their_ids_are_told_apart(
    data: Path, read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def colliding(paths: Sequence[Path], known: KnownChecksums) -> str:
        return "the same" if [path.name for path in paths] == ["train.parquet"] else content_of(paths, known)

    monkeypatch.setattr(keys, "content_of", colliding)
    loaded(data)
    train = pl.read_parquet(data / "train.parquet")
    train.with_columns(pl.col("id").str.replace("n008", "m008")).write_parquet(data / "train.parquet")
    other = loaded(data)
    assert read[2:] == ["train.parquet"]
    assert content(other) == afresh(data, tmp_path, monkeypatch)
