"""Many runs at once: their scores.csv and per_era.parquet, each kind as one table with a column `run`, or by run."""

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import PER_ERA, SCORES
from numerai_lab.runs.reading import Run, RunFiles, damaged_run, finished_files, read_run, run_of

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

Key = TypeVar("Key", bound=Hashable)
TEXTS = ("variant", "split", "notes", "verdict", "reference", "placebo", "untrained")
"""Columns of scores.csv that hold text, whatever it looks like: a variant may be named 001."""
TEXT = "(large_)?string(_view)?"
PLAIN = re.compile(rf"u?int\d+|float|double|bool|null|{TEXT}|dictionary<values={TEXT}, .*>")
"""Names of Arrow's types that columns of a table of scores have."""


def scores_text(run: RunFiles) -> str:
    """The text of a run's scores.csv. Raises NlabError where it is damaged or no table."""
    try:
        text = run.content(SCORES).decode()
        n_columns = {len(row) for row in csv.reader(io.StringIO(text), strict=True)}
        if len(n_columns) != 1:
            raise ValueError(f"{SCORES} has rows of {' and '.join(map(str, sorted(n_columns))) or 'no'} fields")
    except (ValueError, OSError, csv.Error) as error:
        raise damaged_run(run.path, error) from error
    return text if text.endswith("\n") else f"{text}\n"


def read_runs(paths: Sequence[Path]) -> list[Run | NlabError]:
    """Each run folder as `read_run` gives it, or its error; score tables are parsed together, which is many times faster."""
    outcomes: dict[Path, Run | NlabError] = {}
    files, texts = {}, {}
    for path in paths:
        try:
            files[path] = finished_files(path)
            texts[path] = scores_text(files[path])
        except NlabError as error:
            outcomes[path] = error
    for table, n_rows in _parsed_together(texts):
        ends = itertools.accumulate(n_rows.values())
        for (path, n), end in zip(n_rows.items(), ends, strict=True):
            outcomes[path] = _run_or_error(files[path], table.slice(end - n, n))
    for path in [path for path in texts if path not in outcomes]:
        outcomes[path] = _alone(path)
    return [outcomes[path] for path in paths]


def _run_or_error(files: RunFiles, scores: "pl.DataFrame") -> Run | NlabError:
    """The run; a table that is not as written may have been spoilt by another one that was parsed with it."""
    with contextlib.suppress(NlabError):
        return run_of(files, scores)
    return _alone(files.path)


def _alone(path: Path) -> Run | NlabError:
    try:
        return read_run(path)
    except NlabError as error:
        return error


def scores_of_all(texts: Mapping[str, str]) -> "pl.DataFrame | None":
    """The rows of all runs whose table can be parsed. texts: run → its scores.csv. None without runs."""
    import polars as pl

    tables = [_with_runs(table, n_rows) for table, n_rows in _parsed_together(texts)]
    return pl.concat(tables, how="diagonal_relaxed") if tables else None


def _parsed_together(texts: Mapping[Key, str]) -> "Iterator[tuple[pl.DataFrame, dict[Key, int]]]":
    """Yields the rows of all texts of scores.csv that have one header, and the number of rows of each text, in their order.

    Where one of them can't be parsed, or has rows that polars and Python count differently, each is parsed alone; such a one is
    left out.
    """
    by_header: dict[str, dict[Key, str]] = {}
    for key, text in texts.items():
        header, _, rows = text.partition("\n")
        by_header.setdefault(header, {})[key] = rows
    for header, bodies in by_header.items():
        for some in (bodies, *({key: rows} for key, rows in bodies.items())):
            n_rows = {key: sum(1 for _ in csv.reader(io.StringIO(rows))) for key, rows in some.items()}
            table = _parsed(f"{header}\n{''.join(some.values())}")
            if table is not None and len(table) == sum(n_rows.values()):
                yield table, n_rows
                if some is bodies:
                    break


def per_era_table(run: RunFiles) -> "pa.Table":
    """A run's per_era.parquet. Raises NlabError where it is damaged, or a column holds what is no number or text."""
    table = run.arrow_table(PER_ERA)
    for field in table.schema:
        if not PLAIN.fullmatch(str(field.type)):
            raise damaged_run(run.path, f"{PER_ERA}: column {field.name} holds {field.type}")
        if table.column_names.count(field.name) > 1:
            raise damaged_run(run.path, f"{PER_ERA}: two columns are called {field.name}")
    return table


def per_era_of_all(tables: Mapping[str, "pa.Table"]) -> "pa.Table | None":
    """The rows of all runs, which may be millions. tables: run → its per_era.parquet. None without runs."""
    import polars as pl
    import pyarrow as pa

    if not tables:
        return None
    try:
        rows = pa.concat_tables(tables.values(), promote_options="permissive")
    except pa.ArrowException:  # types that have nothing in common
        frames = [pl.DataFrame(table) for table in tables.values()]
        texts = sorted({name for frame in frames for name, dtype in frame.schema.items() if not dtype.is_numeric()})
        as_text = [
            frame.with_columns(pl.col(sorted({*texts} & {*frame.columns})).cast(pl.String, strict=False)) for frame in frames
        ]
        rows = pl.concat(as_text, how="diagonal_relaxed").to_arrow()
    place = np.repeat(np.arange(len(tables), dtype=np.int32), [table.num_rows for table in tables.values()])
    indices = pa.Array.from_buffers(pa.int32(), len(place), [None, pa.py_buffer(place)])  # pa.array imports pandas
    names = pa.DictionaryArray.from_arrays(indices, pl.Series(list(tables), dtype=pl.String).to_arrow())
    rows = rows.drop_columns(["run"]) if "run" in rows.column_names else rows
    return rows.add_column(0, "run", names)


def _with_runs(table: "pl.DataFrame", n_rows: Mapping[str, int]) -> "pl.DataFrame":
    """The table with the run of each row as first column. n_rows: run → number of its rows, in their order."""
    import polars as pl

    place = np.repeat(np.arange(len(n_rows)), list(n_rows.values()))
    names = pl.Series("run", list(n_rows), dtype=pl.String).gather(place)
    return table.select(names, pl.exclude("run"))


def _parsed(text: str) -> "pl.DataFrame | None":
    """The table in the text of a CSV; where a column can't be parsed, all columns are text. None where it is no table."""
    import polars as pl

    content = text.encode()
    names = next(csv.reader([text.partition("\n")[0]]), [])
    texts = {name: pl.String for name in TEXTS if name in names}
    try:
        return pl.read_csv(content, infer_schema_length=None, schema_overrides=texts)
    except pl.exceptions.PolarsError:
        with contextlib.suppress(pl.exceptions.PolarsError):
            return pl.read_csv(content, infer_schema=False)
    return None
