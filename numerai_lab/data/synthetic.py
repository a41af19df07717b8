"""A synthetic tournament with a planted truth, written as files of the real one's names, columns and dtypes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from numerai_lab.basics import Float32, Float64, Tick, rng_for, silent
from numerai_lab.data.files import Files
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.data.world import Era, Size, World, ranks
from numerai_lab.splits import EraTable
from numerai_lab.store import built, cache_dir

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.parquet as pq

VERSION = 1
"""Raised whenever the same seed would give other bytes."""
GROUPS = ("intelligence", "charisma", "strength", "dexterity", "constitution", "wisdom")
UNRESOLVED = {"20": 4, "60": 12}
"""Last validation eras whose 20- and 60-day targets are not known yet; without a 20-day target the data_type is `test`."""
TARGET_SHARES = (0.05, 0.25, 0.75, 0.95)
TARGETS = ("target", "target_ender_20", "target_ender_60", "target_cyrusd_20", "target_cyrusd_60")


SIZES = {"tiny": Size(100, 80, 42, 60), "small": Size(200, 800, 42, 120)}


class Synthetic(Source):
    """A synthetic tournament with planted factors, a non-linear manifold, drifting regimes and a known attainable corr.

    tiny: 100 eras × 80 rows × (42 `small` + 60 `medium`) features; small: 200 × 800 × (42 + 120). The first 60 % of the
    eras train. Returns come from latents with weekly coefficients that drift and change regime and fade with time, so
    that val2 is harder than val1; 20- and 60-day targets of neighbouring eras overlap; a tenth of the features is
    missing (all 2) in early eras. `target` equals `target_ender_20`. A meta model covers the last 40 % of validation.

    Source: this project; the layout and dtypes are those of Numerai's v5 files.
    """

    source: Literal["synthetic"] = "synthetic"
    size: Literal["tiny", "small"] = Field("small", description="tiny (8,000 rows) or small (160,000 rows)")
    seed: int = Field(0, ge=0, description="the world that is drawn")

    @property
    def folder(self) -> Path:
        """Where the files are kept once made; truth.parquet lies there too, and no run reads it."""
        return cache_dir() / "synthetic" / f"{self.size}-seed{self.seed}-v{VERSION}"

    def files(self, tick: Tick = silent) -> Tournament:
        if not self.folder.is_dir():
            with built(self.folder) as work:
                write_tournament(work, SIZES[self.size], self.seed, tick)
        return Files(path=str(self.folder)).files()

    def version_label(self) -> str:
        return f"synthetic {self.size}, seed {self.seed}, v{VERSION}"

    def planned(self) -> Outline | None:
        if self.folder.is_dir():
            return None
        size = SIZES[self.size]
        eras = tuple(range(1, size.n_eras + 1))
        sets = feature_sets(size)
        return Outline(
            table=EraTable(
                eras,
                tuple(_data_type(size, era) for era in eras),
                tuple(_resolved(size, era, self.target) for era in eras),
            ),
            n_rows=(size.n_rows,) * size.n_eras,
            n_columns=len(sets.get(self.feature_set, sets["all"])),
            target="target_ender_20" if self.target == "target" else self.target,
            horizon_days=60 if self.target.endswith("_60") else 20,
            in_store=False,
        )


def feature_sets(size: Size) -> dict[str, list[str]]:
    """`small`, `medium`, `all`, one set a group, and `fncv3_features` (two thirds of medium), as features.json has them."""
    names = [f"feature_{GROUPS[i % len(GROUPS)]}_{i:04d}" for i in range(size.n_features)]
    medium = names[size.n_small :]
    groups = {group: [name for name in names if f"_{group}_" in name] for group in GROUPS}
    return {
        "small": names[: size.n_small],
        "medium": medium,
        "all": names,
        "fncv3_features": medium[: len(medium) * 2 // 3],
        **groups,
    }


def write_tournament(folder: Path, size: Size, seed: int, tick: Tick = silent) -> None:
    """Writes every file of a tournament into `folder`, era by era, in constant memory."""
    sets = feature_sets(size)
    (folder / "features.json").write_text(json.dumps({"feature_sets": sets, "targets": list(TARGETS)}, indent=1))
    with _Files(folder) as files:
        for era in World(size, seed).eras():
            tick(era.number, size.n_eras)
            files.add(era, _data_type(size, era.number), size)


def _data_type(size: Size, era: int) -> str:
    if era <= size.n_train:
        return "train"
    if era > size.n_eras:
        return "live"
    return "test" if era > size.n_eras - UNRESOLVED["20"] else "validation"


def _resolved(size: Size, era: int, target: str) -> bool:
    return era <= size.n_eras - UNRESOLVED["60" if target.endswith("_60") else "20"]


def _target(returns: Float64) -> Float32:
    """Bins of 5, 20, 50, 20 and 5 % at 0, .25, .5, .75 and 1."""
    shares = (ranks(returns[:, None])[:, 0] + 0.5) / len(returns)
    return (np.searchsorted(TARGET_SHARES, shares) / 4).astype(np.float32)


class _Files:
    """The open parquet files of a tournament under construction."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> "_Files":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def add(self, era: Era, kind: str, size: Size) -> None:
        """One era into every file that has it."""
        import pandas as pd

        index = pd.Index(_ids(era), name="id")
        label = "X" if kind == "live" else f"{era.number:04d}"
        head = pd.DataFrame({"era": label, "data_type": kind}, index=index)
        features = pd.DataFrame(era.features, index=index, columns=feature_sets(size)["all"])
        part = {"test": "validation"}.get(kind, kind)
        self._write(part, pd.concat([head, features, _targets(era, size, index)], axis=1))
        if era.number > size.n_eras // 4:
            models = pd.DataFrame(_unit_ranks(era.models[:, 1:]), index=index, columns=["lab_lgbm_ender20", "lab_lgbm_ender60"])
            self._write(f"{part}_benchmark_models", pd.concat([head, models], axis=1))
        if kind != "live" and era.number > size.n_eras - (size.n_eras - size.n_train) * 4 // 10:
            meta = pd.DataFrame(_unit_ranks(era.models[:, :1]), index=index, columns=["numerai_meta_model"])
            self._write("meta_model", pd.concat([head, meta], axis=1))
        columns = ["expected_20", "expected_60", *(f"latent_{i}" for i in range(era.latents.shape[1]))]
        truth = pd.DataFrame(np.hstack([era.expected, era.latents]), index=index, columns=columns)
        self._write("truth", pd.concat([head[["era"]], truth.astype(np.float32)], axis=1))

    def _write(self, name: str, frame: "pd.DataFrame") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame)
        if name not in self._writers:
            self._writers[name] = pq.ParquetWriter(self.folder / f"{name}.parquet", table.schema)
        self._writers[name].write_table(table)


def _ids(era: Era) -> list[str]:
    numbers = rng_for(era.number, "synthetic", "ids").choice(16**7, size=len(era.features), replace=False)
    return [f"n{era.number:08x}{number:07x}" for number in numbers]


def _targets(era: Era, size: Size, index: "pd.Index[str]") -> "pd.DataFrame":
    import pandas as pd

    values = {name: _target(era.returns[:, i]) for i, name in enumerate(TARGETS[1:])}
    values = {"target": values["target_ender_20"], **values}
    known = {
        name: column if _resolved(size, era.number, name) else np.full_like(column, np.nan) for name, column in values.items()
    }
    return pd.DataFrame(known, index=index)


def _unit_ranks(values: Float64) -> Float32:
    return ((ranks(values) + 0.5) / len(values)).astype(np.float32)
