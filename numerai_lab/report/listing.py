"""What runs there are: a row each, finished, failed or unfinished."""

from pathlib import Path
from typing import Any

from numerai_lab.basics import NlabError
from numerai_lab.finished import Run, read_run
from numerai_lab.report.tables import Shown
from numerai_lab.runs import UNFINISHED, unfinished_runs

COLUMNS = (
    Shown("run", "run", "s"),
    Shown("status", "status", "s"),
    Shown("best", "best by corr", "s"),
    Shown("corr", "corr"),
    Shown("delta", "Δ corr"),
    Shown("p_adjusted", "p adj", ".3f"),
    Shown("variants", "variants", "d"),
    Shown("minutes", "minutes", ".1f"),
    Shown("data", "data", "s"),
)


def listing(runs_dir: Path) -> list[dict[str, Any]]:
    """Rows of `COLUMNS`, newest first; the status of a finished run is None. What is no run folder is left out."""
    folders = [path for path in runs_dir.iterdir() if path.is_dir()] if runs_dir.is_dir() else []
    rows = [_row(path) for path in sorted(folders, key=lambda path: path.name, reverse=True) if _is_run(path)]
    dead = [_blank(path.name, "unfinished, to be resumed") for path in unfinished_runs(runs_dir)]
    return [*dead, *rows]


def newest(runs_dir: Path) -> Path:
    """The newest finished run. Raises NlabError where there is none."""
    for path in sorted(runs_dir.glob("*/manifest.json"), key=lambda path: path.parent.name, reverse=True):
        if not (path.parent / "failed.txt").exists() and not path.parent.name.startswith(UNFINISHED):
            return path.parent
    raise NlabError(f"{runs_dir}: holds no finished run; name a run folder, or another place with --runs-dir")


def _is_run(path: Path) -> bool:
    files = ("manifest.json", "failed.txt")
    return not path.name.startswith(UNFINISHED) and any((path / name).is_file() for name in files)


def _row(path: Path) -> dict[str, Any]:
    try:
        return _summary(read_run(path))
    except (NlabError, KeyError, TypeError) as error:
        failed = (path / "failed.txt").is_file()
        said = str(error).rpartition("this run failed (")[2].rstrip(")") if failed else "can't be read"
        return _blank(path.name, f"failed: {said[:30]}" if failed else f"damaged: {said}")


def _summary(run: Run) -> dict[str, Any]:
    both = [row for row in run.scores.to_dicts() if row["split"] == "val" and row.get("corr_mean") is not None]
    best = max(both, key=lambda row: row["corr_mean"], default={})
    data = run.manifest["data"]
    return {
        **_blank(run.name, None),
        "best": best.get("variant", ""),
        "corr": best.get("corr_mean"),
        "delta": best.get("delta_corr_mean"),
        "p_adjusted": best.get("delta_corr_mean_p_adjusted"),
        "variants": len(both),
        "minutes": sum(stage["seconds"] for stage in run.manifest["stages"].values()) / 60,
        "data": run.manifest["comparable"]["data version"] + (" (SYNTHETIC)" if data["synthetic"] else ""),
    }


def _blank(name: str, status: str | None) -> dict[str, Any]:
    return {column.name: None for column in COLUMNS} | {"run": name, "status": status}
