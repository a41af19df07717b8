"""`nlab methods`: one run per method under the same data, splits and model, and a table of their changes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.cluster.runs import runs_on
from numerai_lab.config.plugins import plugin_error
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, as_failure, nearest
from numerai_lab.core.formatting import named_values
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.metrics.changes import KINDS
from numerai_lab.metrics.verdict import NOT_BEATEN
from numerai_lab.report.comparison import compare
from numerai_lab.report.page import heading
from numerai_lab.report.tables import TableColumn, markdown
from numerai_lab.report.verdicts import outcome
from numerai_lab.runs.output_files import write_page
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.studies.method_configs import left_out_line, method_configs, weighers_left_out
from numerai_lab.studies.repeated_runs import reusable_runs, run_alone
from numerai_lab.studies.worker_pool import KILLED, ended_with_error, machine_shared, workers

if TYPE_CHECKING:
    import polars as pl

COLUMNS = (
    TableColumn("method", "method", "s"),
    TableColumn("corr", "Δ corr", "s"),
    TableColumn("p", "p adj", ".3f"),
    TableColumn("placebo", "Δ corr against its placebo", "s"),
    TableColumn("untrained", "Δ corr against an untrained network", "s"),
    TableColumn("fnc", "Δ fnc", "s"),
    TableColumn("exposure", "Δ max exposure", "s"),
    TableColumn("mmc", "mmc"),
    TableColumn("alone", "Δ corr, it alone", "s"),
    TableColumn("seconds", "seconds", ",.0f"),
    TableColumn("memory", "peak GB", ".2f"),
)


FAMILIES = ("generators", "augmenters")


@dataclass(frozen=True)
class MethodRun:
    """A method and its run; where the run failed, None and the last line of its error.

    variant: the variant that is judged. world: the seed of its synthetic world, where methods run in several.
    """

    name: str
    family: str
    variant: str
    run: Run | None
    failure: str = ""
    world: int | None = None
    kind: str = ""


@dataclass(frozen=True)
class MethodPlan:
    """folder: for run folders. jobs: methods at a time. only: names of methods, or families; none = all.

    cluster: the workers that methods run on; None = this machine.
    """

    folder: Path
    jobs: int = 1
    only: tuple[str, ...] = ()
    cluster: ClusterConnection | None = None


def run_over_worlds(config: Config, plan: MethodPlan, say: Callable[[str], None], n_worlds: int) -> Iterator[MethodRun]:
    """`run_each` in several synthetic worlds: those of `data.seed` and of the seeds that follow it.

    Raises NlabError where the data is not synthetic.
    """
    if not isinstance(config.data, Synthetic):
        raise NlabError("--worlds: only synthetic data is drawn anew; set data.source: synthetic, or leave --worlds out")
    for seed in range(config.data.seed, config.data.seed + n_worlds):
        drawn = config.model_copy(update={"data": config.data.model_copy(update={"seed": seed})})
        say(f"world seed {seed}")
        for trial in run_each(drawn, replace(plan, folder=plan.folder / f"world{seed}"), say):
            yield replace(trial, world=seed)


def run_each(config: Config, plan: MethodPlan, say: Callable[[str], None]) -> Iterator[MethodRun]:
    """Runs every method in a process of its own, so that its peak memory is its own; goes on after a failure.

    The config's generators and augmenters run with their parameters there, all other kinds with their defaults. only: names of
    methods, or `generators`, `augmenters`; empty: all. Raises NlabError for an unknown name.
    """
    left_out = weighers_left_out(config)
    if left_out:
        say(left_out_line(config, left_out))
    configs = {name: (family, method_config) for family, name, method_config in method_configs(config)}
    for name in plan.only:
        if name in left_out:
            raise NlabError(f"--only: {name!r} gives rows weights, and the model {config.model.kind} takes none; take another")
        if name not in (*configs, *FAMILIES):
            raise NlabError(f"--only: no method {name!r}; {nearest(name, [*configs, *FAMILIES])}")
    chosen = {name: pair for name, pair in configs.items() if not plan.only or {name, pair[0]} & {*plan.only}}
    if plan.cluster is not None:
        yield from _on_workers(config, plan.cluster, chosen, plan.folder, say)
        return
    load(config.data, config.extra_sets)  # here, so that reading files is in no method's peak memory

    def tried(name: str) -> MethodRun:
        family, method_config = chosen[name]
        say(f"{name} …")
        trial = _tried(name, family, method_config, plan.folder / name, memory)
        say(f"{name}: {'done' if trial.run else trial.failure}")
        return trial

    n_jobs = max(1, min(plan.jobs, len(chosen)))
    with machine_shared(n_jobs) as memory, ThreadPoolExecutor(n_jobs) as pool, ended_with_error():
        yield from pool.map(tried, chosen)


def _on_workers(
    config: Config, cluster: ClusterConnection, chosen: Mapping[str, tuple[str, Config]], folder: Path, say: Callable[[str], None]
) -> Iterator[MethodRun]:
    """The methods as workers are done with them; runs that are there already are taken."""
    terms_now = cluster.check_data(config)
    waiting = []
    for name, (family, method_config) in chosen.items():
        there = reusable_runs(folder / name, [method_config], terms_now)
        if done := there.get(method_config.to_yaml()):
            yield _method_run(name, family, method_config, done)
        else:
            waiting.append(name)
    configs, folders = [chosen[name][1] for name in waiting], [folder / name for name in waiting]
    for place, path, failure in runs_on(cluster, configs, folders):
        name, last = waiting[place], (failure.splitlines() or [""])[-1]
        say(f"{name}: {'done' if path else last}")
        yield _method_run(name, *chosen[name], read_run(path) if path else None, last)


def _method_run(name: str, family: str, config: Config, run: Run | None, failure: str = "") -> MethodRun:
    variant = f"raw+{name}" if family == "generators" else name
    return MethodRun(name, family, variant, run, failure, kind=str(getattr(config, family)[name].kind))


def _tried(name: str, family: str, config: Config, place: Path, memory: int | None) -> MethodRun:
    place.mkdir(parents=True, exist_ok=True)
    write_page(place / "config.yaml", config.to_yaml())
    with workers(1) as pool:
        try:
            path, failure = pool.submit(_run, config.to_yaml(), place, memory).result()
        except BrokenProcessPool:
            path, failure = None, KILLED
    return _method_run(name, family, config, read_run(path) if path else None, (failure.splitlines() or [""])[-1])


def _run(text: str, folder: Path, memory: int | None) -> tuple[Path | None, str]:
    """The run folder of a method, or the reason why there is none; whatever fails, the next method may be well."""
    try:
        return run_alone(text, folder, memory)
    except Exception as error:
        known = plugin_error(error) or as_failure(error)
        return None, str(known) if isinstance(known, NlabError) else f"{type(error).__name__}: {error}"


def page(config: Config, trials: Sequence[MethodRun]) -> str:
    """The table of all methods, and sentences on which of them help or harm."""
    import polars as pl

    done = [trial for trial in trials if trial.run is not None]
    lines = [f"# What each method does: {config.name}", ""]
    if done and done[0].run is not None:
        lines += [f"- {line}" for line in heading(done[0].run.manifest)]
        lines += [f"- {tried_with(config)}", "", EXPLAINED, ""]
        rows = _rows(done, str(done[0].run.manifest["scoring"]["reference"]))
        for family in FAMILIES:
            table = pl.DataFrame([row for row in rows if row["family"] == family], infer_schema_length=None)
            if len(table):
                columns = [column for column in COLUMNS if column.name != "untrained" or (table["untrained"] != "").any()]
                lines += [f"## {family.capitalize()}", "", markdown(table, columns), ""]
        lines += ["## What they did", "", *(f"- {line}" for line in _findings(rows))]
    if left_out := weighers_left_out(config):
        lines += [f"- {left_out_line(config, left_out)}"]
    lines += [f"- Failed: {trial.name}: {trial.failure}" for trial in trials if trial.run is None]
    return "\n".join([*lines, ""])


def tried_with(config: Config) -> str:
    """The model and its seeds, in a line."""
    return f"model {named_values(config.model.model_dump())}; seeds {', '.join(map(str, config.seeds))}"


EXPLAINED = (
    "One run a method. Δ is the change over val1 and val2 together against the baseline of raw features, paired by era, with its "
    "95 % interval; of a generator for raw features and its columns, of an augmenter for real and new rows. `p adj` and the "
    "intervals of Δ corr hold for all variants of all these runs together. The placebo of a generator is as many columns of "
    "noise, that of an augmenter the same rows again, or the same weights over shuffled eras; beside a network stands one of "
    "about its size that was never trained, too. Seconds: fit, columns and training of one seed; peak memory of the process "
    "that did that first."
)


def _rows(trials: Sequence[MethodRun], baseline: str) -> list[dict[str, Any]]:
    """A row per method: changes against the baseline adjusted over all methods, and changes against its own placebo."""
    paths = [trial.run.path for trial in trials if trial.run is not None]
    (group,) = compare(paths, reference=f"{paths[0].name}/{baseline}").groups
    rows = []
    for trial in trials:
        assert trial.run is not None
        scores = _row(group.table, trial.run.name, trial.variant)
        alone = _row(group.table, trial.run.name, f"{trial.name}_only")
        costs = costs_of(trial, len(trial.run.manifest["seeds"]))
        rows.append(
            {
                "method": trial.name,
                "family": trial.family,
                "corr": _interval(scores, "delta_corr_mean", of="_sim"),
                "p": scores.get("delta_corr_mean_p_adjusted"),
                **{kind: _interval(scores, f"delta_{kind}_corr_mean", of="_sim") for kind in KINDS},
                "fnc": _interval(scores, "delta_fnc_mean"),
                "exposure": _interval(scores, "delta_max_feature_exposure_mean", ".3f"),
                "mmc": scores.get("mmc_mean"),
                "alone": _interval(alone, "delta_corr_mean"),
                **costs,
                "outcome": outcome(scores) if scores else "too few eras",
                "has_placebo": any(scores.get(kind) for kind in KINDS),
                "notes": scores.get("notes") or "",
            }
        )
    return rows


def _row(table: "pl.DataFrame", run: str, variant: str) -> dict[str, Any]:
    """The row of a variant over val1 and val2 together; empty where there is none."""
    rows = table.filter(run=run, variant=variant, split="val")
    return rows.row(0, named=True) if len(rows) else {}


def _interval(row: dict[str, Any], name: str, style: str = ".4f", of: str = "") -> str:
    """A change and its interval; of: "_sim" for the interval that is simultaneous over all variants."""
    value, low, high = (row.get(f"{name}{end}") for end in ("", f"{of}_low", f"{of}_high"))
    if value is None or math.isnan(value):
        return ""
    between = "" if low is None or high is None or not math.isfinite(high - low) else f" ({low:+{style}} … {high:+{style}})"
    return f"{value:+{style}}{between}"


def costs_of(trial: MethodRun, n_seeds: int) -> dict[str, float]:
    assert trial.run is not None
    costs = trial.run.manifest["costs"]
    own = {
        label: cost
        for label, cost in costs.items()
        if label.startswith((f"fit {trial.name}@", f"columns {trial.name}@", f"train {trial.variant}@"))
    }
    fits = {label.split("@")[1].split(",")[0] for label in own if not label.startswith("train")}
    per_fit = sum(cost["seconds"] for label, cost in own.items() if not label.startswith("train")) / max(1, len(fits))
    training = sum(cost["seconds"] for label, cost in own.items() if label.startswith("train")) / n_seeds
    return {
        "seconds": per_fit + training,
        "memory": max((cost.get("peak_bytes", math.nan) for cost in own.values()), default=math.nan) / 1e9,
    }


def _findings(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on the methods that are shown to help, to harm, or to change nothing that these eras can tell."""
    proved = [row for row in rows if row["outcome"] == "better" and row["has_placebo"]]
    unproved = [row for row in rows if row not in proved and row["outcome"] in ("better", *NOT_BEATEN.values())]
    worse = [row for row in rows if row["outcome"] == "worse"]
    groups = {
        "Better than the baseline and than their placebos": proved,
        "Better than the baseline, but not shown to be better than their placebos": unproved,
        "Worse than the baseline": worse,
        "Not told from doing nothing": [row for row in rows if row not in (*proved, *unproved, *worse)],
    }
    lines = [f"{sentence}: {', '.join(row['method'] for row in members) or 'none'}." for sentence, members in groups.items()]
    return lines + [f"{row['method']}: {row['notes']}." for row in rows if row["notes"]]
