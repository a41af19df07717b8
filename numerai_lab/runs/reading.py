"""Reads finished runs, and checks them against their checksums and schema."""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.errors import NlabError
from numerai_lab.metrics import ERA_METRICS, METRICS
from numerai_lab.metrics.changes import DELTAS
from numerai_lab.metrics.scoring import split_names
from numerai_lab.metrics.significance import block_length
from numerai_lab.runs.layout import CONFIG, ERROR_TEXT, MANIFEST, PER_ERA, SCORES
from numerai_lab.storage.checksums import changed
from numerai_lab.storage.stamped_json import STAMP, read_mapping, read_stamped

if TYPE_CHECKING:
    import polars as pl

FILES = "files"
"""The manifest's checksums by path; older runs have no checksums and are read unchecked."""
DEFINING = ("fnc", "meta_model", "benchmark", "payout", "least_rows")
"""Of the manifest's `scoring`: what FNC, MMC, BMC and the payout are computed against, and which eras are left out."""
DIGESTS = ("scored rows", "data identity", "meta model and benchmarks")
"""Of what runs have to agree in: digests of content, which tell people nothing."""
REQUIRED_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("comparable", "stages", "packages", "machine"), (dict,)),
    **dict.fromkeys(("warnings", "cache_hits", "seeds", "command"), (list,)),
    **dict.fromkeys(("splits.train", "splits.embargo", "splits.val1", "splits.val2"), (list,)),
    **dict.fromkeys(("comparable.data version", "comparable.val1", "comparable.val2", "started", "leak"), (str,)),
    **dict.fromkeys(("scoring.reference", "scoring.fnc", "data.resolved_target", "data.identity"), (str,)),
    **dict.fromkeys(("data.features", "data.train_rows", "data.synthetic"), (int,)),
    "data.horizon_days": (int, type(None)),
}
"""Types that a manifest must hold, by the path of keys to the value."""


@dataclass(frozen=True)
class RunFiles:
    """A folder of files whose checksums are in a manifest."""

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    def content(self, name: str) -> bytes:
        """The content of a file. Raises NlabError when it is not what was written."""
        damage = changed(self.path, {key: crc for key, crc in self.manifest.get(FILES, {}).items() if key == name})
        if damage:
            raise damaged_run(self.path, damage)
        return (self.path / name).read_bytes()


@dataclass(frozen=True)
class Run(RunFiles):
    """A finished run."""

    scores: "pl.DataFrame"
    per_era: "pl.DataFrame"


def read_run(path: Path) -> Run:
    """A run folder. Raises NlabError when it is no run folder, failed, or damaged."""
    import polars as pl

    if (path / ERROR_TEXT).is_file():
        lines = (path / ERROR_TEXT).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise NlabError(f"{path}: this run failed ({lines[-1] if lines else 'failed.txt is empty'})")
    if not (path / MANIFEST).is_file():
        raise NlabError(f"{path}: not a run folder (no {MANIFEST})")
    try:
        manifest = read_manifest(path / MANIFEST)
        sums = {name: crc for name, crc in manifest.get(FILES, {}).items() if name in (SCORES, PER_ERA)}
        damage = changed(path, sums)
        if damage:
            raise ValueError(damage)
        texts = dict.fromkeys(("variant", "split", "notes"), pl.String)  # a variant may be named 001 or 1e5
        scores = pl.read_csv(path / SCORES, infer_schema_length=None, schema_overrides=texts, glob=False)
        eras = parquet_table(path / PER_ERA)
        _check_tables(scores, eras)
    except (ValueError, OSError, NotImplementedError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise damaged_run(path, error) from error
    return Run(path, manifest, scores, eras)


def asked_config(run: Run) -> str:
    """The YAML of the config as the run was asked for, before its `auto`s were decided; older runs have config.yaml alone."""
    text = run.manifest.get("asked_config")
    return text if isinstance(text, str) else (run.path / CONFIG).read_text(encoding="utf-8")


def block_of(manifest: Mapping[str, Any]) -> int:
    """Mean block of the bootstrap in eras. Older runs record no days per era; their eras are weeks."""
    data = manifest["data"]
    return block_length(data["horizon_days"], data.get("days_per_era", DAYS_PER_ERA))


def terms(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that runs must share to be ranked together: data, eras, targets and the definition of scores."""
    scoring, facts = manifest["scoring"], dict(manifest["comparable"])
    if "data identity" in facts:  # older runs have none; names and sizes of files are for people
        facts.pop("data version", None)
    return {**facts, **{key: scoring.get(key) for key in DEFINING}}


def differing(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The terms that differ between two runs, as text: `target (target against target_agnes_60)`."""
    keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    return "; ".join(f"{key} ({mine.get(key)} against {theirs.get(key)})" for key in keys)


def damaged_run(path: Path, why: object) -> NlabError:
    """The error for a run folder that is not as it was written."""
    return NlabError(f"{path}: damaged run folder ({(str(why).splitlines() or [repr(why)])[0]})")


def parquet_table(path: Path) -> "pl.DataFrame":
    """A table, by pyarrow: a file that somebody forged can make polars abort the process. Raises ValueError or OSError."""
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read(use_threads=False)
        table.validate(full=True)
    except pa.ArrowException as error:
        raise ValueError(error) from error
    return pl.DataFrame(table)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest.json at a path. Raises ValueError when it is not what was written, OSError when it can't be read."""
    manifest = read_mapping(path)
    if STAMP in manifest or FILES in manifest:
        manifest = read_stamped(path)
    for key_path, kinds in REQUIRED_TYPES.items():
        value: Any = manifest
        for key in key_path.split("."):
            value = value.get(key, ...) if isinstance(value, dict) else ...
        if not isinstance(value, kinds):
            raise ValueError(f"{path.name} does not say {key_path}")
    if not isinstance(manifest.get(FILES, {}), dict):
        raise ValueError(f"{path.name} holds no checksums under {FILES}")
    return manifest


def _check_tables(scores: "pl.DataFrame", eras: "pl.DataFrame") -> None:
    import polars as pl

    tested = [name for name, _ in DELTAS if name in ERA_METRICS]
    lacking = {"variant", "split"} - {*scores.columns} | {"variant", "split", "era", "seed", *tested} - {*eras.columns}
    if lacking:
        raise ValueError(f"no column {min(lacking)}")
    for name in ("era", "seed"):
        if not eras[name].dtype.is_integer() or eras[name].has_nulls():
            raise ValueError(f"column {name} holds no whole numbers")
    for table, name in itertools.product((scores, eras), ("variant", "split")):
        if table[name].dtype != pl.String or table[name].has_nulls():
            raise ValueError(f"column {name} holds no names")
    for table in (scores, eras):
        for name, dtype in table.schema.items():
            measured = re.sub(r"^delta_(placebo_|untrained_)?", "", name)
            odd = measured.startswith(tuple(METRICS)) and not dtype.is_numeric()
            if odd and table[name].null_count() < len(table):
                raise ValueError(f"column {name} holds no numbers")
    variants = {*scores["variant"].to_list()}
    if variants != {*eras["variant"].to_list()}:
        raise ValueError(f"{SCORES} and {PER_ERA} name different variants")
    expected = sorted(itertools.product(variants, split_names(eras)))
    if sorted(zip(scores["variant"].to_list(), scores["split"].to_list(), strict=True)) != expected:
        raise ValueError(f"{SCORES} has not one row a variant and split")
