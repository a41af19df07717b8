"""Files beside a run: pages and tables that users ask for, and changes of a finished run's folder."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from numerai_lab import __version__
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import MANIFEST, MODELS, PER_ERA, REFITS, SCHEMA, SCORES, SCORES_PAGE
from numerai_lab.runs.reading import FILES, SIGNED, Run, damaged_run, room
from numerai_lab.storage.checksums import changed, checksum, checksums
from numerai_lab.storage.folders import built
from numerai_lab.storage.plain_files import odd
from numerai_lab.storage.signing import signature
from numerai_lab.storage.stamped_json import read_mapping, read_stamped, with_stamp
from numerai_lab.storage.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class Tables(NamedTuple):
    """Scores by variant and split, and by variant, seed and era."""

    scores: "pl.DataFrame"
    per_era: "pl.DataFrame"


def write_scores(folder: Path, tables: "Tables", text: str, facts: Mapping[str, Any]) -> None:
    """Scores in a new folder, complete or absent, with a manifest by which `nlab compare` sets them beside runs.

    text: of scores.md. facts: of data, splits and scoring, as a run's manifest has them. Raises NlabError if the folder exists.
    """
    if folder.exists():
        raise NlabError(f"--out: {folder} exists already; name a new folder")
    nothing_trained: dict[str, Any] = {
        **{key: {} for key in ("packages", "machine", "stages")},
        **{key: [] for key in ("cache_hits", "seeds", "command")},
    }
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    manifest = {"schema": SCHEMA, "name": folder.name, "nlab": __version__, "started": started, **nothing_trained, **facts}
    with built(folder) as work:
        tables.scores.write_csv(work / SCORES)
        tables.per_era.write_parquet(work / PER_ERA)
        (work / SCORES_PAGE).write_text(text, encoding="utf-8")
        sums = checksums([work / SCORES, work / PER_ERA, work / SCORES_PAGE], work)
        (work / MANIFEST).write_text(with_stamp({**manifest, FILES: sums}), encoding="utf-8")


@contextmanager
def growing_table(path: Path, schema: "pa.Schema") -> Iterator[Callable[["pa.Table"], None]]:
    """A parquet file that gains a row group per call, and takes its name when the block ends without an error.

    Raises NlabError where the file can't be written.
    """
    import pyarrow.parquet as pq

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file, pq.ParquetWriter(file, schema) as writer:
            yield writer.write_table
    except OSError as error:
        raise NlabError(f"{path}: can't be written ({error.strerror or error})") from error


def write_page(path: Path, content: str | bytes) -> None:
    """Writes a card, page or plot where the user wants it. Raises NlabError where it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise NlabError(f"{path}: can't be written ({error.strerror or error})") from error


def check_writable(path: Path) -> None:
    """Raises NlabError, before any expensive work, when no file can be written there."""
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not there.is_dir() or not os.access(there, os.W_OK):
        raise NlabError(f"{path}: can't be written; name another file")


def replace_page(run: Path, name: str, text: str, **changes: object) -> None:
    """Writes a file of a finished run and its checksum in the manifest. changes: further changes of the manifest."""
    write_page(run / name, text)
    facts = read_mapping(run / MANIFEST)
    if FILES in facts:  # old runs have no checksums
        facts = read_stamped(run / MANIFEST)
        write_page(run / MANIFEST, with_stamp({**facts, **changes, FILES: {**facts[FILES], name: checksum(run / name)}}))


def trusted(run: Run) -> int:
    """Marks the models of a run folder, and of its refits, as written here; returns their number.

    Raises NlabError where one is not what the manifest says, or larger than the memory that is free.
    """
    names = [name for name in run.manifest.get(FILES, {}) if name.startswith(f"{MODELS}/")]
    paths = _models_of(run.path)
    if damage := changed(run.path, {name: run.manifest[FILES][name] for name in names}):
        raise damaged_run(run.path, damage)
    for refit in sorted((run.path / REFITS).glob(f"*/{MANIFEST}")):
        note_in_manifest(refit.parent, SIGNED, signature(_models_of(refit.parent), refit.parent))
    note_in_manifest(run.path, SIGNED, signature(paths, run.path))
    return len(paths)


def _models_of(folder: Path) -> list[Path]:
    paths = [path for path in (folder / MODELS).glob("*") if path.is_file()]
    for path in paths:
        if why := odd(path, room(path)):
            raise damaged_run(folder, f"{path.relative_to(folder)} {why}")
    return paths


def note_in_manifest(run: Path, key: str, value: Any) -> None:
    """Adds a fact to the manifest of a finished run."""
    facts = read_mapping(run / MANIFEST)
    facts = read_stamped(run / MANIFEST) if FILES in facts else facts
    write_page(run / MANIFEST, with_stamp({**facts, key: value}))
