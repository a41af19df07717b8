"""Eras as the data files write them, for files that are to be merged with them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numerai_lab.core.eras import era_label
from numerai_lab.data.scan import reading
from numerai_lab.data.source import Source
from numerai_lab.data.table import Table

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True)
class EraLabels:
    """Eras in the notation of the first data file. values: era number → label; dtype: of the labels, text for categories."""

    values: dict[int, Any]
    dtype: "pa.DataType"

    def column(self, era: int | None, n_rows: int) -> "pa.Array":
        """The label of an era for each of its rows; null for live rows, whose era is None."""
        import pyarrow as pa

        return pa.array([None if era is None else self.values[era]] * n_rows, self.dtype)


def era_labels(source: Source) -> EraLabels:
    """The labels of all eras of the source's files. Raises NlabError as `Table` does."""
    import polars as pl

    table = Table(source, source.files())
    numbers, own = table.eras().numbers, pl.col(table.era_column)
    own = own.cast(pl.String) if table.schema[table.era_column] in (pl.Categorical, pl.Enum) else own
    frames = []
    for lazy, path in zip(table.scans, table.tournament.tables, strict=True):
        with reading(path):
            written = lazy.select(era_label(table.era_column).alias("text"), own.alias("label"))
            frames.append(written.unique().collect(engine="streaming"))
    labels = _in_one_type(frames).filter(pl.col("text").is_in(list(numbers))).sort("text")
    values: dict[int, Any] = {}
    for text, label in labels.rows():
        values.setdefault(numbers[text], label)
    return EraLabels(values, labels["label"].to_arrow().type)


def _in_one_type(frames: "list[pl.DataFrame]") -> "pl.DataFrame":
    """All labels as the first file types them; as text where the files differ."""
    import polars as pl

    if len({str(frame["label"].dtype) for frame in frames}) > 1:
        frames = [frame.with_columns(pl.col("text").alias("label")) for frame in frames]
    return pl.concat(frames)
