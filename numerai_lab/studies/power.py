"""`nlab power`: the smallest difference that a run of a config can detect, estimated before the run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.config.loading import parse_recorded
from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float64
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.changes import series_of
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.metrics.power import MOST, Noise, eras_for, noise_of, resolution
from numerai_lab.metrics.significance import MIN_BLOCKS, block_length
from numerai_lab.runs.reading import Run, asked_config, read_run

PILOT_ERAS, PILOT_SHARE, PILOT_SEEDS = 160, 0.6, 3
"""The pilot's last training eras, the share of them that it learns from, and the number of its fits per model."""
KEPT_FEATURES = 0.75
"""Share of the features that the pilot's second model reads."""
SEEDS = (1, 2, 3, 5)


@dataclass(frozen=True)
class Power:
    """lines: the source of the noise and the eras at hand; rows: one per number of seeds."""

    lines: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


def power(config: Config, gain: float, display: ProgressDisplay, run: Run | None = None) -> Power:
    """Smallest differences that n eras × seeds can detect, by the noise of a finished run or else a pilot on training eras.

    Raises NlabError where the run has one variant, where eras are too few to measure noise, or training eras for a pilot.
    """
    with display.task("data") as progress:
        loaded, splits = load_sealed(config, progress)
    block = block_length(loaded.horizon_days, loaded.panel.days_per_era)
    noise, source = _of_run(run, block) if run else _of_pilot(loaded.panel, splits, block)
    if not noise.era > 0:
        raise NlabError(f"{source}: too few eras to measure the noise of a difference; name another run with --run")
    n_eras, n_variants = len(splits.scored), max(1, len(config.variants) - 1)
    rows = []
    one_seed = bool(np.isnan(noise.seed))
    for n_seeds in [1] if one_seed else sorted({*SEEDS, len(config.seeds)}):
        needed = eras_for(gain, noise, n_eras, n_seeds, n_variants, block)
        rows.append(
            {
                "seeds": n_seeds,
                "eras": n_eras,
                "resolves": resolution(noise, n_eras, n_seeds, n_variants, block),
                "eras_for_gain": f"{needed:,}" if needed else f"more than {MOST} ×",
            }
        )
    between = "unknown (one seed)" if one_seed else f"{noise.seed:.4f}"
    more = "what more seeds would resolve needs a run of two seeds or more, which shows the noise between them"
    return Power(
        (
            f"noise from {source}: {noise.era:.4f} corr a difference and era, {between} between seeds",
            f"{n_eras} eras to score, {n_variants} variants against the reference; 80 % power at the family's 5 % level",
            f"one seed: between two trained models, not methods; a gain of {gain:g} wants the eras of the last column",
            *([more] if one_seed else []),
        ),
        tuple(rows),
    )


def run_of(config: Config, runs_dir: Path) -> Run | None:
    """The newest finished run of this config, seeds aside, with more than one variant; None where there is none."""
    resolved = {**config.resolved(), "seeds": None}
    for path in sorted(runs_dir.glob("*/manifest.json"), key=lambda path: path.parent.name, reverse=True):
        try:
            run = read_run(path.parent)
            same = {**_resolved(run), "seeds": None} == resolved
        except NlabError:
            continue
        if same and run.scores["variant"].n_unique() > 1:
            return run
    return None


def _resolved(run: Run) -> dict[str, Any]:
    return parse_recorded(asked_config(run), str(run.path)).resolved()


def _of_run(run: Run, block: int) -> tuple[Noise, str]:
    import polars as pl

    table = run.per_era.filter(pl.col("split").is_in(("val1", "val2")))
    eras = table["era"].unique().sort().to_list()
    variants = table["variant"].unique(maintain_order=True).to_list()
    if len(variants) < 2:
        raise NlabError(f"{run.path}: a run of one variant shows no difference; name another with --run")
    members = {name: series_of(table.filter(variant=name), eras, ["corr"])["corr"] for name in variants}
    reference = run.manifest["scoring"]["reference"]
    if reference not in members:
        raise NlabError(
            f"{run.path}: its reference {reference!r} is none of its variants; the run is damaged: run its config again"
        )
    return noise_of({**members}, reference, block), f"the finished run {run.name}"


def _of_pilot(panel: Panel, splits: Splits, block: int) -> tuple[Noise, str]:
    """Noise between two ridge models on resampled training eras: one reads all features, the other three quarters of them."""
    eras = splits.train[-PILOT_ERAS:]
    n_fit = int(PILOT_SHARE * len(eras))
    fitted, scored = eras[:n_fit], eras[n_fit + splits.required_eras :]
    if n_fit < 2 or len(scored) < MIN_BLOCKS * block:
        raise NlabError(f"no pilot: {len(splits.train)} training eras are too few; name a finished run with --run")
    rng = np.random.default_rng(0)
    part = np.sort(rng.choice(panel.n_raw, max(1, int(KEPT_FEATURES * panel.n_raw)), replace=False))
    products = [_products(panel, era) for era in fitted]
    weights = []
    for columns in (np.arange(panel.n_raw), part):
        for _ in range(PILOT_SEEDS):
            counts = np.bincount(rng.integers(0, n_fit, n_fit), minlength=n_fit)
            weights.append(_ridge(products, counts, columns))
    scores = np.array([_corr(panel, era, np.column_stack(weights)) for era in scored]).T
    noise = noise_of({"all": scores[:PILOT_SEEDS], "part": scores[PILOT_SEEDS:]}, "all", block)
    source = f"a pilot (ridge, {len(scored)} training eras; your model's may well be half or twice that)"
    return noise, source


def _rows(panel: Panel, era: int) -> tuple[Float64, Float64]:
    """Centred raw features and the target, for rows whose target is known."""
    assert panel.target is not None
    place = panel.rows(era)
    known = np.isfinite(panel.target[place])
    X = np.asarray(panel.features[place][known][:, : panel.n_raw], dtype=np.float64)
    y = panel.target[place][known].astype(np.float64)
    return X - X.mean(0), y


def _products(panel: Panel, era: int) -> tuple[Float64, Float64]:
    X, y = _rows(panel, era)
    return X.T @ X, X.T @ (y - y.mean())


def _ridge(products: list[tuple[Float64, Float64]], counts: "np.ndarray[Any, Any]", columns: "np.ndarray[Any, Any]") -> Float64:
    gram = sum(n * gram for n, (gram, _) in zip(counts, products, strict=True))[np.ix_(columns, columns)]
    right = sum(n * right for n, (_, right) in zip(counts, products, strict=True))[columns]
    weights = np.zeros(len(products[0][1]))
    weights[columns] = np.linalg.solve(gram + 0.1 * np.trace(gram) / len(columns) * np.eye(len(columns)), right)
    return weights


def _corr(panel: Panel, era: int, weights: Float64) -> Float64:
    X, y = _rows(panel, era)
    return numerai_corr(X @ weights, y)
