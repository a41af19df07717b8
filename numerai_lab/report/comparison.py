"""Compares runs: ranks the variants of runs with the same data, target, validation eras and scoring."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.formatting import listed
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.changes import DELTAS, FAMILY, KINDS, VERDICT_COLUMNS, Judging, changes, series_of, typed
from numerai_lab.metrics.scoring import FOLD, STEP, split_names
from numerai_lab.metrics.verdict import SMALLEST_EFFECT
from numerai_lab.metrics.windows import with_windows
from numerai_lab.report.choice import chosen
from numerai_lab.report.ranking import ranked, sort_column
from numerai_lab.runs.fingerprints import FINGERPRINT, differences
from numerai_lab.runs.layout import LEDGER
from numerai_lab.runs.reading import DIGESTS, Run, block_of, differing, terms
from numerai_lab.runs.score_tables import read_runs

if TYPE_CHECKING:
    import polars as pl

SHOWN = FAMILY
"""The statistics whose changes a terminal's table shows."""
OWN_SETTINGS = {FOLD: "cv", STEP: "retrain"}
"""Split → the setting in which runs must agree to be compared on it."""
Name = tuple[str, str]
"""Name of a run, and name of a variant."""


@dataclass(frozen=True)
class Group:
    """Runs that may be ranked together.

    table: one row per run × variant × split, best first in `split`; reference: `run/variant`.
    """

    runs: tuple[str, ...]
    members: tuple[Run, ...]
    comparable: dict[str, Any]
    reference: str
    table: "pl.DataFrame"
    split: str


@dataclass(frozen=True)
class Comparison:
    """Groups of comparable runs, and a line for each folder that was skipped and each pair of groups that differ."""

    groups: tuple[Group, ...]
    skipped: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def foreign(self) -> str:
        """A line that names the runs that this installation did not write; empty without such runs."""
        names = [run.name for group in self.groups for run in group.members if not run.own]
        return f"from elsewhere, this installation did not write them: {listed(names)}" if names else ""


def compare(
    paths: Sequence[Path], sort: str = "corr_mean", reference: str | None = None, split: str = "val", *, brief: bool = False
) -> Comparison:
    """Reads run folders and ranks their variants, best first by `sort` in a split, by default over val1 and val2 together.

    reference: a variant name, or `run/variant`; by default the reference variant of each group's first run. Differences
    are paired by era; adjusted p-values and the confidence set cover all variants of all runs of a group. brief: test only what
    a terminal shows, which is much faster: the statistics `SHOWN`, on this split; on others the columns are empty.
    Raises NlabError when no folder can be read, two have the same name, or a name is unknown, the split included.
    """
    runs, skipped = _read(paths)
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if terms(group[0].manifest) == terms(run.manifest):
                group.append(run)
                break
        else:
            groups.append([run])
    return Comparison(
        groups=tuple(_ranked(group, sort, reference, split, brief=brief) for group in groups),
        skipped=tuple(skipped),
        differences=(
            *(_differ(groups[0][0], group[0]) for group in groups[1:]),
            *(line for group in groups for line in _other_code(group)),
        ),
    )


def _read(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    folders: dict[str, Path] = {}
    for path in {path.resolve(): path for path in paths if path.name != LEDGER}.values():  # a folder counts once
        if path.name in folders:
            raise NlabError(f"{folders[path.name]} and {path} have the same name, which is what tables call them; rename one")
        folders[path.name] = path
    outcomes = read_runs([*folders.values()])
    runs = [run for run in outcomes if isinstance(run, Run)]
    skipped = [f"skipped {error}" for error in outcomes if isinstance(error, NlabError)]
    if not runs:
        raise NlabError("\n".join(["no run to compare", *skipped]))
    return runs, skipped


def _differ(first: Run, other: Run) -> str:
    ways = differing(terms(first.manifest), terms(other.manifest))
    return f"not ranked together: {first.name} and {other.name} differ in {ways}"


def _other_code(runs: Sequence[Run]) -> Iterator[str]:
    """Yields a line for each run whose code or libraries differ from the first run's, and one for runs without this record."""
    older = [run.name for run in runs if FINGERPRINT not in run.manifest]
    known = [run for run in runs if FINGERPRINT in run.manifest]
    for run in known[1:]:
        for kind, message in differences(known[0].manifest[FINGERPRINT], run.manifest[FINGERPRINT]).items():
            yield f"{known[0].name} and {run.name} were computed by other {kind}: {message}"
    if older and len(runs) > 1:
        yield f"older runs don't record code and libraries, so that these can't be compared: {listed(older)}"


def _ranked(runs: Sequence[Run], sort: str, reference: str | None, split: str, *, brief: bool) -> Group:
    first = runs[0]
    base_name = reference or first.manifest["scoring"]["reference"]
    run_name, _, variant = base_name.rpartition("/")
    base_run = next((run for run in runs if run.name == run_name), None) if run_name else first
    if base_run is None or variant not in base_run.scores["variant"].to_list():
        known = [f"{run.name}/{name}" for run in runs for name in run.scores["variant"].unique(maintain_order=True).to_list()]
        raise NlabError(f"--reference: no variant {base_name!r} among these runs; {nearest(base_name, known)}")
    splits = dict.fromkeys(name for run in runs for name in run.scores["split"].to_list())
    if split not in splits:
        raise NlabError(f"--split: no split {split!r} in {first.name}; {nearest(split, splits)}")
    table, column = _sorted_by(sort, runs, (base_run.name, variant), split if brief else None)
    return Group(
        tuple(run.name for run in runs),
        tuple(runs),
        {key: value for key, value in first.manifest["comparable"].items() if key not in DIGESTS},
        f"{base_run.name}/{variant}",
        ranked(table, column, split),
        split,
    )


def _sorted_by(sort: str, runs: Sequence[Run], reference: Name, only: str | None) -> tuple["pl.DataFrame", str]:
    """The table `_with_changes`, and its column that `sort` names; where `only` leaves that out, all is tested."""
    table = _with_changes(runs, reference, only)
    try:
        return table, sort_column(sort, table)
    except NlabError:
        if only is None:
            raise
        return _sorted_by(sort, runs, reference, None)


def _with_changes(runs: Sequence[Run], reference: Name, only: str | None) -> "pl.DataFrame":
    """The scores of comparable runs, with changes against one variant of one run. only: `SHOWN` on this split alone."""
    import polars as pl

    first = runs[0].manifest
    statistics = DELTAS if only is None else SHOWN
    judging = Judging(block_of(first), float(first.get("smallest_effect", SMALLEST_EFFECT)), statistics)
    changed = []
    needed = (name if (window := METRICS[name].window) is None else window[0] for name, _ in statistics)
    tested = list(dict.fromkeys(needed))
    taken = ["split", "variant", "seed", "era", *tested]
    names = pl.Series("run", [run.name for run in runs for _ in range(len(run.per_era))])
    per_era = pl.concat([run.per_era[taken] for run in runs], how="vertical_relaxed")
    per_era = per_era.select(names, pl.col("split", "variant", "seed", "era"), pl.col(tested).cast(pl.Float64))
    placebos = _placebos(runs)
    for split, parts in split_names(per_era).items():
        if only not in (None, split):
            continue
        key = OWN_SETTINGS.get(split)
        if key and any(run.manifest.get(key) != runs[0].manifest.get(key) for run in runs):
            continue
        within = per_era.filter(pl.col("split").is_in(parts))
        eras = within["era"].unique().sort().to_list()
        tables = within.partition_by("run", "variant", as_dict=True)
        members = with_windows({(run, variant): series_of(own, eras, tested) for (run, variant), own in tables.items()})
        rows = changes(members, reference, judging, placebos)
        changed += [{"run": run, "variant": variant, "split": split, **_named(row)} for (run, variant), row in rows.items()]
    if not changed and only:  # runs with unlike settings of this split are not compared on it
        return _with_changes(runs, reference, None)
    every = pl.concat([_noted(run) for run in runs], how="diagonal_relaxed")
    names = pl.Series("run", [run.name for run in runs for _ in range(len(run.scores))])
    plain = every.select(
        names, *[name for name in every.columns if not name.startswith("delta_") and name not in VERDICT_COLUMNS]
    )
    change_table = typed(pl.DataFrame(changed, infer_schema_length=None))
    last = [name for name in change_table.columns if name.startswith("delta_")] + list(VERDICT_COLUMNS)
    return plain.join(
        change_table.select("run", "variant", "split", *last), on=["run", "variant", "split"], how="left", maintain_order="left"
    )


def _placebos(runs: Sequence[Run]) -> dict[str, dict[Name, Name]]:
    """Kind → (run, variant) → its placebo in the same run."""
    out: dict[str, dict[Name, Name]] = {kind: {} for kind in KINDS}
    for run in runs:
        for kind, pairs in Placebos.of_manifest(run.manifest).as_dict().items():
            out[kind] |= {(run.name, variant): (run.name, placebo) for variant, placebo in pairs.items()}
    return out


def _named(row: Mapping[str, object]) -> dict[str, object]:
    """A row of changes with the reference as `run/variant` and placebos by variant name."""
    named = dict(row)
    for name in ("reference", *KINDS):
        if isinstance(key := row[name], tuple):
            named[name] = "/".join(key) if name == "reference" else key[1]
    return named


def _noted(run: Run) -> "pl.DataFrame":
    """The scores of a run; where a sweep chose the run, notes of its variants say so."""
    import polars as pl

    choice = chosen(run.manifest)
    if not choice or "notes" not in run.scores.columns:
        return run.scores
    notes = [f"{note}; {choice}" if note else choice for note in run.scores["notes"].cast(pl.String).to_list()]
    return run.scores.with_columns(pl.Series("notes", notes))
