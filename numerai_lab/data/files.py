"""Files on the user's disk: one parquet or CSV, or a folder in the tournament's layout."""

import json
from pathlib import Path
from typing import Literal

from pydantic import Field

from numerai_lab.basics import NlabError, Tick, silent
from numerai_lab.data.source import Source, Tournament

TABLES = ("train.parquet", "validation.parquet")
EXTRAS = ("meta_model.parquet", "train_benchmark_models.parquet", "validation_benchmark_models.parquet")


class Files(Source):
    """Parquet or CSV files with id, era, target and feature columns; also a folder of downloaded tournament files.

    Source: the layout of numer.ai's data API (`numerapi download-dataset v5.0/train.parquet`).
    """

    source: Literal["files"] = "files"
    path: str = Field(
        description="a .parquet, .csv or .csv.gz file, or a folder with train.parquet, validation.parquet, features.json, "
        "meta_model.parquet and *_benchmark_models.parquet as far as they exist"
    )
    feature_set: str = Field("all", description="a set of the folder's features.json; `all` = every feature column")

    def files(self, tick: Tick = silent) -> Tournament:
        path = Path(self.path).expanduser()
        if path.is_dir():
            return _folder(path)
        if not path.is_file():
            raise NlabError(f"data.path: no file or folder {self.path!r}; set it with --set data.path=…")
        if not path.name.endswith((".parquet", ".csv", ".csv.gz")):
            raise NlabError(f"data.path: {self.path!r} is neither .parquet, .csv nor .csv.gz")
        return Tournament(tables=(path,))

    def version_label(self) -> str:
        tables = self.files().tables
        return ", ".join(f"{table.name} ({table.stat().st_size} bytes)" for table in tables)


def _folder(folder: Path) -> Tournament:
    tables = tuple(folder / name for name in TABLES if (folder / name).is_file())
    if not tables:
        raise NlabError(f"data.path: {str(folder)!r} holds neither {' nor '.join(TABLES)}")
    return Tournament(
        tables=tables,
        extras=tuple(folder / name for name in EXTRAS if (folder / name).is_file()),
        feature_sets=_feature_sets(folder / "features.json"),
    )


def _feature_sets(path: Path) -> dict[str, tuple[str, ...]]:
    if not path.is_file():
        return {}
    try:
        return {name: tuple(names) for name, names in json.loads(path.read_text())["feature_sets"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NlabError(f"{path}: not a features.json of the tournament ({error!r})") from error
