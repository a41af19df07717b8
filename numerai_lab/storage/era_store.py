"""The on-disk store behind a Panel: rows, labels, scoring features and extras, a folder each."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import Panel
from numerai_lab.storage.array_files import mapped, new_array
from numerai_lab.storage.checksums import KnownChecksums, changed, checksums
from numerai_lab.storage.entry_meta import ExtrasMeta, FeaturesMeta, LabelsMeta, RowsMeta, StoreMeta
from numerai_lab.storage.file_lock import Lock
from numerai_lab.storage.folders import lock_of
from numerai_lab.storage.foreign_json import checked
from numerai_lab.storage.plain_files import clear
from numerai_lab.storage.stamped_json import read_mapping, read_stamped, with_stamp

log = logging.getLogger("nlab")
STORE_VERSION = 5
META = "meta.json"
ROWS, LABELS, SCORING_FEATURES, EXTRAS = STORES = ("stores", "labels", "scoring_features", "extras")
"""Folders of the cache that hold stores, a store a folder."""
ROW_ARRAYS = ("features", "ids", "eras", "bounds", "absent", "era_sums")
SCHEMAS: dict[str, type[StoreMeta]] = {ROWS: RowsMeta, LABELS: LabelsMeta, SCORING_FEATURES: FeaturesMeta, EXTRAS: ExtrasMeta}


@dataclass(frozen=True)
class Store:
    """A folder of .npy files and meta.json, which says what they are.

    A store of rows holds features, ids, eras, bounds, absent (eras × features, bool) and era_sums (eras × 2, uint32: CRC-32 of
    the features and of the ids of an era's rows); a store of scoring features holds features alone, a store of labels a target,
    a store of extras an array a column. All that are read from the same files have the same rows.
    """

    folder: Path

    @property
    def meta(self) -> dict[str, Any]:
        """Facts about the arrays: names, data types, notes, ISO dates of dated eras; or the target's name and horizon."""
        return read_mapping(self.folder / META)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def checked_meta(self) -> dict[str, Any]:
        """`meta`, with the types that this version writes. Raises ValueError or OSError."""
        meta = checked(read_stamped(self.folder / META), StoreMeta, META)
        if meta["version"] != STORE_VERSION:
            raise ValueError(f"{META} is that of version {meta['version']}")
        return checked(meta, SCHEMAS.get(self.folder.parent.name, StoreMeta), META)

    def damage(self, known: KnownChecksums | None = None) -> str:
        """A sentence about what is damaged in the folder, by its own checksums; empty when it is whole.

        known: checksums of files that are not read again; None reads every file.
        """
        try:
            meta = self.checked_meta()
            sums = meta["checksums"]
            damage = known.changed(self.folder, sums) if known else changed(self.folder, sums)
            return damage or _misfit(self.folder, meta)
        except (OSError, ValueError) as error:
            return f"{META} can't be read ({error!r})"

    def absent(self) -> NDArray[np.bool_]:
        """eras × features: which features are the middle bin for a whole era."""
        absent: NDArray[np.bool_] = np.load(self.folder / "absent.npy", allow_pickle=False)
        return absent

    def target(self) -> Float32:
        """The targets of a store of labels, one a row."""
        return mapped(self.folder / "target.npy")

    def features(self) -> Array:
        """The features of a store of rows or of scoring features: rows × columns."""
        return mapped(self.folder / "features.npy")

    def era_sums(self) -> NDArray[np.uint32]:
        """CRC-32 of the features and of the ids of each era, eras × 2; for a store of rows."""
        sums: NDArray[np.uint32] = np.load(self.folder / "era_sums.npy", allow_pickle=False)
        return sums

    def extras(self) -> dict[str, Float32]:
        """The values of every row by column, for a store of extras."""
        return {name: mapped(self.folder / f"extra-{i}.npy") for i, name in enumerate(self.meta["extras"])}

    def n_rows(self) -> int | None:
        """The number of rows that its arrays have a value of; None for a store of extras without any."""
        names = ("features.npy", "target.npy", "extra-0.npy")
        return next((len(mapped(self.folder / name)) for name in names if (self.folder / name).is_file()), None)

    def panel(self, labels: "Store") -> Panel:
        """A store of rows and one of labels as a panel of read-only views, without extras, scoring features and feature sets."""
        meta = self.meta
        eras = np.load(self.folder / "eras.npy", allow_pickle=False)
        return Panel(
            feature_names=tuple(meta["feature_names"]),
            features=self.features(),
            n_raw=len(meta["feature_names"]),
            top=meta["top"],
            ids=mapped(self.folder / "ids.npy"),
            eras=eras,
            bounds=np.load(self.folder / "bounds.npy", allow_pickle=False),
            data_types=tuple(meta["data_types"]),
            target=labels.target(),
            horizon_days=labels.meta["horizon_days"],
            dates=dict(zip(eras.tolist(), meta["era_dates"], strict=True)) if "era_dates" in meta else {},
        )


def remove_damaged(store: Store, known: KnownChecksums) -> None:
    """Removes a damaged store once no other process uses it, and logs it."""
    if not os.path.lexists(store.folder):
        return
    with Lock(lock_of(store.folder)) as lock:
        lock.take("read", wait=True)
        damage = _damage_there(store, known)
        if not damage:
            return
        log.warning("store %s is damaged (%s) and is made anew", store.folder.name, damage)
        lock.free()  # two that wanted to own what both read would wait for each other
        if not lock.take():
            log.warning("waiting for another process that uses it")
            lock.take(wait=True)
        if _damage_there(store, known):  # another process may have removed it meanwhile
            clear(store.folder)


def _damage_there(store: Store, known: KnownChecksums) -> str:
    if not store.folder.is_dir():
        return "it is no folder" if os.path.lexists(store.folder) else ""
    return store.damage(known)


def _misfit(folder: Path, meta: Mapping[str, Any]) -> str:
    """A sentence about an array that is missing, or does not fit the others and meta.json; empty where all fit."""
    names = {ROWS: ROW_ARRAYS, LABELS: ("target",), SCORING_FEATURES: ("features",)}.get(folder.parent.name, ())
    names = names or tuple(f"extra-{i}" for i in range(len(meta.get("extras", ()))))
    arrays = {name: mapped(folder / f"{name}.npy") for name in names}
    if flat := next((name for name, array in arrays.items() if not array.ndim), None):
        return f"{flat}.npy holds a single number"
    if not arrays:
        return ""
    n_rows, n_features, n_eras = len(arrays[names[0]]), len(meta.get("feature_names", ())), len(meta.get("data_types", ()))
    of_eras = {"eras": ("i", (n_eras,)), "bounds": ("i", (n_eras, 2)), "era_sums": ("u", (n_eras, 2))}
    wanted = {**of_eras, "absent": ("b", (n_eras, n_features)), "ids": ("S", (n_rows,)), "features": ("if", (n_rows, n_features))}
    for name, array in arrays.items():
        kinds, shape = wanted.get(name, ("f", (n_rows,)))
        if array.dtype.kind not in kinds or array.shape != shape:
            return f"{name}.npy holds {array.dtype} {array.shape}"
    if "eras" not in arrays:
        return ""
    bounds = arrays["bounds"]
    in_order = np.all(np.diff(arrays["eras"]) > 0) and np.all(np.diff(bounds.ravel()) >= 0)
    if not n_eras or not in_order or bounds[0, 0] != 0 or bounds[-1, 1] != n_rows:
        return "eras.npy and bounds.npy hold no eras in order"
    counts = {len(meta["absent_features"]), len(meta["era_dates"]) if "era_dates" in meta else n_eras}
    return "" if counts == {n_eras} else f"{META} describes another number of eras"


def create_features(folder: Path, n_rows: int, n_columns: int, dtype: str) -> Array:
    """The empty features file of a store under construction, as a writable memory-map."""
    return new_array(folder / "features.npy", dtype, (n_rows, n_columns))


def write_store(folder: Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Writes the arrays and meta.json of a store whose features, if any, lie there already."""
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    sums = checksums(folder.glob("*.npy"), folder)
    (folder / META).write_text(with_stamp({**meta, "version": STORE_VERSION, "checksums": sums}), encoding="utf-8")


def write_extras(folder: Path, extras: Mapping[str, Float32], meta: Mapping[str, Any]) -> None:
    """A store of predictions by other models: a column each, one value a row."""
    write_store(folder, {f"extra-{i}": values for i, values in enumerate(extras.values())}, {**meta, "extras": list(extras)})
