"""Sweeps: many trials of one config by grid or search, ranked by an objective that never sees val2."""

import contextlib
import itertools
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.cluster.runs import runs_on
from numerai_lab.config.loading import load_config
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.fitting.run_facts import facts_now
from numerai_lab.report.sweep_page import chosen, leaderboard, sweep_page
from numerai_lab.report.tables import short
from numerai_lab.runs.output_files import write_page
from numerai_lab.runs.reading import Run, differing, read_run, terms
from numerai_lab.studies.choice import stamp
from numerai_lab.studies.objective import NO_CHANGE, Change, SweepObjective, objective_of
from numerai_lab.studies.proposals import axis, study_of, tell
from numerai_lab.studies.repeated_runs import reusable_runs, run_alone, run_folders, run_or_error
from numerai_lab.studies.worker_pool import KILLED, ended_with_error, machine_shared, once_more, workers

log = logging.getLogger("nlab")

Values = Mapping[str, Any]
"""Config key → the value that a trial gives it."""


@dataclass(frozen=True)
class SweepTrial:
    """One config of a sweep, and its run.

    path: the run folder; error: the reason where it has none; reused: whether the run existed before. value: the objective's
    value; change: its difference from the run's reference.
    """

    number: int
    values: Values
    path: Path | None = None
    value: float = math.nan
    change: Change = NO_CHANGE
    error: str = ""
    reused: bool = False


@dataclass(frozen=True)
class Sweep:
    """Trials in the order they ran. searched: whether trials depend on the values of earlier ones."""

    objective: SweepObjective
    trials: tuple[SweepTrial, ...]
    searched: bool

    @property
    def ranked(self) -> list[SweepTrial]:
        """Trials, best first; those without a value last."""
        sign = -1 if self.objective.high else 1
        return sorted(self.trials, key=lambda trial: math.inf if math.isnan(trial.value) else sign * trial.value)

    @property
    def best(self) -> SweepTrial | None:
        """The trial with the best value; None where none has a value."""
        first = self.ranked[0] if self.trials else None
        return first if first is not None and not math.isnan(first.value) else None


@dataclass
class Rules:
    """Settings that all trials share. terms: the terms of scoring of the first trial, in which all must agree."""

    objective: SweepObjective
    n_trials: int
    display: ProgressDisplay
    terms: dict[str, Any] | None = None


@dataclass(frozen=True)
class SweepSpec:
    """A config file with overrides, the folder for run folders, and the number of parallel trials.

    cluster: the workers that trials run on; None = this machine. A grid is given to them all at once.
    matrices: binned rows that trials of this process share.
    """

    path: Path
    overrides: Sequence[str]
    folder: Path
    jobs: int = 1
    cluster: ClusterConnection | None = None
    matrices: SharedMatrix = field(default_factory=SharedMatrix)

    def config(self, values: Values) -> Config:
        """The config of a trial; `seed` stands for `seeds` with one value. Raises NlabError for an invalid config."""
        given = {("seeds" if key == "seed" else key): ([value] if key == "seed" else value) for key, value in values.items()}
        texts = [f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()}" for key, value in given.items()]
        return load_config(self.path, [*self.overrides, *(text.removesuffix("\n...") for text in texts)])[0]


def grid(spec: SweepSpec, axes: Sequence[str], objective: str, display: ProgressDisplay) -> Sweep:
    """Runs every combination of the axes `key=1,2,3` or `key=0:5` (0 to 4).

    Raises NlabError, before the first trial runs, for an invalid axis, config or objective, and for a repeated key.
    """
    named = dict(axis(text) for text in axes)
    if len(named) < len(axes):
        raise NlabError("--grid: a key stands twice; give all its values at once")
    points = [dict(zip(named, combination, strict=True)) for combination in itertools.product(*named.values())]
    configs = [spec.config(point) for point in points]
    sweep_objective = objective_of(objective, configs[0])
    trials = [SweepTrial(i, point) for i, point in enumerate(points, start=1)]
    rules = Rules(sweep_objective, len(trials), display)
    _check_data(spec, configs[0], rules)
    done: list[SweepTrial] = []
    size = max(1, spec.jobs) if spec.cluster is None else len(trials)
    for first in range(0, len(trials), size):
        batch = slice(first, first + size)
        done += _run_batch(spec, trials[batch], configs[batch], rules)
    return Sweep(sweep_objective, tuple(done), searched=False)


def search(spec: SweepSpec, ranges: Sequence[str], n_trials: int, objective: str, display: ProgressDisplay) -> Sweep:
    """Runs trials that optuna's TPE proposes from the values of earlier ones, within `key=low:high[:log]` or `key=a,b,c`.

    Proposals depend on the ranges, the number of jobs and the values alone: a repeated sweep proposes the same trials, and
    takes finished ones from their run folders. Raises NlabError for an invalid range, config or objective.
    """
    config = spec.config({})
    sweep_objective = objective_of(objective, config)
    study, space = study_of(ranges, sweep_objective.high)
    rules = Rules(sweep_objective, n_trials, display)
    _check_data(spec, config, rules)
    done: list[SweepTrial] = []
    while len(done) < n_trials:
        proposed = [study.ask(space) for _ in range(min(max(1, spec.jobs), n_trials - len(done)))]
        trials = [SweepTrial(len(done) + i, dict(proposal.params)) for i, proposal in enumerate(proposed, start=1)]
        batch = _run_batch(spec, trials, [spec.config(trial.values) for trial in trials], rules)
        for proposal, trial in zip(proposed, batch, strict=True):
            tell(study, proposal, trial.value)
        done += batch
    return Sweep(sweep_objective, tuple(done), searched=True)


def summary(done: Sweep) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of the leaderboard, best first, and lines to print beside it: the objective, the choice, and its score on val2."""
    rows = [
        {
            "trial": trial.number,
            "values": trial.values,
            "value": trial.value,
            "delta": trial.change.value,
            "low": trial.change.low,
            "high": trial.change.high,
            "run": trial.path.name if trial.path else "",
            "error": trial.error,
        }
        for trial in done.ranked
    ]
    by = "Proposed by optuna from it alone" if done.searched else "A grid, ranked by it alone"
    says = [f"{done.objective}. {by}: the search never saw val2."]
    best = done.best
    if best is None or best.path is None:
        return rows, [*says, "no trial has a value"]
    says.append(
        f"chosen: trial {best.number} of {len(rows)} ({values_text(best.values)}), {done.objective.column} {best.value:+.4f}"
    )
    says += chosen(read_run(best.path), done.objective.variant)
    if not math.isnan(best.change.low):
        says.append(
            "Each interval of Δ is of its trial alone: that of the best of many leaves out 0 by luck more often than 1 in 20"
        )
    return rows, says


def write_leaderboard(folder: Path, name: str, done: Sweep) -> Path:
    """Writes leaderboard.csv and .html beside the run folders (leaderboard-optuna for a search); returns the page's path.

    Marks the run folder of the best trial as chosen.
    """
    rows, says = summary(done)
    if done.best is not None and done.best.path is not None:
        stamp(done.best.path, done.objective, sum(1 for trial in done.trials if not math.isnan(trial.value)))
    table, _ = leaderboard(rows, done.objective.column)
    page = folder / ("leaderboard-optuna.html" if done.searched else "leaderboard.html")
    write_page(page.with_suffix(".csv"), table.write_csv())
    write_page(page, sweep_page(f"Sweep of {name}", says, rows, done.objective.column))
    return page


def _run_batch(spec: SweepSpec, trials: Sequence[SweepTrial], configs: Sequence[Config], rules: Rules) -> list[SweepTrial]:
    """Runs the trials that are not finished yet, up to `jobs` in parallel, and reads the value of every trial."""
    there = _finished(spec.folder, rules, configs)
    done: dict[int, SweepTrial] = {}

    def note(place: int, path: Path | None, error: str, reused: bool) -> None:
        done[place] = result = _judged(replace(trials[place], path=path, error=error, reused=reused), rules)
        value = f"{rules.objective.column} {result.value:+.4f}{' (was there)' * reused}"
        text = f"failed: {result.error.splitlines()[0]}" if result.error else value
        log.info("trial %d of %d: %s: %s", result.number, rules.n_trials, values_text(result.values), text)

    missing = []
    for place, config in enumerate(configs):
        earlier = there.get(config.to_yaml())
        if earlier is None:
            missing.append(place)
        else:
            note(place, earlier.path, "", True)
    for i, path, error in _run_all(spec, [configs[place] for place in missing], rules.display):
        note(missing[i], path, error, False)
    return [done[place] for place in range(len(trials))]


def _check_data(spec: SweepSpec, config: Config, rules: Rules) -> None:
    """Raises NlabError where workers of the cluster have other data than this machine."""
    if spec.cluster is not None:
        rules.terms = spec.cluster.check_data(config)


def _judged(trial: SweepTrial, rules: Rules) -> SweepTrial:
    """The trial with its value, or with an error where its terms of scoring differ from the first trial's."""
    if trial.path is None:
        return trial
    done = read_run(trial.path)
    if rules.terms is None:
        rules.terms = terms(done.manifest)
    if ways := differing(rules.terms, terms(done.manifest)):
        return replace(trial, error=f"can't be ranked with the first trial: they differ in {ways}")
    value = rules.objective.of(done)
    if math.isnan(value) and (lacking := rules.objective.lacks(done)):
        raise NlabError(
            f"--objective: {rules.objective} has no value: the data have no predictions of a {lacking} there; take another score"
        )
    return replace(trial, value=value, change=rules.objective.change(done))


def values_text(values: Values) -> str:
    """Text such as `model.max_depth 5, seed 0`."""
    return ", ".join(f"{key} {short([value])[0]}" for key, value in values.items())


def _finished(folder: Path, rules: Rules, configs: Sequence[Config]) -> dict[str, Run]:
    """Resolved config → its finished run, where data, code and libraries are the same as now."""
    if rules.terms is None and run_folders(folder):
        with contextlib.suppress(NlabError):  # the trial itself reports the error
            rules.terms = terms(facts_now(configs[0]))
    return reusable_runs(folder, configs, rules.terms)


def _run_all(spec: SweepSpec, configs: Sequence[Config], display: ProgressDisplay) -> Iterator[tuple[int, Path | None, str]]:
    """Yields the place of each config, and its run folder and "", or None and the error; of a cluster as they come."""
    if spec.cluster is not None:
        yield from runs_on(spec.cluster, configs, [spec.folder] * len(configs))
        return
    if len(configs) <= 1:
        for config in configs:
            yield 0, *run_or_error(config, spec.folder, display, matrices=spec.matrices)
        return
    with machine_shared(len(configs)) as memory, workers(len(configs)) as pool, ended_with_error():
        futures = [pool.submit(run_alone, config.to_yaml(), spec.folder, memory) for config in configs]
        for place, (config, future) in enumerate(zip(configs, futures, strict=True)):
            try:
                yield place, *future.result()
            except BrokenProcessPool:  # of a worker that was killed, this one or another
                yield place, *(once_more(run_alone, config.to_yaml(), spec.folder, memory) or (None, KILLED))
