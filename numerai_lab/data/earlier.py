"""Copies rows of unchanged files from an older store, instead of reading the files again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Int64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import release_pages
from numerai_lab.data.rows import Rows
from numerai_lab.storage.array_files import mapped
from numerai_lab.storage.era_content import crc_of
from numerai_lab.storage.era_store import Store
from numerai_lab.storage.folders import in_use


@dataclass(frozen=True)
class FileRows:
    """Facts of a file that a store of rows records; they must agree for rows to be copied.

    content: a hash of the file's bytes. in_bins: whether its floats are bins. eras: the file's eras; empty where another file
    has rows of one of them. n_missing: number of missing cells, which became the middle bin.
    """

    content: str
    in_bins: bool | None
    eras: tuple[int, ...]
    n_missing: int = 0

    def facts(self) -> dict[str, Any]:
        """Plain values for the store's meta.json."""
        return {"content": self.content, "in_bins": self.in_bins, "eras": list(self.eras), "n_missing": self.n_missing}


@dataclass(frozen=True)
class Earlier:
    """Older stores of rows.

    folder: the folder of the stores. files: a hash of the content of each file to read now. reading: a hash of how files are
    read: columns, parameters, code and libraries.
    """

    folder: Path
    files: tuple[str, ...]
    reading: str

    def copied(self, file_rows: FileRows, rows: Rows, features: Array, top: float) -> int | None:
        """Copies the rows of a file from an older store into `features`.

        Returns the number of missing cells of the file; None where no store has the file.
        """
        if not file_rows.eras:
            return None
        for folder in sorted(self.folder.glob("[!.]*")):
            with _readable(Store(folder)) as meta:
                if not meta or meta["reading"] != self.reading or meta["top"] != top:
                    continue
                for facts in meta["files"]:
                    same = facts == {**file_rows.facts(), "n_missing": facts["n_missing"]}
                    if same and _copy(Store(folder), file_rows.eras, rows, features):
                        return int(facts["n_missing"])
        return None


def eras_of_files(rows: Rows, places: Sequence[Int64]) -> list[tuple[int, ...]]:
    """The eras of each file; empty where another file has rows of one of them. places: rows of each file in the store."""
    owner = np.full(len(rows.ids), -1, np.int16)
    for file, to in enumerate(places):
        owner[to[to >= 0]] = file
    ends = [(owner[first:last].min(), owner[first:last].max()) for first, last in rows.bounds]
    shared = {int(file) for low, high in ends if low != high for file in range(low, high + 1)}
    eras = rows.eras.tolist()
    return [
        () if file in shared else tuple(era for era, (low, _) in zip(eras, ends, strict=True) if low == file)
        for file in range(len(places))
    ]


@contextmanager
def _readable(store: Store) -> Iterator[dict[str, Any]]:
    """The meta of a store, locked against removal; empty where it can't be read."""
    with in_use(store.folder):
        try:
            meta = store.checked_meta()
        except (OSError, ValueError, NlabError):
            meta = {}
        yield meta


def _copy(store: Store, eras: tuple[int, ...], rows: Rows, features: Array) -> bool:
    """Copies eras; False where the ids of one differ, or where the older store is damaged."""
    try:
        old, sums = store.features(), store.era_sums()
        ids, known, bounds = (mapped(store.folder / f"{name}.npy") for name in ("ids", "eras", "bounds"))
        place = {era: i for i, era in enumerate(known.tolist())}
        for era in eras:
            i, j = place[era], int(np.searchsorted(rows.eras, era))
            there, here = slice(*bounds[i]), slice(*rows.bounds[j])
            block = old[there]
            if not np.array_equal(ids[there], rows.ids[here]) or crc_of(block) != int(sums[i, 0]):
                return False
            features[here] = block
            release_pages(old)
            release_pages(features)
    except (OSError, ValueError, KeyError, IndexError, TypeError):  # a truncated store: read the file instead
        return False
    return True
