"""The base class of data sources, which provide files for the reader."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from numerai_lab.core.component import Component
from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.errors import NlabError
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.splits import EraTable

LIVE_TABLES = ("live.parquet", "live_int8.parquet", "numerai_live_data_int8.parquet", "numerai_live_data.parquet")
"""v5 and v4, their int8 twins, v3. The CSVs of 2019 to 2021 hold live rows in the tournament file."""
LIVE_BENCHMARKS = "live_benchmark_models.parquet"


@dataclass(frozen=True)
class Tournament:
    """Files in the tournament's layout.

    tables: rows with id, era, features and targets; extras: meta model and benchmark predictions, joined by id;
    feature_sets: names → feature names as in features.json, empty without one. horizon_days: of every target, where the
    format alone tells it. notes: remarks for the user.
    """

    tables: tuple[Path, ...]
    extras: tuple[Path, ...] = ()
    feature_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    horizon_days: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveFiles:
    """Files of live rows.

    table: their features. benchmarks: other models' predictions for them, None where there are none. round: the tournament's
    round that they are of; None where nobody says.
    """

    table: Path
    benchmarks: Path | None = None
    round: int | None = None

    @classmethod
    def beside(cls, table: Path, round: int | None = None) -> "LiveFiles":
        """A table of live rows with the benchmarks that lie beside it."""
        benchmarks = table.with_name(LIVE_BENCHMARKS)
        return cls(table, benchmarks if benchmarks.is_file() else None, round)


@dataclass(frozen=True)
class Outline:
    """Facts of the data before it is ingested: eras, rows per era, columns, target and its horizon.

    reach_days: the longest horizon of all targets, auxiliary ones included. files_bytes: of files that are still to be made.
    sets: feature set → positions of its features, the raw ones first.
    """

    table: EraTable
    n_rows: tuple[int, ...]
    n_columns: int
    target: str
    horizon_days: int | None
    reach_days: int | None
    in_store: bool
    files_bytes: int = 0
    sets: Mapping[str, Sequence[int]] = field(default_factory=dict)


class Source(Component):
    """A source of data."""

    feature_set: str = Field("medium", description="the features that generators and models read, by name of the set")
    target: str = Field("target", description="the target to learn and to be scored on, by column name")
    auxiliary_targets: list[str] = Field(
        default_factory=list,
        description="further targets, by column name, that supervised_autoencoder learns beside the target; never scored; "
        "embargo and purge follow the longest horizon of all",
    )
    horizon_days: int | None = Field(
        None,
        gt=0,
        description="business days the target looks ahead, and auxiliary ones whose names don't tell; read off names that end "
        "in _20 or _60",
    )
    id_column: str = Field("id", description="column of row ids; the parquet index is found under its own name")
    era_column: str = Field(
        "era",
        description="column of eras: numbers (`0001`, `era1`, `week 1`, integers) or dates (20200103, `2020-01-03`, datetimes), "
        "which become week numbers; X is live and left out",
    )
    days_per_era: int = Field(
        DAYS_PER_ERA,
        gt=0,
        description="business days that pass from one era to the next: 5 for weekly eras, 1 for daily ones; embargo, purge and "
        "the blocks of the bootstrap are counted by it, and so are eras that are dates",
    )
    feature_prefix: str = Field("feature", description="how feature columns begin where no features.json lists them")

    @field_validator("auxiliary_targets")
    @classmethod
    def _each_once(cls, names: list[str], info: ValidationInfo) -> list[str]:
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise ValueError(f"{twice!r} is named twice")
        if info.data.get("target") in names:
            raise ValueError(f"{info.data['target']!r} is the target itself; name others beside it")
        return names

    @property
    def truth(self) -> Path | None:
        """The file of expected returns, where the data are synthetic and it is there. No fit reads it."""
        return None

    @property
    def input_sets(self) -> tuple[str, ...]:
        """Feature sets that a variant may read by name, as it reads a generator's columns."""
        return ()

    @property
    def cache_folders(self) -> tuple[Path, ...]:
        """Folders of the cache that hold the files; empty where the files are the user's."""
        return ()

    @abstractmethod
    def files(self, progress: Progress = no_progress) -> Tournament:
        """The files, made or downloaded where they are missing. Raises NlabError where they can't be."""

    @property
    def live_folder(self) -> Path | None:
        """The folder in which a table of live rows may lie."""
        return self.cache_folders[0] if self.cache_folders else None

    def live(self, progress: Progress = no_progress) -> LiveFiles:
        """The files of live rows. Raises NlabError where there are none."""
        if self.cache_folders:
            self.files(progress)  # made again, where the cache has lost them
        folder = self.live_folder
        table = next((folder / name for name in LIVE_TABLES if (folder / name).is_file()), None) if folder else None
        if table is None:
            where = f"{folder} has no {LIVE_TABLES[0]}" if folder else "the run's data has no file of live rows"
            raise NlabError(f"{where}; name one with --data FILE")
        return LiveFiles.beside(table)

    @abstractmethod
    def version_label(self) -> str:
        """The data's version; `compare` shows it to tell whether two runs saw the same data."""

    def planned(self) -> Outline | None:
        """The facts of the files, where they are known before the files are made; else None."""
        return None
