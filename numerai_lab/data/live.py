"""The live rows, without target or era, which exports transform and stores leave out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.eras import LIVE, era_label
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.data.cells import BadCell, CellEncoding, encodings_of
from numerai_lab.data.files import LAYOUTS
from numerai_lab.data.parquet_pages import refuse_damaged_pages
from numerai_lab.data.scan import reading
from numerai_lab.data.source import LIVE_TABLES, Source
from numerai_lab.data.table import Table

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Live:
    """Ids, sorted, and the live rows as a block whose era follows the last era of the panel."""

    ids: list[str]
    block: Block


def live_rows(source: Source, panel: Panel) -> Live | None:
    """The live rows beside or among the source's tables, in the panel's units; None where there are none.

    Raises NlabError where they lack features or hold other values than the panel's.
    """
    tournament = source.files()
    names = [name for layout in LAYOUTS for name in layout.tables]
    folder = tournament.tables[0].parent if tournament.tables[0].name in names else None
    path = next((folder / name for name in LIVE_TABLES if (folder / name).is_file()), None) if folder else None
    table = Table(source, replace(tournament, tables=(path,), extras=()) if path else tournament)
    where = table.tournament.tables[0]
    features = list(panel.raw_names)
    missing = [name for name in features if name not in table.schema]
    if missing:
        raise NlabError(f"{where}: lacks {len(missing)} features, such as {missing[0]!r}; remove it to export without live rows")
    frames, encodings = _rows(table, features, everything=path is not None), encodings_of(table, features)
    if encodings[0].dtype != panel.features.dtype:
        raise NlabError(f"{where}: live rows hold {encodings[0].dtype} features, the other tables {panel.features.dtype}")
    ids = [name for frame in frames for name in frame["id"]]
    if not ids:
        return None
    cells = np.concatenate(
        [
            _cells(file, frame, encoding, features)
            for file, frame, encoding in zip(table.tournament.tables, frames, encodings, strict=True)
            if len(frame)
        ]
    )
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return Live([ids[i] for i in order], Block(int(panel.eras[-1]) + 1, cells[order], panel.top))


def _cells(path: Path, frame: "pl.DataFrame", encoding: CellEncoding, features: list[str]) -> Array:
    try:
        return encoding.cells(frame.select(features))[0]
    except BadCell as bad:
        row, column = bad.args
        raise NlabError(
            f"{path}: feature {features[column]!r} holds {frame[row, column + 1]!r} for id {frame['id'][row]!r}, "
            f"wanted {encoding.accepted_values}"
        ) from None


def _rows(table: Table, features: list[str], everything: bool) -> "list[pl.DataFrame]":
    """Ids and features of live rows, one frame per file; everything: whether the table holds live rows only."""
    import polars as pl

    is_live = pl.lit(True) if everything else era_label(table.era_column).str.strip_chars().is_in(LIVE)
    for path in table.tournament.tables:
        refuse_damaged_pages(path, features)
    columns = [pl.col(table.id_column).cast(pl.String).alias("id"), *map(pl.col, features)]
    with reading(table.tournament.tables[0]):
        return [lazy.filter(is_live).select(columns).collect(engine="streaming") for lazy in table.scans]
