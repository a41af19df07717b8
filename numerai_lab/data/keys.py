"""Names of stores: hashes of the content of files, the columns to read, and the code that reads them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from numerai_lab.core.errors import NlabError
from numerai_lab.data.source import Source, Tournament
from numerai_lab.data.table import FeatureColumns, Table
from numerai_lab.storage.checksums import KnownChecksums
from numerai_lab.storage.code_version import code_version, library_versions
from numerai_lab.storage.era_store import EXTRAS, LABELS, ROWS, SCORING_FEATURES, STORE_VERSION, Store
from numerai_lab.storage.folders import key_of

LIBRARIES = ("numpy", "polars", "pyarrow")
"""Libraries that turn files into arrays."""


@dataclass(frozen=True)
class StoreKeys:
    """Names of the stores that some files are read into.

    The same bytes have the same names on every machine, in every folder and under every file name.

    Parameters
    ----------
    tables, extras: hashes of the content of files with rows, and of files with predictions (meta model, benchmarks).
    files: a hash of the content of each file with rows.
    reader: a hash of the code and libraries that read them.
    """

    tables: str
    extras: str
    reader: str
    files: tuple[str, ...]

    @classmethod
    def of(cls, tournament: Tournament, known: KnownChecksums, reader: type) -> "StoreKeys":
        """The names for these files. Raises NlabError for a file that can't be read.

        reader: a class whose module, with all its imports, reads the files.
        """
        files = tuple(content_of([path], known) for path in tournament.tables)
        return cls(content_of(tournament.tables, known), content_of(tournament.extras, known), _version_of(reader), files)

    def rows(self, source: Source, columns: Sequence[str]) -> str:
        """Name of the store of rows with these feature columns."""
        return key_of("rows", self._order(source), list(columns), source.feature_prefix)

    def reading(self, source: Source, columns: Sequence[str]) -> str:
        """A hash of how rows with these feature columns are read, whatever the files."""
        return key_of("reading", self._how(source), list(columns), source.feature_prefix)

    def labels(self, source: Source, target: str, horizon_days: int | None) -> str:
        """Name of the store of a target column; horizon_days: as declared by the config or the files' format."""
        return key_of("labels", self._order(source), target, horizon_days)

    def scoring_features(self, source: Source, columns: Sequence[str]) -> str:
        """Name of the store of scoring features with these columns."""
        return key_of("scoring features", self._order(source), list(columns), source.feature_prefix)

    def extra_columns(self, source: Source) -> str:
        """Name of the store of the meta model's and benchmarks' predictions for all rows."""
        return key_of("extras", self._order(source), self.extras)

    def _order(self, source: Source) -> list[object]:
        """The facts that the order of rows depends on."""
        return [self._how(source), self.tables]

    def _how(self, source: Source) -> list[object]:
        """The facts that decide how files become rows, beside their content."""
        return [STORE_VERSION, self.reader, source.model_dump(include={"id_column", "era_column", "days_per_era"})]


@dataclass(frozen=True)
class Stores:
    """The stores that a panel is a view of. labels: of the target, then of auxiliary targets.

    scoring_features, extras: None where the run needs no scoring features, or the files hold no predictions.
    """

    rows: Store
    labels: tuple[Store, ...]
    scoring_features: Store | None
    extras: Store | None

    @classmethod
    def of(cls, cache: Path, tables: Sequence[Table], columns: FeatureColumns, keys: StoreKeys) -> "Stores":
        """The stores of some tables: the table of the target first, then one per auxiliary target."""
        source = tables[0].source
        labels = [keys.labels(source, table.target_column, table.declared_horizon_days) for table in tables]
        scoring = keys.scoring_features(source, columns.scoring) if columns.scoring else ""
        extras = keys.extra_columns(source) if tables[0].tournament.extras else ""
        return cls(
            rows=Store(cache / ROWS / keys.rows(source, columns.raw)),
            labels=tuple(Store(cache / LABELS / key) for key in labels),
            scoring_features=Store(cache / SCORING_FEATURES / scoring) if scoring else None,
            extras=Store(cache / EXTRAS / extras) if extras else None,
        )

    @property
    def all(self) -> tuple[Store, ...]:
        """The stores that these data have."""
        return tuple(store for store in (self.rows, *self.labels, self.scoring_features, self.extras) if store is not None)

    def refuse_other_lengths(self) -> None:
        """Raises NlabError where a store does not have the rows of the others, as only one that was changed does."""
        wanted = self.rows.n_rows()
        for store in self.all:
            n_rows = store.n_rows()
            if n_rows not in (wanted, None):
                raise NlabError(
                    f"{store.folder} holds {n_rows} rows and {self.rows.folder} {wanted} of the same data, so that one was "
                    "changed; remove both"
                )


def content_of(paths: Iterable[Path], known: KnownChecksums) -> str:
    """A hash of the content of files: sizes and CRC-32, in order, without names and folders.

    Raises NlabError for a file that can't be read.
    """
    facts = []
    for path in paths:
        try:
            facts.append([path.stat().st_size, known.of(path)])
        except OSError as error:
            raise NlabError(f"{path}: can't be read: {error.strerror or error}") from error
    return key_of("content", facts)


def _version_of(reader: type) -> str:
    libraries = {name: version for name, version in library_versions(reader).items() if name in LIBRARIES}
    return key_of(code_version(reader), libraries)
