"""The rows of today, which have no target and no era yet: the store leaves them out, exports want them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from numerai_lab.basics import NlabError
from numerai_lab.data.cells import BadCell, encoding_of
from numerai_lab.data.files import LAYOUTS
from numerai_lab.data.source import Source
from numerai_lab.data.table import Table, reading
from numerai_lab.panel import Block, Panel

if TYPE_CHECKING:
    import polars as pl

FILES = ("live.parquet", "live_int8.parquet", "numerai_live_data_int8.parquet", "numerai_live_data.parquet")
"""v5 and v4; the int8 twins; v3. The CSVs of 2019 to 2021 hold live rows among those of the tournament."""
ERAS = ("X", "eraX")


@dataclass(frozen=True)
class Live:
    """Ids, sorted, and the rows as a block whose era follows the last one of the panel."""

    ids: list[str]
    block: Block


def live_rows(source: Source, panel: Panel) -> Live | None:
    """The live rows beside or among the source's tables, in the panel's units; None where there are none.

    Raises NlabError where they lack features or hold other values than the panel's.
    """
    tournament = source.files()
    names = [name for layout in LAYOUTS for name in layout.tables]
    folder = tournament.tables[0].parent if tournament.tables[0].name in names else None
    path = next((folder / name for name in FILES if (folder / name).is_file()), None) if folder else None
    table = Table(source, replace(tournament, tables=(path,), extras=()) if path else tournament)
    where = table.tournament.tables[0]
    features = list(panel.raw_names)
    missing = [name for name in features if name not in table.schema]
    if missing:
        raise NlabError(f"{where}: lacks {len(missing)} features, such as {missing[0]!r}; remove it to export without live rows")
    frame = _rows(table, features, everything=path is not None)
    if not len(frame):
        return None
    encoding = encoding_of(table, features)
    if encoding.dtype != panel.features.dtype:
        raise NlabError(f"{where}: live rows hold {encoding.dtype} features, the other tables {panel.features.dtype}")
    try:
        cells, _ = encoding.cells(frame.select(features))
    except BadCell as bad:
        row, column = bad.args
        raise NlabError(
            f"{where}: feature {features[column]!r} holds {frame[row, column + 1]}, wanted {encoding.wanted}"
        ) from None
    return Live(frame["id"].to_list(), Block(int(panel.eras[-1]) + 1, cells, panel.top))


def _rows(table: Table, features: list[str], everything: bool) -> "pl.DataFrame":
    """id and features of live rows; everything: of a table that holds no others."""
    import polars as pl

    wanted = pl.lit(True) if everything else pl.col(table.source.era_column).cast(pl.String).is_in(ERAS)
    columns = [pl.col(table.id_column).cast(pl.String).alias("id"), *map(pl.col, features)]
    with reading(table.tournament.tables[0]):
        parts = [lazy.filter(wanted).select(columns).collect(engine="streaming") for lazy in table.scans]
        return pl.concat([part for part in parts if len(part)] or parts[:1], how="vertical_relaxed").sort("id")
