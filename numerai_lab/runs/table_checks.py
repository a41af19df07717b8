"""Whether scores.csv and per_era.parquet are the tables of a run, whoever wrote them."""

import itertools
import re
from typing import TYPE_CHECKING

from numerai_lab.core.formatting import printable
from numerai_lab.metrics import ERA_METRICS, METRICS
from numerai_lab.metrics.changes import DELTAS
from numerai_lab.metrics.scoring import split_names
from numerai_lab.runs.layout import PER_ERA, SCORES

if TYPE_CHECKING:
    import polars as pl

LONGEST_NAME = 200
COUNTS = ("n_eras", "n_seeds")


def check_tables(scores: "pl.DataFrame", eras: "pl.DataFrame") -> None:
    """Raises ValueError where the tables are not those of a run: columns, types, names, rows, or counts that count nothing."""
    import polars as pl

    tested = [name for name, _ in DELTAS if name in ERA_METRICS]
    of_scores, of_eras = {"variant", "split", "corr_mean", "n_eras"}, {"variant", "split", "era", "seed", *tested}
    lacking = of_scores - {*scores.columns} | of_eras - {*eras.columns}
    if lacking:
        raise ValueError(f"no column {min(lacking)}")
    for name in ("era", "seed"):
        if not eras[name].dtype.is_integer() or eras[name].has_nulls():
            raise ValueError(f"column {name} holds no whole numbers")
    for table, name in itertools.product((scores, eras), ("variant", "split")):
        if table[name].dtype != pl.String or table[name].has_nulls():
            raise ValueError(f"column {name} holds no names")
        if any(len(text) > LONGEST_NAME or printable(text) != text for text in {*table[name].to_list()}):
            raise ValueError(f"column {name} holds what is no name")
    for table in (scores, eras):
        for name, dtype in table.schema.items():
            if not dtype.is_numeric() and _is_measure(name) and table[name].null_count() < len(table):
                raise ValueError(f"column {name} holds no numbers")
            if dtype.is_float() and name.endswith(COUNTS) and not table[name].drop_nulls().is_finite().all():
                raise ValueError(f"column {name} holds no counts")
    variants = {*scores["variant"].to_list()}
    if variants != {*eras["variant"].to_list()}:
        raise ValueError(f"{SCORES} and {PER_ERA} name different variants")
    expected = sorted(itertools.product(variants, split_names(eras)))
    if sorted(zip(scores["variant"].to_list(), scores["split"].to_list(), strict=True)) != expected:
        raise ValueError(f"{SCORES} has not one row a variant and split")


def _is_measure(column: str) -> bool:
    """Whether a column of a score table holds numbers: a metric, a change or a share of one, or a count."""
    return re.sub(r"^delta_(placebo_|untrained_)?", "", column).startswith((*METRICS, "share_of_", "n_"))
