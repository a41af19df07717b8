"""Files on the user's disk: one parquet or CSV, or a folder in the tournament's layout."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from numerai_lab.core.errors import NlabError
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.frames import is_frame
from numerai_lab.data.scan import is_named_as_data
from numerai_lab.data.source import Source, Tournament
from numerai_lab.storage.folders import user_path
from numerai_lab.storage.plain_files import read_plain

FEATURES, TRUTH = "features.json", "truth.parquet"
EXTRAS = ("meta_model.parquet", "train_benchmark_models.parquet", "validation_benchmark_models.parquet")


@dataclass(frozen=True)
class Layout:
    """File names of a release of the tournament. horizon_days: of its targets, where their names don't tell."""

    tables: tuple[str, str]
    horizon_days: int | None = None


LAYOUTS = (
    Layout(("train.parquet", "validation.parquet")),
    Layout(("train_int8.parquet", "validation_int8.parquet")),
    Layout(("numerai_training_data_int8.parquet", "numerai_validation_data_int8.parquet")),
    Layout(("numerai_training_data.parquet", "numerai_validation_data.parquet")),
    Layout(("numerai_training_data.csv", "numerai_tournament_data.csv"), 20),
    Layout(("numerai_training_data.csv.gz", "numerai_tournament_data.csv.gz"), 20),
)
"""v5 and v4, their int8 twins, v3 and its twin, the CSVs of 2019 to 2021. The first one found in a folder is read."""

WAYS_OUT = {
    **dict.fromkeys((".zip", ".bz2", ".zst", ".xz", ".7z", ".tar", ".tgz"), "unpack it"),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "save it as CSV (pandas: read_json, to_csv)"),
    **dict.fromkeys((".feather", ".arrow", ".ipc"), "save it as parquet (pandas: read_feather, to_parquet)"),
}
"""Suffix of another kind of file → what to do."""


class Files(Source):
    """Parquet or CSV files with id, era, target and feature columns; also a folder of downloaded tournament files.

    File names tell the layout of a folder (v5, v4, v3, or the CSVs of 2019 to 2021). Features with bins 0..4 or 0, .25 … 1
    become int8; continuous features on 0..1 stay float32. In files without a list of feature sets, `feature_charisma7`
    belongs to the set `charisma`.

    Source: the layout of numer.ai's data API (`numerapi download-dataset v5.0/train.parquet`).
    """

    source: Literal["files"] = "files"
    path: str = Field(
        description="a .parquet, .csv (.tsv, .txt) or .csv.gz file, or a folder with train.parquet, validation.parquet, "
        "features.json, meta_model.parquet and *_benchmark_models.parquet as far as they exist, or with the files of an older "
        "release"
    )
    feature_set: str = Field("all", description="a set of the folder's features.json; `all` = every feature column")

    @property
    def truth(self) -> Path | None:
        path = user_path(self.path) / TRUTH
        return path if path.is_file() else None

    @property
    def live_folder(self) -> Path | None:
        path = user_path(self.path)
        return path if path.is_dir() else None

    @property
    def cache_folders(self) -> tuple[Path, ...]:
        path = user_path(self.path)
        return (path.parent,) if is_frame(path) else ()

    def files(self, progress: Progress = no_progress) -> Tournament:
        """The file, or the files of the folder. Raises NlabError where there are none, or features.json is invalid."""
        path = user_path(self.path)
        if path.is_dir():
            return _folder(path)
        if not path.is_file() and is_frame(path):
            raise NlabError(
                f"data.path: {self.path} held the rows of a DataFrame and is gone from the cache; run again in Python with "
                "data=DataFrame, which writes it anew"
            )
        if not path.is_file():
            raise NlabError(f"data.path: no file or folder {self.path!r}; set it with --set data.path=…")
        if not is_named_as_data(path):
            raise NlabError(f"data.path: {self.path!r} is neither .parquet, .csv nor .csv.gz; {_way_out(path)}")
        return Tournament(tables=(path,))

    def version_label(self) -> str:
        tables = self.files().tables
        return ", ".join(f"{table.name} ({table.stat().st_size} bytes)" for table in tables)


def _way_out(path: Path) -> str:
    """What to do with a file of another kind, by its suffix."""
    return WAYS_OUT.get(path.suffix.lower(), "save it as one of them")


def _folder(folder: Path) -> Tournament:
    for layout in LAYOUTS:
        tables = tuple(folder / name for name in layout.tables if (folder / name).is_file())
        if tables:
            return Tournament(
                tables=tables,
                extras=tuple(folder / name for name in EXTRAS if (folder / name).is_file()),
                feature_sets=_feature_sets(folder / FEATURES),
                horizon_days=layout.horizon_days,
            )
    known = "; ".join(" + ".join(layout.tables) for layout in LAYOUTS)
    raise NlabError(f"data.path: {str(folder)!r} holds none of the tournament's tables ({known})")


def _feature_sets(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        return {}
    try:
        sets = json.loads(read_plain(path, links=True).decode())["feature_sets"]
        feature_sets = {str(name): tuple(names) for name, names in sets.items()}
        odd = next((name for name, names in sets.items() if not isinstance(names, list)), None)
        odd = odd or next(
            (name for name, names in feature_sets.items() if not all(isinstance(column, str) for column in names)), None
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NlabError(f"{path}: not a features.json of the tournament ({error!r})") from error
    if odd is not None:
        raise NlabError(f"{path}: feature set {odd!r} is no list of names")
    return feature_sets
