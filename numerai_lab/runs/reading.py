"""Reads finished runs, and checks them against their checksums and schema."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.errors import NlabError
from numerai_lab.metrics.significance import block_length
from numerai_lab.runs.layout import CONFIG, ERROR_TEXT, MANIFEST, MODELS, PER_ERA, PORTABLE, PREDICTIONS, REPORT, SCORES
from numerai_lab.runs.manifest import checked
from numerai_lab.runs.table_checks import check_tables
from numerai_lab.storage.checksums import changed
from numerai_lab.storage.machine import free_memory
from numerai_lab.storage.plain_files import MOST_TEXT, odd, odd_entry, read_plain
from numerai_lab.storage.signing import signed_digests
from numerai_lab.storage.stamped_json import STAMP, read_mapping, read_stamped

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    from numerai_lab.config.schema import Config

FILES = "files"
"""The manifest's checksums by path; older runs have no checksums and are read unchecked."""
DEFINING = ("fnc", "meta_model", "benchmark", "payout", "least_rows")
"""Of the manifest's `scoring`: what FNC, MMC, BMC and the payout are computed against, and which eras are left out."""
DIGESTS = ("scored rows", "data identity", "meta model and benchmarks")
"""Of what runs have to agree in: digests of content, which tell people nothing."""
SIGNED = "signed"
"""The manifest's SHA-256 of model files, with the mark of the installation that wrote them."""
CONTAINED = "NLAB_CONTAINED"
"""Environment variable of a process that may read models of any origin: it has limits, and another one watches it."""
CELL_BYTES = 4
Result = TypeVar("Result")
WAYS_OUT = {
    CONFIG: "; to use what was edited, run it as a config of its own: nlab run config.yaml",
    REPORT: "; `nlab open --redraw` draws it anew",
    PREDICTIONS: "; run its config again",
}


class ForeignRun(NlabError):
    """Models of a run folder that this installation did not write; the command line opens them in a process of its own."""

    def __init__(self, run: Path) -> None:
        self.run = run
        super().__init__(
            f"{run}: from elsewhere, this installation did not write it; `nlab trust {run}` lets its models be opened here, and "
            "commands such as `nlab predict` open them in a process with limits"
        )


@dataclass(frozen=True)
class RunFiles:
    """A folder of files whose checksums are in a manifest."""

    path: Path
    manifest: dict[str, Any]
    under_construction: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def content(self, name: str) -> bytes:
        """The content of a file. Raises NlabError when it is not what was written, or a model that was written elsewhere."""
        self._check(name)
        try:
            content = read_plain(self.path / name, room(self.path / name))
        except (ValueError, OSError) as error:
            raise damaged_run(self.path, error) from error
        trusted = self.under_construction or os.environ.get(CONTAINED)
        if name.startswith(f"{MODELS}/") and name != PORTABLE and not trusted:
            if not self.own:
                raise ForeignRun(self.path)
            if hashlib.sha256(content).hexdigest() != self._signed.get(name):
                raise damaged_run(self.path, f"{name} is not what this installation wrote")
        return content

    @property
    def own(self) -> bool:
        """Whether this installation wrote the folder, or `nlab trust` marked it."""
        return bool(self._signed)

    @cached_property
    def _signed(self) -> dict[str, str]:
        return signed_digests(self.manifest.get(SIGNED))

    def columns(self, name: str) -> list[str]:
        """Names of the columns of a .parquet file. Raises NlabError when it is not what was written."""
        return self._parquet(name, lambda file: file.schema_arrow.names)

    def table(self, name: str, columns: Sequence[str] | None = None) -> "pl.DataFrame":
        """Columns of a .parquet file. Raises NlabError when it is not what was written, or does not fit into memory."""
        import polars as pl

        return self._parquet(name, lambda file: pl.DataFrame(_whole(file, columns)))

    def arrow_table(self, name: str) -> "pa.Table":
        """All columns of a .parquet file, as `table` but by pyarrow."""
        return self._parquet(name, lambda file: _whole(file, None))

    def _parquet(self, name: str, read: "Callable[[pq.ParquetFile], Result]") -> "Result":
        """Reads by pyarrow: a file that somebody forged can make polars abort the process."""
        import polars as pl
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._check(name)
        errors = (pa.ArrowException, ValueError, OSError, NotImplementedError, KeyError, OverflowError)
        try:
            with pq.ParquetFile(self.path / name) as file:
                return read(file)
        except (*errors, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise damaged_run(self.path, f"{name}: {error}") from error

    def _check(self, name: str) -> None:
        """Raises NlabError when a file is not what was written, no plain file, or larger than the memory that is free."""
        if why := odd(self.path / name, room(self.path / name)):
            damage = f"{name} {why}"
        else:
            damage = changed(self.path, {key: crc for key, crc in self.manifest.get(FILES, {}).items() if key == name})
        if damage:
            raise damaged_run(self.path, damage + WAYS_OUT.get(name, ""))

    @cached_property
    def config(self) -> "Config":
        """The config with every default, as the run resolved it. Raises NlabError where config.yaml is not what was written."""
        from numerai_lab.config.loading import load_recorded

        self.content(CONFIG)
        return load_recorded(self.path / CONFIG)


@dataclass(frozen=True)
class Run(RunFiles):
    """A finished run."""

    scores: "pl.DataFrame"
    per_era: "pl.DataFrame"


def read_run(path: Path) -> Run:
    """A run folder. Raises NlabError when it is no run folder, failed, or damaged."""
    import polars as pl

    files = finished_files(path)
    try:
        texts = dict.fromkeys(("variant", "split", "notes"), pl.String)  # a variant may be named 001 or 1e5
        scores = pl.read_csv(files.content(SCORES), infer_schema_length=None, schema_overrides=texts)
    except (ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise damaged_run(path, error) from error
    return run_of(files, scores)


def finished_files(path: Path) -> RunFiles:
    """The files of a finished run, of which only the manifest is read. Raises NlabError as `read_run` does."""
    if (path / ERROR_TEXT).exists():
        raise NlabError(f"{path}: this run failed ({failure_text(path)})")
    if not (path / MANIFEST).is_file():
        raise NlabError(f"{path}: not a run folder (no {MANIFEST})")
    try:
        if odd_one := odd_entry(path):
            raise ValueError(f"{odd_one}; a run is read where all its files lie in its folder")
        return RunFiles(path, read_manifest(path / MANIFEST))
    except (ValueError, OSError) as error:
        raise damaged_run(path, error) from error


def run_of(files: RunFiles, scores: "pl.DataFrame") -> Run:
    """The run with these scores of its scores.csv. Raises NlabError where they, or its scores by era, are not as written."""
    import polars as pl

    try:
        eras = files.table(PER_ERA)
        check_tables(scores, eras)
    except (ValueError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise damaged_run(files.path, error) from error
    return Run(files.path, files.manifest, scores, eras)


def asked_config(run: Run) -> str:
    """The YAML of the config as the run was asked for, before its `auto`s were decided; older runs have config.yaml alone."""
    text = run.manifest.get("asked_config")
    return text if isinstance(text, str) else run.content(CONFIG).decode()


def block_of(manifest: Mapping[str, Any]) -> int:
    """Mean block of the bootstrap in eras. Older runs record no days per era; their eras are weeks."""
    data = manifest["data"]
    return block_length(data["horizon_days"], data.get("days_per_era", DAYS_PER_ERA))


def terms(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that runs must share to be ranked together: data, eras, targets and the definition of scores."""
    scoring, facts = manifest["scoring"], dict(manifest["comparable"])
    if "data identity" in facts:  # older runs have none; names and sizes of files are for people
        facts.pop("data version", None)
    return {**facts, **{key: scoring.get(key) for key in DEFINING}}


def differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The terms that differ between two runs, as text: `target (target against target_agnes_60)`."""
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    return "; ".join(f"{key} ({mine.get(key)} against {theirs.get(key)})" for key in keys)


def damaged_run(path: Path, why: object) -> NlabError:
    """The error for a run folder that is not as it was written."""
    return NlabError(f"{path}: damaged run folder ({(str(why).splitlines() or [repr(why)])[0]})")


def failure_text(path: Path) -> str:
    """The last line of failed.txt."""
    try:
        lines = read_plain(path / ERROR_TEXT).decode(errors="replace").strip().splitlines()
    except (ValueError, OSError) as error:
        return str(error)
    return lines[-1] if lines else "failed.txt is empty"


def room(path: Path) -> int:
    """Bytes of the largest file to read: more than `MOST_TEXT` only where memory has room, which takes time to ask."""
    large = path.is_file() and path.lstat().st_size > MOST_TEXT
    return max(MOST_TEXT, free_memory()) if large else MOST_TEXT


def _whole(file: "pq.ParquetFile", columns: Sequence[str] | None) -> "pa.Table":
    """Columns of a table that fits into memory; one of many equal values takes hardly a byte on disk. Raises ValueError.

    Without metadata, of which polars panics where a key is no UTF-8.
    """
    import pyarrow as pa

    lacking = {*(columns or ())} - {*file.schema_arrow.names}
    if lacking:
        raise ValueError(f"no column {min(lacking)}")
    n_rows, n_columns = file.metadata.num_rows, len(columns or file.schema_arrow.names)
    n_bytes = n_rows * n_columns * CELL_BYTES
    if n_bytes > MOST_TEXT and n_bytes > free_memory():
        raise ValueError(f"{n_rows:,} rows of {n_columns} columns are more than memory has room for")
    table = file.read(columns, use_threads=False)
    table.validate(full=True)
    return pa.Table.from_arrays(table.columns, names=table.column_names)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest.json at a path. Raises ValueError when it is not what was written, OSError when it can't be read."""
    facts = read_mapping(path)
    if STAMP in facts or FILES in facts:
        facts = read_stamped(path)
    return checked(facts)
