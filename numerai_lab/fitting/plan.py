"""The plan of a run and its cost, without running it: `nlab run --dry-run`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numerai_lab.config.installed import refuse_absent
from numerai_lab.config.schema import Config
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.folds import make_folds
from numerai_lab.core.formatting import human_bytes, human_seconds
from numerai_lab.core.gpus import gpus
from numerai_lab.core.processors import threads_now, usable_cores
from numerai_lab.core.splits import Splits, make_splits
from numerai_lab.core.walk_forward import make_steps
from numerai_lab.data.reader import outline
from numerai_lab.data.source import Outline
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.run_progress import expected_seconds
from numerai_lab.fitting.workload import planned_stages
from numerai_lab.metrics.coverage import too_wide_for_fnc
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.machine import core_flops
from numerai_lab.storage.stage_speeds import read_speeds


@dataclass(frozen=True)
class RunPlan:
    """Eras and rows of each split, and estimates: memory and disk in bytes; seconds of fit and columns, by generator.

    gpu_bytes: of the first GPU of this machine, whose name is `gpu`; 0 and "" where nothing runs on one.
    remarks: what the run would warn of before any fit.
    expected_seconds: of all stages of kinds that ran on this machine before; unknown: the kinds that did not.
    """

    outline: Outline
    splits: Splits
    rows: dict[str, int]
    memory_bytes: int
    disk_bytes: int
    gpu_bytes: int
    gpu: str
    trainings: int
    folds: int
    steps: int
    seconds: dict[str, float]
    expected_seconds: float
    unknown: list[str]
    threads: int
    cores: int
    remarks: list[str]

    @property
    def spans(self) -> dict[str, str]:
        """The eras of each split as text."""
        return {name: span_text(getattr(self.splits, name), self.outline.table.dates) for name in self.rows}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--format json`."""
        splits = self.spans
        return {
            "target": self.outline.target,
            "horizon_days": self.outline.horizon_days,
            "splits": {name: {"eras": splits[name], "rows": self.rows[name]} for name in self.rows},
            "leak": self.splits.leak,
            "remarks": self.remarks,
            "trainings": self.trainings,
            "folds": self.folds,
            "steps": self.steps,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "gpu_bytes": self.gpu_bytes,
            "gpu": self.gpu,
            "threads": self.threads,
            "cores": self.cores,
            "expected_seconds": None if self.unknown else round(self.expected_seconds),
            "not_run_here_yet": self.unknown,
            "seconds": {name: round(seconds) for name, seconds in self.seconds.items()},
            "store": "in cache" if self.outline.in_store else "to be made",
            "outline": {key: value for key, value in asdict(self.outline).items() if key in ("n_columns", "in_store")},
        }

    def lines(self) -> list[str]:
        """The plan as lines for people."""
        horizon = f"{self.outline.horizon_days}-day" if self.outline.horizon_days else "unknown horizon"
        lines = [f"target   {self.outline.target} ({horizon})"]
        if self.outline.reach_days != self.outline.horizon_days:
            lines += [f"embargo  for {self.outline.reach_days} days, which an auxiliary target looks ahead"]
        sealed = {"holdout": "; sealed until `nlab unseal`"}
        lines += [f"{name:8} {self.rows[name]:>9,} rows, eras {eras}{sealed.get(name, '')}" for name, eras in self.spans.items()]
        parts = ((self.folds, "fold"), (self.steps, "retraining step"))
        again = [f"{n} {what}{'s' * (n != 1)}" for n, what in parts if n]
        lines += [f"models   {self.trainings} to train" + (f", {' and '.join(again)} among them" if again else "")]
        lines += [f"memory   about {human_bytes(self.memory_bytes)}; disk about {human_bytes(self.disk_bytes)} (estimates)"]
        lines += [f"gpu      about {human_bytes(self.gpu_bytes)} of {self.gpu} (estimate)"] if self.gpu else []
        lines += [f"threads  {self.threads}, of {self.cores} core{'s' * (self.cores != 1)} that this process may use"]
        lines += [f"time     {self._time}"]
        long = ", ".join(f"{name} about {human_seconds(seconds)}" for name, seconds in self.seconds.items())
        lines += [f"         fit and columns of {long} a seed (rough: by the speed of one core)"] if long else []
        lines += [
            f"store    {'in cache' if self.outline.in_store else 'not in cache, will be made'}; {self.outline.n_columns} features"
        ]
        if self.outline.files_bytes:
            lines += [f"files    to be made, about {human_bytes(self.outline.files_bytes)} of the disk above"]
        return lines + ([self.splits.leak] if self.splits.leak else []) + self.remarks

    @property
    def _time(self) -> str:
        known = f"about {human_seconds(self.expected_seconds)}"
        if not self.unknown:
            return f"{known} by earlier runs here, less where the cache has stages"
        kinds = f"{', '.join(self.unknown[:3])}{' …' * (len(self.unknown) > 3)}"
        return f"unknown: no {kinds} ran here yet" + (f"; the rest {known}" if self.expected_seconds >= 1 else "")


def plan(config: Config) -> RunPlan:
    """Reads eras and targets of the data (or what is known of data still to be made); writes nothing.

    Raises NlabError where a method needs a package that is not installed, and for what the data do not have.
    """
    refuse_absent(config)
    data = outline(config.data, config.extra_sets)
    splits = make_splits(config.splits, data.table, data.reach_days)
    step = data.table.days_per_era
    folds = make_folds(config.cv, splits.train, data.reach_days, step) if config.cv else ()
    known = {era for era, has in zip(data.table.eras, data.table.has_target, strict=True) if has}
    steps = make_steps(config.retrain, splits, known, config.splits.era_stride) if config.retrain else ()
    fit_plan, *fold_plans = (FitPlan.of(config, part) for part in (splits, *folds, *steps))
    n_rows = dict(zip(data.table.eras, data.n_rows, strict=True))
    rows = {name: sum(n_rows[era] for era in getattr(splits, name)) for name in _shown(splits)}
    width, scored = len(data.sets.get(config.fnc_features, ())), [n_rows[era] for era in splits.scored]
    wide = too_wide_for_fnc(config.fnc_features, width, scored, config.scoring.least_rows)
    models = set(fit_plan.shared_models.values())
    inputs = EstimateInputs(fit_plan, n_rows, data.n_columns, not data.in_store, fold_plans, feature_sets=data.sets)
    needs, (expected, unknown) = need(inputs), expected_seconds(planned_stages(inputs), read_speeds(cache_dir()))
    return RunPlan(
        outline=data,
        splits=splits,
        rows=rows,
        memory_bytes=needs.memory_bytes,
        disk_bytes=sum(data.n_rows) * data.n_columns + needs.disk_bytes + data.files_bytes,
        gpu_bytes=needs.gpu_bytes,
        gpu=_gpu_text() if needs.gpu_bytes else "",
        trainings=sum(len(config.targets_by_model(name)) for name in models) * len(config.seeds) * (1 + len(folds) + len(steps)),
        folds=len(folds),
        steps=len(steps),
        expected_seconds=expected,
        unknown=unknown,
        seconds=_seconds(fit_plan, n_rows, data.n_columns),
        threads=threads_now(),
        cores=usable_cores(),
        remarks=[*filter(None, [wide])],
    )


def _gpu_text() -> str:
    """The first GPU, which libraries take, with its memory."""
    return next((f"{gpu.name}, {human_bytes(gpu.memory_bytes)}" for gpu in gpus()), "a GPU that the driver does not name")


def _shown(splits: Splits) -> tuple[str, ...]:
    """The parts of the splits that a plan shows."""
    return ("train", "embargo", "val1", "val2", *(("holdout",) if splits.holdout else ()))


def _seconds(plan: FitPlan, n_rows: Mapping[int, int], n_columns: int) -> dict[str, float]:
    """Seconds of fit and columns, by generator, of those that take long enough to wait for."""
    flops = core_flops()
    durations: dict[str, float] = {}
    for name, generator in plan.config.generators.items():
        n_fitted = sum(n_rows[era] for era in plan.fitted_on(name))
        seconds = generator.seconds(n_fitted, sum(n_rows.values()), n_columns, flops)
        durations |= {name: seconds} if seconds is not None else {}
    return durations
