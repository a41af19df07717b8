"""`nlab inspect`: diagnostics of a finished run's generators on a sample of eras."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32, Float64, Int32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.fitting.holdout import load_sealed_for
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.column_spread import Diagnosis
from numerai_lab.metrics.columns import alike, explained, neighbours_kept, plane
from numerai_lab.report.findings import Share, importances
from numerai_lab.report.inspected import Inspected
from numerai_lab.runs.layout import generator_file
from numerai_lab.runs.reading import Run

ROWS = 20_000
"""Approximate number of rows to transform: whole eras, evenly spread."""
ERAS = (6, 40)
"""Fewest and most eras in the sample."""
AN_ERA = 500
"""Most rows of an era in the sample."""
NEAR, NEIGHBOURS = 2_000, 15
"""Number of rows whose neighbours are compared, and number of neighbours of a row."""
POINTS = 2_500
"""Number of rows in a scatter plot."""


Key = tuple[str, int]
"""Name of a generator, and its seed."""


@dataclass(frozen=True)
class Sample:
    """Rows of a sample of eras. raw: bins or 0..1; later: true for rows of validation eras; columns: by generator and seed."""

    eras: Int32
    later: np.ndarray
    raw: Float32
    target: Float32
    columns: Mapping[Key, Float64]


def inspected(run: Run, display: ProgressDisplay) -> list[Inspected]:
    """An inspection of every generator whose fit the run folder keeps, without fitting anything.

    Raises NlabError where the data lacks the run's eras, or no training era has columns that are honest for all generators.
    """
    config = run.config
    fits = restored_fits(run, config)
    if not fits:
        return []
    with display.task("data") as progress:
        panel = load_sealed_for(run, config, progress).panel
    sample = _sample(panel, run, fits, display)
    gains = importances(run, config, panel.n_raw)
    return [_inspect(name, fits, sample, gains) for name in dict.fromkeys(name for name, _ in fits)]


def restored_fits(run: Run, config: Config) -> dict[Key, FittedGenerator]:
    """The fitted generators that the run folder keeps, of every seed that has an effect on them."""
    keys = [
        (name, seed)
        for name, template in config.generators.items()
        for seed in (config.seeds if template.stochastic else config.seeds[:1])
    ]
    return {key: restored_generator(run, config, *key) for key in keys if (run.path / generator_file(*key)).is_file()}


def first_seeds(fits: Mapping[Key, FittedGenerator]) -> dict[str, FittedGenerator]:
    """By generator, its fit of the first seed that there is."""
    first: dict[str, FittedGenerator] = {}
    for (name, _), fit in fits.items():
        first.setdefault(name, fit)
    return first


def honest_eras(run: Run, fits: Iterable[FittedGenerator]) -> list[int]:
    """Training eras for which every generator has columns by a fit that did not see their targets.

    Raises NlabError where there is none.
    """
    fits = list(fits)
    train = [era for era in run.manifest["splits"]["train"] if all(fit.has_fit_for(era) for fit in fits)]
    if not train:
        raise NlabError(f"{run.path}: no training era is left that every generator has columns for without its targets")
    return train


def _sample(panel: Panel, run: Run, fits: Mapping[Key, FittedGenerator], display: ProgressDisplay) -> Sample:
    """Transforms whole eras, as live data arrives, and keeps some rows of each.

    The training eras in the sample are eras whose targets no generator's fit for them saw.
    """
    splits = run.manifest["splits"]
    later = [*splits["val1"], *splits["val2"]]
    train = honest_eras(run, fits.values())
    n_eras = max(ERAS[0], min(ERAS[1], ROWS * len(panel.eras) // max(1, len(panel.ids))))
    chosen = sorted({*evenly(train, n_eras - n_eras // 2), *evenly(later, n_eras // 2)})
    assert panel.target is not None
    parts, eras = [], []
    columns: dict[Key, list[Float32]] = {key: [] for key in fits}
    with display.task("transform") as progress:
        for done, era in enumerate(chosen, start=1):
            block = panel.block(era)
            rows = np.linspace(0, len(block) - 1, min(AN_ERA, len(block))).astype(int)
            for key, fit in fits.items():
                columns[key].append(fit.columns_for(block)[rows])
            parts.append((block.unit()[rows], panel.target[panel.rows(era)][rows]))
            eras.append(np.full(len(rows), era, np.int32))
            panel.release()
            progress(done, len(chosen))
    at = np.concatenate(eras)
    return Sample(
        eras=at,
        later=np.isin(at, later),
        raw=np.concatenate([raw for raw, _ in parts]),
        target=np.concatenate([target for _, target in parts]),
        columns={key: np.concatenate(values).astype(np.float64) for key, values in columns.items()},
    )


def _inspect(
    name: str, fits: Mapping[Key, FittedGenerator], sample: Sample, gains: Mapping[str, Mapping[str, Share]]
) -> Inspected:
    seeds = [seed for generator, seed in fits if generator == name]
    fit, Z = fits[name, seeds[0]], sample.columns[name, seeds[0]]
    raw, later = sample.raw.astype(np.float64), sample.later
    few, picture = (np.linspace(0, len(Z) - 1, min(n, len(Z))).astype(int) for n in (NEAR, POINTS))
    k = min(NEIGHBOURS, len(few) - 1)
    names = tuple(fit.names)
    diagnosis = Diagnosis(names)
    for era in np.unique(sample.eras):
        at = sample.eras == era
        diagnosis.add("later" if later[at][0] else "train", Z[at].astype(np.float32))
    eras, drift = _drift(Z, sample)
    return Inspected(
        name=name,
        kind=fit.template.kind,
        names=names,
        r2=explained(raw[~later], Z[~later], raw[later], Z[later]),
        neighbours_kept=neighbours_kept(raw[few], Z[few], k),
        chance=k / (len(few) - 1),
        stable=float(np.mean([alike(Z, sample.columns[name, seed]) for seed in seeds[1:]])) if len(seeds) > 1 else None,
        shift=diagnosis.shift("train", "later"),
        eras=eras,
        drift=drift,
        points=plane(Z)[picture],
        point_eras=sample.eras[picture],
        point_targets=sample.target[picture],
        shares={variant: shares[name] for variant, shares in gains.items() if name in shares and len(shares) > 1},
    )


def _drift(Z: Float64, sample: Sample) -> tuple[tuple[int, ...], Float64]:
    """Eras, and the deviation of each era's mean from the training mean in standard deviations: eras × columns."""
    train = Z[~sample.later]
    spread = train.std(0)
    eras = np.unique(sample.eras)
    means = np.stack([Z[sample.eras == era].mean(0) for era in eras])
    return tuple(eras.tolist()), (means - train.mean(0)) / np.where(spread > 0, spread, math.inf)


def evenly(eras: Sequence[int], n: int) -> list[int]:
    """n eras, evenly spread, with the first and the last."""
    return [eras[i] for i in np.unique(np.linspace(0, len(eras) - 1, min(n, len(eras))).astype(int))] if eras else []
