"""All run folders of a place as tables: what `nlab query` reads. Folders that can't be read are rows that say so."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.runs.layout import CONFIG, ERROR_TEXT, MANIFEST, SCORES, UNFINISHED
from numerai_lab.runs.query_schema import COLUMNS, TABLES, Column
from numerai_lab.runs.reading import RunFiles, failure_text, read_manifest
from numerai_lab.runs.score_tables import per_era_of_all, per_era_table, scores_of_all, scores_text

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

SCORE_COLUMNS = {
    "n_eras": "n_eras",
    "corr": "corr_mean",
    "sharpe": "corr_sharpe",
    "delta_corr": "delta_corr_mean",
    "low": "delta_corr_mean_sim_low",
    "high": "delta_corr_mean_sim_high",
    "p_adjusted": "delta_corr_mean_p_adjusted",
    "delta_placebo": "delta_placebo_corr_mean",
    "placebo_low": "delta_placebo_corr_mean_sim_low",
    "placebo_high": "delta_placebo_corr_mean_sim_high",
    "verdict": "verdict",
}
"""Columns of `variants` by those of scores.csv that they are."""


ALIAS = re.compile(r"(?m)(^|[\s\[{,:-])[*&][^\s*&]")
"""An alias or an anchor of YAML, or what looks like one."""
SECTION = re.compile(r"(?m)^(?=[A-Za-z])")
"""The beginning of a top-level key and all that belongs to it, as a run writes its config."""
OTHER_LINE = re.compile(r"(?m)^(?![A-Za-z \n]|- |\Z)")
"""The beginning of a line by which a text is no sequence of such sections."""


def run_tables(runs_dir: Path, wanted: Sequence[str]) -> dict[str, "pa.Table"]:
    """The tables of `TABLES` over all run folders; those that are not wanted are empty, and read no file.

    A folder that can't be read is a row of `runs` that says why, and no row of other tables.
    """
    folders = list(_folders(runs_dir))
    makers: dict[str, Callable[[RunFiles], Iterator[dict[str, Any]]]] = {
        "settings": _settings,
        "stages": _stages,
        "warnings": _warnings,
    }
    completed: list[RunFiles] = []
    rows: list[dict[str, Any]] = []
    scores: dict[str, str] = {}
    per_era: dict[str, pa.Table] = {}
    for path in folders:
        row, run = _run_row(path)
        try:
            if run and not {"scores", "variants"}.isdisjoint(wanted):
                scores[run.name] = scores_text(run)
            if run and "per_era" in wanted:
                per_era[run.name] = per_era_table(run)
        except NlabError as error:
            row, run = _blank(path.name, "damaged", str(error)), None
            scores.pop(path.name, None)
        rows.append(row)
        completed += [run] if run else []
    every_score = scores_of_all(scores)
    if unread := scores.keys() - ({*every_score["run"].to_list()} if every_score is not None else set()):
        why = f"{SCORES} can't be read"
        rows = [_blank(row["run"], "damaged", why) if row["run"] in unread else row for row in rows]
        completed = [run for run in completed if run.name not in unread]
        per_era = {name: table for name, table in per_era.items() if name not in unread}
    every = {name: _typed(name, []) for name in TABLES}
    every["runs"] = _typed("runs", rows)
    for name in makers.keys() & {*wanted}:
        every[name] = _typed(name, [row for run in completed for row in makers[name](run)])
    if every_score is not None:
        every["scores"] = every_score
    if "variants" in wanted:
        every["variants"] = _variants(every["scores"], completed)
    tables = {name: (table if name in (*wanted, "runs") else table.clear()).to_arrow() for name, table in every.items()}
    of_eras = per_era_of_all(per_era)
    return tables if of_eras is None else {**tables, "per_era": of_eras}


def _folders(runs_dir: Path) -> Iterator[Path]:
    if not runs_dir.is_dir():
        raise NlabError(f"{runs_dir}: no folder of runs; name another with --runs-dir")
    for path in sorted(runs_dir.iterdir()):
        if path.is_dir() and any((path / name).is_file() for name in (MANIFEST, ERROR_TEXT, CONFIG)):
            yield path


def _run_row(path: Path) -> tuple[dict[str, Any], RunFiles | None]:
    """The row of a folder, and its manifest where it is a finished run."""
    if (path / ERROR_TEXT).is_file():
        return _blank(path.name, "failed", failure_text(path)), None
    if path.name.startswith(UNFINISHED):
        return _blank(path.name, "unfinished", ""), None
    try:
        run = RunFiles(path, read_manifest(path / MANIFEST))
        return _facts(run), run
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return _blank(path.name, "damaged", str(error)), None


def _facts(run: RunFiles) -> dict[str, Any]:
    manifest = run.manifest
    data, splits, phases = manifest["data"], manifest["splits"], manifest["stages"].values()
    return _blank(run.name, "finished", "") | {
        **{key: str(manifest[key]) for key in ("started", "leak")},
        **{key: None if manifest.get(key) is None else str(manifest[key]) for key in ("name", "nlab")},
        "data": manifest["comparable"]["data version"],
        "synthetic": bool(data["synthetic"]),
        "target": data["resolved_target"],
        **{key: data[key] for key in ("horizon_days", "features", "train_rows")},
        "n_train": len(splits["train"]),
        "n_val": len(splits["val1"]) + len(splits["val2"]),
        "n_seeds": len(manifest["seeds"]),
        "reference": manifest["scoring"]["reference"],
        "seconds": float(sum(phase.get("seconds", 0) for phase in phases)),
        "peak_bytes": max((int(phase.get("peak_bytes", 0)) for phase in phases), default=0),
    }


def _blank(name: str, status: str, problem: str) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS["runs"]) | {"run": name, "status": status, "problem": problem}


def _variants(scores: "pl.DataFrame", runs: Sequence[RunFiles]) -> "pl.DataFrame":
    import polars as pl

    placebos = {
        (run.name, variant): placebo
        for run in runs
        for kind, pairs in run.manifest.get("placebos", {}).items()
        if kind == "placebo"
        for variant, placebo in pairs.items()
    }
    rows = scores.filter(pl.col("split") == "val").to_dicts() if len(scores) else []
    return _typed(
        "variants",
        [
            {
                "run": row["run"],
                "variant": row["variant"],
                "placebo": placebos.get((row["run"], row["variant"])),
                **{name: row.get(column) for name, column in SCORE_COLUMNS.items()},
            }
            for row in rows
        ],
    )


def _settings(run: RunFiles) -> Iterator[dict[str, Any]]:
    name = run.name
    for key, value in settings_of(run):
        yield {"run": name, "key": key, "value": str(value)}


def settings_of(run: RunFiles) -> Iterator[tuple[str, Any]]:
    """Every dotted key of a run's config.yaml with its value; nothing where that can't be read."""
    yield from flat(config_values(run))


def config_values(run: RunFiles) -> dict[str, Any]:
    """The values of config.yaml as they stand there; empty where it is damaged, which stops no table of many runs."""
    import yaml

    try:
        text = run.content(CONFIG).decode(errors="replace")
        if ALIAS.search(text):  # may be large beyond measure
            values = parse_yaml(text, str(run.path / CONFIG))
        elif OTHER_LINE.search(text):
            values = _loaded(text)
        else:  # many runs share most sections, and each is parsed once
            values = {key: value for section in SECTION.split(text) for key, value in _loaded(section).items()}
        return values if isinstance(values, dict) else {}
    except (NlabError, yaml.YAMLError, ValueError, AttributeError, TypeError, KeyError, RecursionError):
        return {}


@lru_cache(maxsize=10_000)
def _loaded(text: str) -> Any:
    """The values of a YAML text, which callers do not change; an empty mapping for an empty text.

    The C loader is ten times as fast as the other and as safe; the run itself was loaded by the strict one.
    """
    import yaml

    values = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {} if values is None else values


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of nested mappings with its value; None as `none`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, "none" if value is None else value


def _stages(run: RunFiles) -> Iterator[dict[str, Any]]:
    hits = [hit.get("stage", hit.get("what")) for hit in run.manifest["cache_hits"] if isinstance(hit, Mapping)]
    for kind, key in (("phase", "stages"), ("stage", "costs")):
        for name, cost in run.manifest.get(key, {}).items():
            facts = {part: cost.get(part) for part in ("seconds", "peak_bytes")}
            yield {"run": run.name, "kind": kind, "stage": name, **facts, "from_cache": name in hits}


def _warnings(run: RunFiles) -> Iterator[dict[str, Any]]:
    for n, warning in enumerate(run.manifest["warnings"], start=1):
        yield {"run": run.name, "n": n, "warning": str(warning)}


def _typed(name: str, rows: list[dict[str, Any]]) -> "pl.DataFrame":
    """A table with the declared columns; of scores and per_era, which have none of their own, the names that all have."""
    import polars as pl

    types = {"VARCHAR": pl.String, "BIGINT": pl.Int64, "DOUBLE": pl.Float64, "BOOLEAN": pl.Boolean}
    columns = COLUMNS.get(name, dict.fromkeys(("run", "variant", "split"), Column("VARCHAR", "")))
    schema = {key: types[column.sql_type] for key, column in columns.items()}
    return pl.DataFrame(rows, schema=schema, strict=False)
