"""Writes a synthetic world as files of the real tournament's names, columns and dtypes."""

import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int8
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.parents import end_with_parent
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.synthetic_mark import marked
from numerai_lab.data.world import Era, World, ranks, row_ids, target_bins
from numerai_lab.data.world_oracle import oracle_columns, oracle_names
from numerai_lab.data.world_size import Size
from numerai_lab.storage.folders import built, key_of
from numerai_lab.storage.machine import free_disk

if TYPE_CHECKING:
    import pyarrow.parquet as pq

VERSION = 5
"""Raised whenever the same seed would give other bytes. 5: worlds with known components, calibrated to the real tournament."""
ORACLE = "oracle"
"""The feature set that shows latents. No other set holds its features."""
GROUPS = ("intelligence", "charisma", "strength", "dexterity", "constitution", "wisdom")
UNRESOLVED = {"20": 4, "60": 12}
"""Last validation eras whose 20- and 60-day targets are not known yet; without a 20-day target the data_type is `test`."""
CELLS_WORTH_A_PROCESS = 200_000_000
ERAS_A_PART = 25
"""Eras that are lost at most when the work is broken off."""
CELLS_WORTH_PARTS = 20_000_000
"""Fewer are made in seconds: all in one part."""
FILE_BYTES_A_CELL, FILE_BYTES_A_ROW, FILE_BYTES_A_COLUMN = 0.39, 145, 250
"""Of the compressed files: bins of three bits; ids, targets, other models and the truth of a row; a column of an era."""
TARGETS = ("target", "target_ender_20", "target_ender_60", "target_cyrusd_20", "target_cyrusd_60")


def feature_sets(size: Size) -> dict[str, list[str]]:
    """`small` (where there is one), `medium`, `all`, `fncv3_features` (two thirds of medium) and one set a group."""
    names = [f"feature_{GROUPS[i % len(GROUPS)]}_{i:04d}" for i in range(size.n_features)]
    small, medium = names[: size.n_small], names[size.n_small : size.n_small + size.n_medium]
    sets = {"small": small, "medium": medium, "all": names, "fncv3_features": medium[: len(medium) * 2 // 3]}
    groups = {group: [name for name in names if f"_{group}_" in name] for group in GROUPS}
    return {name: members for name, members in (sets | groups).items() if members}


def sets_of(world: World, oracle: bool) -> dict[str, list[str]]:
    """The feature sets of a world's tournament. Raises NlabError for the oracle of a world that has none."""
    return feature_sets(world.size) | ({ORACLE: _oracle_features(world)} if oracle else {})


def files_bytes(size: Size) -> int:
    """Estimated bytes of all files; while they are made, twice as many."""
    n_columns = size.n_eras * (size.n_features + 45)
    return round(FILE_BYTES_A_CELL * size.n_cells) + FILE_BYTES_A_ROW * sum(size.rows) + FILE_BYTES_A_COLUMN * n_columns


def write_tournament(
    folder: Path, world: World, progress: Progress = no_progress, processes: int = 1, oracle: bool = False
) -> None:
    """Writes every file of a tournament into `folder`, era by era, in constant memory.

    oracle: with the feature set `oracle`. The bytes depend on the world alone, not on the number of processes that make
    features, nor on how often the work was broken off: eras are written in parts, and a part that is there already is not
    made again. Raises NlabError for an oracle of a world that has none, and where the disk has too little room.
    """
    size = world.size
    sets = sets_of(world, oracle)
    _refuse_full_disk(folder, size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.json").write_text(
        json.dumps({"feature_sets": sets, "targets": list(TARGETS)}, indent=1), encoding="utf-8"
    )
    eras_a_part = ERAS_A_PART if size.n_cells >= CELLS_WORTH_PARTS else size.n_eras + 2
    parts = folder / f"parts-{key_of(world.recipe, oracle, VERSION, eras_a_part)}"
    for other in set(folder.glob("parts-*")) - {parts}:
        shutil.rmtree(other)
    whole = {int(part.name) for part in parts.glob("[!.]*")}
    todo = {era for era in range(1, size.n_eras + 2) if era // eras_a_part not in whole}
    drawn = _drawn(world, processes, todo)
    for part, eras in itertools.groupby(drawn, key=lambda drawn: drawn[0].number // eras_a_part):
        with built(parts / f"{part:04d}") as work, _Files(work, world, oracle) as files:
            for era, features in eras:
                files.add(era, features)
                progress(era.number, size.n_eras)
    _join(sorted(parts.glob("[!.]*")), folder)
    shutil.rmtree(parts)


def _refuse_full_disk(folder: Path, size: Size) -> None:
    """Raises NlabError where the files, and the parts that they are put together from, do not fit beside what is there."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, free = 2 * files_bytes(size) - there, free_disk(folder)
    if needed > free:
        raise NlabError(
            f"{folder}: about {human_bytes(needed)} of disk needed while these files are made, {human_bytes(free)} free; make "
            "room, or name a folder on another disk (--out; NLAB_CACHE for the files of a run)"
        )


def _oracle_features(world: World) -> list[str]:
    """The feature set `oracle`. Raises NlabError for a world that has none."""
    names = [f"feature_{ORACLE}_{name}" for name in oracle_names(world)]
    if not names:
        raise NlabError("data.oracle: this world has no latents to show; leave it out")
    return names


def _join(parts: list[Path], folder: Path) -> None:
    """The files of all parts end to end, a row group an era."""
    import pyarrow.parquet as pq

    if len(parts) == 1:
        for path in parts[0].iterdir():
            path.replace(folder / path.name)
        return
    for name in dict.fromkeys(path.name for part in parts for path in sorted(part.iterdir())):
        pieces = [pq.ParquetFile(part / name) for part in parts if (part / name).is_file()]
        with pq.ParquetWriter(folder / name, pieces[0].schema_arrow) as writer:
            for piece in pieces:
                for i in range(piece.num_row_groups):
                    writer.write_table(piece.read_row_group(i))


def _drawn(world: World, processes: int, todo: Container[int]) -> Iterator[tuple[Era, Int8]]:
    """Yields the eras to write with their features, in order.

    The states of eras follow one another and are drawn in this process; features are drawn in parallel.
    """
    eras = (era for era in world.eras() if era.number in todo)
    if processes == 1 or world.size.n_cells < CELLS_WORTH_A_PROCESS:
        yield from ((era, world.features.bins(era.number, era.state)) for era in eras)
        return
    try:
        yield from _drawn_in_parallel(world, processes, eras)
    except BrokenProcessPool:
        raise NlabFailure(
            "synthetic data: a process that makes features was killed, perhaps because memory ran out; the same command goes on "
            "where it stopped (`nlab data synth` takes fewer --jobs)"
        ) from None


def _drawn_in_parallel(world: World, processes: int, eras: Iterable[Era]) -> Iterator[tuple[Era, Int8]]:
    with ProcessPoolExecutor(processes, get_context("spawn"), end_with_parent, (os.getpid(),)) as pool:
        ahead: deque[tuple[Era, Future[Int8]]] = deque()
        for era in eras:
            ahead.append((era, pool.submit(world.features.bins, era.number, era.state)))
            if len(ahead) > 2 * processes:
                first, features = ahead.popleft()
                yield first, features.result()
        yield from ((era, features.result()) for era, features in ahead)


def data_type(size: Size, era: int) -> str:
    """The data_type of an era's rows."""
    if era <= size.n_train:
        return "train"
    if era > size.n_eras:
        return "live"
    return "test" if era > size.n_eras - UNRESOLVED["20"] else "validation"


def resolved(size: Size, era: int, target: str) -> bool:
    """Whether a target is known in an era."""
    return era <= size.n_eras - UNRESOLVED["60" if target.endswith("_60") else "20"]


class _Files:
    """The open parquet files of a tournament under construction."""

    def __init__(self, folder: Path, world: World, oracle: bool) -> None:
        self.folder, self.world, self.size, self.oracle = folder, world, world.size, oracle
        self.feature_names = feature_sets(self.size)["all"]
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, era: Era, features: Int8) -> None:
        """One era into every file that has it."""
        kind, n_eras = data_type(self.size, era.number), self.size.n_eras
        ids = np.array(row_ids(era), object)
        era_column = {"era": np.full(len(ids), "X" if kind == "live" else f"{era.number:04d}", object)}
        head = era_column | {"data_type": np.full(len(ids), kind, object)}
        part = {"test": "validation"}.get(kind, kind)
        columns = dict(zip(self.feature_names, features.T, strict=True))
        shown = {f"{ORACLE}_{name}": column for name, column in oracle_columns(self.world, era.state, features).items()}
        further = {f"feature_{name}": column for name, column in shown.items()} if self.oracle else {}
        self._write(part, ids, head | columns | further | _targets(era, self.size))
        ranks = _unit_ranks(era.models)
        if era.number > n_eras // 4:
            models = {"lab_lgbm_ender20": ranks[:, 1], "lab_lgbm_ender60": ranks[:, 2]}
            self._write(f"{part}_benchmark_models", ids, head | models)
        if kind != "live" and era.number > n_eras - (n_eras - self.size.n_train) * 4 // 10:
            self._write("meta_model", ids, head | {"numerai_meta_model": ranks[:, 0]})
        self._write("truth", ids, era_column | _truth(era) | shown)

    def _write(self, name: str, ids: Array, columns: Mapping[str, Array]) -> None:
        """One era into a file as pandas writes a table that is indexed by id; NaN becomes null."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if name not in self._writers:
            import pandas as pd

            schema = pa.Schema.from_pandas(pd.DataFrame(columns, index=pd.Index(ids, name="id")))
            schema = marked(schema, f"world, version {VERSION}")
            self._writers[name] = pq.ParquetWriter(self.folder / f"{name}.parquet", schema)
        schema = self._writers[name].schema
        arrays = [
            pa.array(np.ascontiguousarray(values), field.type, from_pandas=True)
            for values, field in zip((*columns.values(), ids), schema, strict=True)
        ]
        self._writers[name].write_table(pa.Table.from_arrays(arrays, schema=schema))


def _truth(era: Era) -> dict[str, Array]:
    """The columns of truth.parquet but for those of the oracle."""
    returns = {
        "expected_20": era.expected[:, 0],
        "expected_60": era.expected[:, 1],
        **{f"component_{name}": expected for name, expected in era.components.items()},
    }
    return {**{name: column.astype(np.float32) for name, column in returns.items()}, **era.state.latents()}


def _targets(era: Era, size: Size) -> dict[str, Array]:
    values = {name: target_bins(era.returns[:, i]) for i, name in enumerate(TARGETS[1:])}
    values = {"target": values["target_ender_20"], **values}
    return {name: column if resolved(size, era.number, name) else np.full_like(column, np.nan) for name, column in values.items()}


def _unit_ranks(values: Float64) -> Float32:
    return ((ranks(values) + 0.5) / len(values)).astype(np.float32)
