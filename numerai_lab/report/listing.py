"""The table of runs in a folder: finished, failed and unfinished."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.core.errors import NlabError
from numerai_lab.report.ranking import sort_column
from numerai_lab.report.tables import TableColumn, best_is_high
from numerai_lab.runs.layout import ERROR_TEXT, MANIFEST, UNFINISHED
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.unfinished import unfinished_runs
from numerai_lab.runs.writing import STAMP
from numerai_lab.storage.stamped_json import read_mapping

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("run", "run", "s"),
    TableColumn("status", "status", "s"),
    TableColumn("best", "best by corr", "s"),
    TableColumn("corr", "corr"),
    TableColumn("delta", "Δ corr"),
    TableColumn("p_adjusted", "p adj", ".3f"),
    TableColumn("variants", "variants", "d"),
    TableColumn("minutes", "minutes", ".1f"),
    TableColumn("data", "data", "s"),
)
STAMP_LENGTH = len("20260102-030405")


def columns(sort: str | None = None) -> list[TableColumn]:
    """`COLUMNS`, with the column that selects the best variant of a run in place of corr."""
    if sort in (None, "corr_mean"):
        return list(COLUMNS)
    best = {"best": TableColumn("best", f"best by {sort}", "s"), "corr": TableColumn("value", str(sort))}
    return [best.get(column.name, column) for column in COLUMNS]


def listing(runs_dir: Path, sort: str | None = None) -> list[dict[str, Any]]:
    """Rows of `columns(sort)`; the status of a finished run of this installation is None. Other folders are left out.

    Newest first; with `sort`, a column of score tables, the run with the best variant by that column first. Raises NlabError
    when no run has such a column.
    """
    folders = [path for path in runs_dir.iterdir() if path.is_dir()] if runs_dir.is_dir() else []
    tables: list[pl.DataFrame] = []
    paths = sorted(filter(_is_run, folders), key=_started, reverse=True)
    rows = [_row(path, sort or "corr_mean", tables) for path in paths]
    dead = [_blank(path.name, "unfinished, to be resumed") for path in unfinished_runs(runs_dir)]
    if sort is None or not tables:
        return [*dead, *rows]
    if not any(sort in table.columns and table[sort].dtype.is_numeric() for table in tables):
        sort_column(sort, tables[0])
    sign = 1 if best_is_high(sort) is False else -1
    return [*sorted(rows, key=lambda row: math.inf if row["value"] is None else sign * row["value"]), *dead]


def newest(runs_dir: Path) -> Path:
    """The finished run that began last, by its manifest. Raises NlabError where there is none."""
    folders = (path.parent for path in runs_dir.glob(f"*/{MANIFEST}"))
    complete = [path for path in folders if not (path / ERROR_TEXT).exists() and not path.name.startswith(UNFINISHED)]
    if complete:
        return max(complete, key=_started)
    raise NlabError(f"{runs_dir}: holds no finished run; name a run folder, or another place with --runs-dir")


def _is_run(path: Path) -> bool:
    files = (MANIFEST, ERROR_TEXT)
    return not path.name.startswith(UNFINISHED) and any((path / name).is_file() for name in files)


def _started(path: Path) -> tuple[float, str]:
    """When a run began, in seconds since 1970, by its manifest, else by its name, else by its folder's time; and its name."""
    with suppress(OSError, ValueError, KeyError, TypeError, OverflowError):
        return datetime.fromisoformat(read_mapping(path / MANIFEST)["started"]).timestamp(), path.name
    with suppress(ValueError):
        return datetime.strptime(path.name[:STAMP_LENGTH], STAMP).replace(tzinfo=UTC).timestamp(), path.name
    return path.lstat().st_mtime, path.name


def _row(path: Path, sort: str, tables: "list[pl.DataFrame]") -> dict[str, Any]:
    try:
        run = read_run(path)
        row = _summary(run, sort)
    except (NlabError, KeyError, TypeError) as error:
        failed = (path / ERROR_TEXT).is_file()
        reason = str(error).rpartition("this run failed (")[2].rstrip(")") if failed else "can't be read"
        return _blank(path.name, f"failed: {reason[:30]}" if failed else f"damaged: {reason}")
    tables.append(run.scores)
    return row


def _summary(run: Run, sort: str) -> dict[str, Any]:
    both = [row for row in run.scores.to_dicts() if row["split"] == "val"]
    known = [row for row in both if isinstance(row.get(sort), int | float) and math.isfinite(row[sort])]
    sign = -1 if best_is_high(sort) is False else 1
    best = max(known, key=lambda row: sign * row[sort], default={})
    data = run.manifest["data"]
    return {
        **_blank(run.name, None if run.own else "from elsewhere"),
        "best": best.get("variant", ""),
        "value": best.get(sort),
        "corr": best.get("corr_mean"),
        "delta": best.get("delta_corr_mean"),
        "p_adjusted": best.get("delta_corr_mean_p_adjusted"),
        "variants": len(both),
        "minutes": sum(stage.get("seconds", 0) for stage in run.manifest["stages"].values()) / 60,
        "data": run.manifest["comparable"]["data version"] + (" (SYNTHETIC)" if data["synthetic"] else ""),
    }


def _blank(name: str, status: str | None) -> dict[str, Any]:
    return {column.name: None for column in COLUMNS} | {"value": None, "run": name, "status": status}
