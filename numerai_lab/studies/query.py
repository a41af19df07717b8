"""SQL over all run folders, by DuckDB: read-only, and without any access to files beside them."""

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from numerai_lab.core.errors import NlabError
from numerai_lab.core.requirements import absent, how_to_install
from numerai_lab.runs.query_schema import TABLES
from numerai_lab.runs.run_tables import run_tables

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection


def query(sql: str, runs_dir: Path) -> "pl.DataFrame":
    """The rows that a query gives over the tables of `runs.query_schema`.

    Only tables whose names stand in the query are read. Raises NlabError
    where DuckDB is absent, and with its message where it refuses the query.
    """

    if absent(["duckdb"]):
        raise NlabError(f"query: needs {how_to_install(['duckdb'])}")
    import duckdb

    wanted = [name for name in TABLES if re.search(rf"\b{name}\b", sql, flags=re.IGNORECASE)]
    tables = run_tables(runs_dir, wanted)
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        try:
            for name, table in tables.items():
                connection.register(name, table)
            connection.execute("SET lock_configuration = true")
            return _rows(connection, sql)
        except duckdb.Error as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise NlabError(f"query: {'; '.join(lines[:3])}; tables: {', '.join(TABLES)} (`nlab docs query`)") from error


def _rows(connection: "DuckDBPyConnection", sql: str) -> "pl.DataFrame":
    import polars as pl

    result = connection.execute(sql)
    if result is None or not result.description:
        raise NlabError('query: no statement; for example: nlab query "SELECT run, variant, corr FROM variants"')
    names = [str(column[0]) for column in result.description]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise NlabError(f"query: two columns are called {twice!r}; name one otherwise, with AS")
    try:
        rows = [tuple(map(_plain, row)) for row in result.fetchall()]
    except (OverflowError, ValueError, TypeError) as error:
        raise NlabError(f"query: a value is none of Python's ({error}); CAST(… AS VARCHAR) shows it") from error
    try:
        return pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    except (pl.exceptions.PolarsError, OverflowError, TypeError):  # values of one column that no type holds
        texts = [tuple(None if value is None else str(value) for value in row) for row in rows]
        return pl.DataFrame(texts, schema=dict.fromkeys(names, pl.String), orient="row")


def _plain(value: object) -> object:
    """A value that every format can show: numbers and text as they are, others (dates, lists, bytes …) as text."""
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
