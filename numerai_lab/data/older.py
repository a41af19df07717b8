"""A synthetic tournament in the formats of older releases, for users with such files and for tests."""

import gzip
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Float32, Float64, Int8
from numerai_lab.core.errors import NlabError
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.seeding import rng_for
from numerai_lab.data.synthetic_mark import marked
from numerai_lab.data.world import Era, World, ranks, row_ids, target_bins
from numerai_lab.data.world_size import Size
from numerai_lab.data.worlds import WORLDS

if TYPE_CHECKING:
    import pandas as pd

LAYOUTS = ("kazutsugi", "nomi", "v3", "v4", "2018")
ROWS = {"tiny": 40, "small": 400, "medium": 2000, "full": 4200, "control": 1600}
"""Rows per era."""
LAST_ERA = 216
ERAS_A_GROUP = 20
"""Eras per row group of a parquet file."""
TRAIN, VALIDATION = range(1, 121), (*range(121, 133), *range(197, 213))
"""Eras of both as from 2019 to 2021; eras between and after them are `test`, without a target."""
GROUPS = {"intelligence": 12, "charisma": 86, "strength": 38, "dexterity": 14, "constitution": 114, "wisdom": 46}
BINARY = ("bernie", "elizabeth", "jordan", "ken", "charles", "frank", "hillary")


def write_older(
    folder: Path, layout: str, size: str, seed: int, progress: Progress = no_progress, world: str = "default"
) -> None:
    """Writes a synthetic world into `folder`, with the file names and types of an older release.

    kazutsugi, nomi: CSVs of 310 features in quarters (2019–20, 2020–21). v3: parquet, float32 quarters; v4: the same as
    int8 bins, with an index of ids. 2018: one CSV.gz of 50 continuous features and seven binary targets. Eras 1–120 train,
    121–132 and 197–212 validate, the rest are `test` without targets, and one is live. Raises NlabError for the size wide.
    """
    if size not in ROWS:
        raise NlabError(f"--size: the layout {layout} comes in no size {size!r}, only in {', '.join(ROWS)}")
    drawn = World(Size((ROWS[size],) * LAST_ERA, len(TRAIN), 0, len(feature_names(layout))), seed, WORLDS[world])
    frames = _frames(layout, drawn, progress)
    if layout in ("v3", "v4"):
        _write_parquet(folder, layout, frames)
    elif layout == "2018":
        with gzip.GzipFile(folder / "numerai_2018.csv.gz", "wb", mtime=0) as file:
            _write_csv(io.TextIOWrapper(file, encoding="utf-8"), frames)
    else:
        _write_split_csv(folder, frames)


def _frames(layout: str, world: World, progress: Progress) -> Iterator["pd.DataFrame"]:
    """Yields the rows of one era at a time: id, era, data_type, features, targets."""
    import pandas as pd

    names = feature_names(layout)
    for era in world.eras():
        bins = world.features.bins(era.number, era.state)
        kind = _data_type(era.number)
        head = pd.DataFrame({"id": row_ids(era), "era": _era_name(layout, era.number), "data_type": kind})
        targets = pd.DataFrame(_targets(layout, era))
        if kind in ("test", "live"):
            targets[:] = np.nan
        yield pd.concat([head, pd.DataFrame(_cells(layout, bins, era.number), columns=names), targets], axis=1)
        progress(era.number, LAST_ERA + 1)


def feature_names(layout: str) -> list[str]:
    """`feature1` … `feature50`, or 310 names `feature_intelligence1` … in six groups."""
    if layout == "2018":
        return [f"feature{i}" for i in range(1, 51)]
    return [f"feature_{group}{i}" for group, n in GROUPS.items() for i in range(1, n + 1)]


def _cells(layout: str, bins: Int8, era: int) -> Int8 | Float32:
    if layout == "v4":
        return bins
    if layout == "2018":
        jitter = rng_for(era, "older", "jitter").uniform(size=bins.shape)
        return ((bins + jitter) / 5).astype(np.float32)
    return bins.astype(np.float32) / np.float32(4)


def _targets(layout: str, era: Era) -> dict[str, Float32]:
    returns = era.returns
    if layout == "kazutsugi":
        return {"target_kazutsugi": _fifths(returns[:, 0])}
    if layout == "nomi":
        return {"target": target_bins(returns[:, 0])}
    if layout == "2018":
        tilted = {name: returns[:, 0] + 0.3 * i * returns[:, 1] for i, name in enumerate(BINARY)}
        return {f"target_{name}": (values > np.median(values)).astype(np.float32) for name, values in tilted.items()}
    short, long = target_bins(returns[:, 0]), target_bins(returns[:, 1])
    return {"target": short, "target_nomi_20": short, "target_nomi_60": long}


def _fifths(returns: Float64) -> Float32:
    return (ranks(returns[:, None])[:, 0] * 5 // len(returns) / 4).astype(np.float32)


def _data_type(era: int) -> str:
    if era in TRAIN:
        return "train"
    return "validation" if era in VALIDATION else "live" if era > LAST_ERA else "test"


def _era_name(layout: str, era: int) -> str:
    name = "X" if era > LAST_ERA else f"{era:04d}" if layout in ("v3", "v4") else str(era)
    return name if layout in ("v3", "v4") else f"era{name}"


def _write_split_csv(folder: Path, frames: Iterator["pd.DataFrame"]) -> None:
    train, later = folder / "numerai_training_data.csv", folder / "numerai_tournament_data.csv"
    with train.open("w", encoding="utf-8") as first, later.open("w", encoding="utf-8") as second:
        for frame in frames:
            part = first if frame["data_type"].iat[0] == "train" else second
            frame.to_csv(part, index=False, header=part.tell() == 0)


def _write_csv(file: io.TextIOWrapper, frames: Iterator["pd.DataFrame"]) -> None:
    for i, frame in enumerate(frames):
        frame.to_csv(file, index=False, header=i == 0)
    file.flush()


def _write_parquet(folder: Path, layout: str, frames: Iterator["pd.DataFrame"]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    stems = {"v3": "numerai_{}_data", "v4": "{}_int8"}
    parts = {"v3": ("training", "validation"), "v4": ("train", "validation")}[layout]
    groups = {group: [f"feature_{group}{i}" for i in range(1, n + 1)] for group, n in GROUPS.items()}
    every = feature_names(layout)
    sets = {"legacy": every, "medium": every[:100], **groups}
    (folder / "features.json").write_text(json.dumps({"feature_sets": sets}, indent=1), encoding="utf-8")
    writers: dict[str, pq.ParquetWriter] = {}
    for part, several in _together(frames, parts):
        targets = [str(name) for name in several.columns if str(name).startswith("target")]
        table = pa.Table.from_pandas(several.set_index("id").astype(dict.fromkeys(targets, np.float32)))
        if part not in writers:
            path = folder / f"{stems[layout].format(part)}.parquet"
            writers[part] = pq.ParquetWriter(path, marked(table.schema, f"layout {layout}"))
        writers[part].write_table(table)
    for writer in writers.values():
        writer.close()


def _together(frames: Iterator["pd.DataFrame"], parts: tuple[str, str]) -> Iterator[tuple[str, "pd.DataFrame"]]:
    """Yields the name of a file and the rows of one of its row groups, without live rows."""
    import pandas as pd

    def place(frame: "pd.DataFrame") -> tuple[str, int]:
        era = int(str(frame["era"].iat[0]))
        return parts[era not in TRAIN], era // ERAS_A_GROUP

    known = (frame for frame in frames if frame["data_type"].iat[0] != "live")
    for (part, _), group in itertools.groupby(known, key=place):
        yield part, pd.concat(list(group))
