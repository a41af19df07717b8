"""The tables and columns that `nlab query` offers: a versioned promise."""

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """A column: its type in SQL, and what it means."""

    sql_type: Literal["VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"]
    meaning: str


SCHEMA = 1
"""Version of the tables below: rises when a table or column goes or changes its meaning."""
TABLES: dict[str, str] = {
    "runs": "a run folder a row, finished or not",
    "variants": "a variant of a finished run a row: its result over both halves of validation",
    "scores": "the rows of every scores.csv",
    "per_era": "the rows of every per_era.parquet",
    "settings": "a key of a run's config a row",
    "stages": "a phase or stage of a run a row",
    "warnings": "a remark that stands beside a run's numbers a row",
}
COLUMNS: dict[str, dict[str, Column]] = {
    "runs": {
        "run": Column("VARCHAR", "name of the folder"),
        "status": Column("VARCHAR", "`finished`, `failed`, `unfinished` or `damaged`"),
        "problem": Column("VARCHAR", "why it failed or can't be read; empty for finished runs"),
        "name": Column("VARCHAR", "name of the config"),
        "started": Column("VARCHAR", "when it began, ISO 8601"),
        "nlab": Column("VARCHAR", "version of the program"),
        "data": Column("VARCHAR", "version of the data"),
        "synthetic": Column("BOOLEAN", "whether the data is synthetic"),
        "target": Column("VARCHAR", "the resolved target"),
        "horizon_days": Column("BIGINT", "business days the target looks ahead"),
        "features": Column("BIGINT", "raw features"),
        "train_rows": Column("BIGINT", "rows of training eras"),
        "n_train": Column("BIGINT", "training eras"),
        "n_val": Column("BIGINT", "scored eras"),
        "n_seeds": Column("BIGINT", "seeds"),
        "reference": Column("VARCHAR", "the variant that others are compared with"),
        "leak": Column("VARCHAR", "the stamp of a lowered embargo; empty for none"),
        "seconds": Column("DOUBLE", "seconds of all phases"),
        "peak_bytes": Column("BIGINT", "the most memory of any phase"),
    },
    "variants": {
        "run": Column("VARCHAR", "name of the folder"),
        "variant": Column("VARCHAR", "name of the variant"),
        "placebo": Column("VARCHAR", "its placebo; null where there is none"),
        "n_eras": Column("BIGINT", "scored eras"),
        "corr": Column("DOUBLE", "mean corr"),
        "sharpe": Column("DOUBLE", "mean over standard deviation of corr by era"),
        "delta_corr": Column("DOUBLE", "change of mean corr against the reference; null for the reference"),
        "low": Column("DOUBLE", "lower end of its 95 % interval, all of the run at once"),
        "high": Column("DOUBLE", "upper end"),
        "p_adjusted": Column("DOUBLE", "p over everything compared in the run"),
        "delta_placebo": Column("DOUBLE", "change of mean corr against the placebo"),
        "placebo_low": Column("DOUBLE", "lower end of its 95 % interval"),
        "placebo_high": Column("DOUBLE", "upper end"),
        "verdict": Column("VARCHAR", "see scores and verdicts"),
    },
    "settings": {
        "run": Column("VARCHAR", "name of the folder"),
        "key": Column("VARCHAR", "dotted key of config.yaml"),
        "value": Column("VARCHAR", "its value as text"),
    },
    "stages": {
        "run": Column("VARCHAR", "name of the folder"),
        "kind": Column("VARCHAR", "`phase` of the run, or `stage` of one method"),
        "stage": Column("VARCHAR", "its name"),
        "seconds": Column("DOUBLE", "seconds it took"),
        "peak_bytes": Column("BIGINT", "the most memory by its end"),
        "from_cache": Column("BOOLEAN", "whether it came from the cache"),
    },
    "warnings": {
        "run": Column("VARCHAR", "name of the folder"),
        "n": Column("BIGINT", "its place, from 1"),
        "warning": Column("VARCHAR", "the sentence"),
    },
}
"""Columns with their meaning; those of scores and per_era are their files', after `run`."""
