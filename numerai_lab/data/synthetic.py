"""A synthetic tournament with a planted truth, written as files of the real one's names, columns and dtypes."""

import itertools
import json
import os
import shutil
from collections import deque
from collections.abc import Container, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Float32, Float64, Int8
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.splits import EraTable
from numerai_lab.data.files import Files
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.data.synthetic_mark import marked
from numerai_lab.data.world import Era, Size, World, ranks, row_ids, target_bins
from numerai_lab.storage.folders import build_resumably, built, cache_dir, key_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

VERSION = 2
"""Raised whenever the same seed would give other bytes. 2: ids and parquet metadata carry the mark of made-up data."""
GROUPS = ("intelligence", "charisma", "strength", "dexterity", "constitution", "wisdom")
UNRESOLVED = {"20": 4, "60": 12}
"""Last validation eras whose 20- and 60-day targets are not known yet; without a 20-day target the data_type is `test`."""
CELLS_WORTH_A_PROCESS = 200_000_000
ERAS_A_PART = 25
"""Eras that are lost at most when the work is broken off."""
TARGETS = ("target", "target_ender_20", "target_ender_60", "target_cyrusd_20", "target_cyrusd_60")


def _tournament_size() -> Size:
    """v5.3's own eras and rows: 574 training eras of 2,314 to 6,009 rows, 2,746,268 in all; 660 later ones of about 6,260."""
    train = np.rint(np.linspace(0, 1, 574) ** 0.4959 * (6009 - 2314) + 2314).astype(int)
    train[-200:] += np.diff(np.linspace(0, 2_746_268 - train.sum(), 201).astype(int))
    validation = np.rint(np.linspace(6009, 6507, 660)).astype(int)
    return Size((*train.tolist(), *validation.tolist()), len(train), 0, 780)


SIZES = {
    "tiny": Size.even(100, 80, 42, 60),
    "small": Size.even(200, 800, 42, 120),
    "medium": Size.even(300, 2000, 0, 780),
    "full": _tournament_size(),
}


class Synthetic(Source):
    """A synthetic tournament with planted factors, a non-linear manifold, drifting regimes and a known attainable corr.

    tiny: 100 eras × 80 rows × (42 `small` + 60 `medium`) features; small: 200 × 800 × (42 + 120); medium: 300 × 2,000 × 780;
    full: 1,234 eras and 6.9 million rows × 780, the size of v5.3. The first 60 % of the eras train (full: 574).
    Returns come from latents with weekly coefficients that drift, change regime and fade with time, so that val2 is harder
    than val1; 20- and 60-day targets of neighbouring eras overlap; a tenth of the features is missing (all 2) in early eras.
    `target` equals `target_ender_20`. A meta model covers the last 40 % of validation.

    Source: this project; the layout and dtypes are those of Numerai's v5 files.
    """

    source: Literal["synthetic"] = "synthetic"
    size: Literal["tiny", "small", "medium", "full"] = Field(
        "small", description="tiny (8,000 rows), small (160,000), medium (600,000) or full (6.9 million)"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="the world that is drawn")

    @property
    def folder(self) -> Path:
        """Where the files are kept once made; truth.parquet lies there too, and no run reads it."""
        return cache_dir() / "synthetic" / f"{self.size}-seed{self.seed}-v{VERSION}"

    @property
    def cache_folders(self) -> tuple[Path, ...]:
        return (self.folder,)

    def files(self, progress: Progress = no_progress) -> Tournament:
        if not self.folder.is_dir():
            build_resumably(
                self.folder, lambda work: write_tournament(work, SIZES[self.size], self.seed, progress, os.cpu_count() or 1)
            )
        return Files(path=str(self.folder)).files()

    def version_label(self) -> str:
        return f"synthetic {self.size}, seed {self.seed}, v{VERSION}"

    def planned(self) -> Outline | None:
        if self.folder.is_dir():
            return None
        size = SIZES[self.size]
        eras = tuple(range(1, size.n_eras + 1))
        sets = feature_sets(size)
        targets = [self.target, *self.auxiliary_targets]
        for key, name in zip(("data.target", *["data.auxiliary_targets"] * len(targets)), targets, strict=False):
            if name not in TARGETS:
                raise NlabError(f"{key}: a synthetic tournament has no target {name!r}; {nearest(name, TARGETS)}")
        horizons = [60 if name.endswith("_60") else 20 for name in targets]
        horizons[0] = self.horizon_days or horizons[0]
        return Outline(
            table=EraTable(
                eras,
                tuple(_data_type(size, era) for era in eras),
                tuple(_resolved(size, era, self.target) for era in eras),
                days_per_era=self.days_per_era,
            ),
            n_rows=size.rows,
            n_columns=len(sets.get(self.feature_set, sets["all"])),
            target="target_ender_20" if self.target == "target" else self.target,
            horizon_days=horizons[0],
            reach_days=max(horizons),
            in_store=False,
        )


def feature_sets(size: Size) -> dict[str, list[str]]:
    """`small` (where there is one), `medium`, `all`, `fncv3_features` (two thirds of medium) and one set a group."""
    names = [f"feature_{GROUPS[i % len(GROUPS)]}_{i:04d}" for i in range(size.n_features)]
    small, medium = names[: size.n_small], names[size.n_small :]
    sets = {"small": small, "medium": medium, "all": names, "fncv3_features": medium[: len(medium) * 2 // 3]}
    groups = {group: [name for name in names if f"_{group}_" in name] for group in GROUPS}
    return {name: members for name, members in (sets | groups).items() if members}


def write_tournament(folder: Path, size: Size, seed: int, progress: Progress = no_progress, processes: int = 1) -> None:
    """Writes every file of a tournament into `folder`, era by era, in constant memory.

    The bytes depend on size and seed alone, not on the number of processes that make features, nor on how often the work
    was broken off: eras are written in parts, and a part that is there already is not made again.
    """
    sets = feature_sets(size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.json").write_text(
        json.dumps({"feature_sets": sets, "targets": list(TARGETS)}, indent=1), encoding="utf-8"
    )
    parts = folder / f"parts-{key_of(asdict(size), seed, VERSION)}"
    for other in set(folder.glob("parts-*")) - {parts}:
        shutil.rmtree(other)
    whole = {int(part.name) for part in parts.glob("[!.]*")}
    todo = {era for era in range(1, size.n_eras + 2) if _part(era) not in whole}
    drawn = _drawn(World(size, seed), processes, todo)
    for part, eras in itertools.groupby(drawn, key=lambda drawn: _part(drawn[0].number)):
        with built(parts / f"{part:04d}") as work, _Files(work, size) as files:
            for era, features in eras:
                files.add(era, features)
                progress(era.number, size.n_eras)
    _join(sorted(parts.glob("[!.]*")), folder)
    shutil.rmtree(parts)


def _part(era: int) -> int:
    return era // ERAS_A_PART


def _join(parts: list[Path], folder: Path) -> None:
    """The files of all parts end to end, a row group an era."""
    import pyarrow.parquet as pq

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
    n_cells = sum(world.size.rows) * world.size.n_features
    if processes == 1 or n_cells < CELLS_WORTH_A_PROCESS:
        yield from ((era, world.features(era.number, era.latents)) for era in eras)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        ahead: deque[tuple[Era, Future[Int8]]] = deque()
        for era in eras:
            ahead.append((era, pool.submit(world.features, era.number, era.latents)))
            if len(ahead) > 2 * processes:
                first, features = ahead.popleft()
                yield first, features.result()
        yield from ((era, features.result()) for era, features in ahead)


def _data_type(size: Size, era: int) -> str:
    if era <= size.n_train:
        return "train"
    if era > size.n_eras:
        return "live"
    return "test" if era > size.n_eras - UNRESOLVED["20"] else "validation"


def _resolved(size: Size, era: int, target: str) -> bool:
    return era <= size.n_eras - UNRESOLVED["60" if target.endswith("_60") else "20"]


class _Files:
    """The open parquet files of a tournament under construction."""

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder, self.size = folder, size
        self.feature_names = feature_sets(size)["all"]
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, era: Era, features: Int8) -> None:
        """One era into every file that has it."""
        import pandas as pd

        kind, n_eras = _data_type(self.size, era.number), self.size.n_eras
        index = pd.Index(row_ids(era), name="id")
        head = pd.DataFrame({"era": "X" if kind == "live" else f"{era.number:04d}", "data_type": kind}, index=index)
        part = {"test": "validation"}.get(kind, kind)
        columns = pd.DataFrame(features, index=index, columns=self.feature_names)
        self._write(part, pd.concat([head, columns, _targets(era, self.size, index)], axis=1))
        ranks = _unit_ranks(era.models)
        if era.number > n_eras // 4:
            names = ["lab_lgbm_ender20", "lab_lgbm_ender60"]
            models = pd.DataFrame(ranks[:, 1:], index=index, columns=names)
            self._write(f"{part}_benchmark_models", pd.concat([head, models], axis=1))
        if kind != "live" and era.number > n_eras - (n_eras - self.size.n_train) * 4 // 10:
            meta = pd.DataFrame(ranks[:, :1], index=index, columns=["numerai_meta_model"])
            self._write("meta_model", pd.concat([head, meta], axis=1))
        names = ["expected_20", "expected_60", *(f"latent_{i}" for i in range(era.latents.shape[1]))]
        truth = pd.DataFrame(np.hstack([era.expected, era.latents]).astype(np.float32), index=index, columns=names)
        self._write("truth", pd.concat([head[["era"]], truth], axis=1))

    def _write(self, name: str, frame: "pd.DataFrame") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame)
        if name not in self._writers:
            schema = marked(table.schema, f"world, version {VERSION}")
            self._writers[name] = pq.ParquetWriter(self.folder / f"{name}.parquet", schema)
        self._writers[name].write_table(table)


def _targets(era: Era, size: Size, index: "pd.Index[str]") -> "pd.DataFrame":
    import pandas as pd

    values = {name: target_bins(era.returns[:, i]) for i, name in enumerate(TARGETS[1:])}
    values = {"target": values["target_ender_20"], **values}
    known = {
        name: column if _resolved(size, era.number, name) else np.full_like(column, np.nan) for name, column in values.items()
    }
    return pd.DataFrame(known, index=index)


def _unit_ranks(values: Float64) -> Float32:
    return ((ranks(values) + 0.5) / len(values)).astype(np.float32)
