"""How realistic invented rows are: their statistics against held-out rows, beside those of real training rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.era import pearson
from numerai_lab.metrics.jackknife import Measure, known_mean, mean_measure, means_without, measure
from numerai_lab.metrics.realism_bins import (
    compared,
    feature_counts,
    largest_difference,
    mean_difference,
    pair_counts,
    pair_similarity,
    share_of_bins_met,
)
from numerai_lab.metrics.realism_copies import FEW, LEAST_COLUMNS, changed_cells
from numerai_lab.metrics.realism_correlations import correlation_errors
from numerai_lab.metrics.realism_neighbours import density_and_coverage, distance_to_training, membership
from numerai_lab.metrics.realism_trees import classifier_auc, column_utility, corr_by_era, era_groups
from numerai_lab.metrics.row_sample import MOST_COLUMNS, RowSample

MOST_CORRELATED = 400
"""Features whose correlations are compared; a random choice of more."""
MOST_PAIRED = 100
"""Features whose contingency tables are compared; a random choice of more."""


@dataclass(frozen=True)
class Realism:
    """Statistics of an augmenter's rows by their name in `REALISM_MEASURES`. proportions: share in each bin, features × bins."""

    rows: int
    eras: int
    measures: Mapping[str, Measure]
    proportions: Float64 = field(repr=False)

    def __getitem__(self, name: str) -> Measure:
        return self.measures[name]


def realism(
    train: RowSample, held: RowSample, generated: RowSample, seed: int, all_training: Iterable[Array] | None = None
) -> Realism:
    """Statistics of generated rows, and the same statistics of real ones.

    train, held: real rows of different eras, best in equal numbers. all_training: features of every training row in
    blocks, among which copies are looked for; by default those of `train`.
    """
    rng = np.random.default_rng(seed)
    counts = [feature_counts(sample, train) for sample in (generated, train, held.some(len(generated), rng))]
    bins = {
        name: compared(how, *counts)
        for name, how in (
            ("bins_mean", mean_difference),
            ("bins_max", largest_difference),
            ("bins_covered", share_of_bins_met),
        )
    }
    copies = _copies(generated, held, [train.features] if all_training is None else all_training)
    train, held, generated = (sample.narrowed(MOST_COLUMNS, seed) for sample in (train, held, generated))
    return Realism(
        rows=len(generated),
        eras=len(np.unique(generated.era)),
        measures=bins
        | copies
        | _of_columns(train, held, generated, seed, rng)
        | _of_rows(train, held, generated, rng)
        | _of_targets(train, held, generated, rng),
        proportions=counts[0].shares,
    )


def _copies(generated: RowSample, held: RowSample, blocks: Iterable[Array]) -> dict[str, Measure]:
    """Shares of rows that are training rows, wholly or but for few cells, beside those of held-out rows."""
    changes = changed_cells(np.concatenate([generated.features, held.features]), blocks)
    own, real, groups = changes[: len(generated)], changes[len(generated) :], generated.groups()
    measures = {}
    for name, most in (("copies", 0), ("near_copies", FEW)):
        known = most == 0 or generated.features.shape[1] >= LEAST_COLUMNS
        copied = np.where(known, own <= most, np.nan)
        beside = float((real <= most).mean()) if known else float("nan")
        sides = means_without(copied, groups) if known else np.empty(0)
        measures[name] = measure(float(copied.mean()), sides, real=beside, within=(0, 1))
    return measures


def _of_columns(
    train: RowSample, held: RowSample, generated: RowSample, seed: int, rng: np.random.Generator
) -> dict[str, Measure]:
    """How columns depend on each other."""
    alike = _as_many(train, generated, rng)
    samples = generated.some(len(alike), rng), alike, held
    paired = [sample.narrowed(MOST_PAIRED, seed) for sample in samples]
    own, real, reference = (pair_counts(sample, paired[2]) for sample in paired)
    similarity = pair_similarity(paired[0].features.shape[1] + 1)
    return {
        **correlation_errors(*(sample.narrowed(MOST_CORRELATED, seed) for sample in samples)),
        "pairs": compared(similarity, own, reference, real),
        "utility": column_utility(generated, alike, held, rng),
    }


def _of_rows(train: RowSample, held: RowSample, generated: RowSample, rng: np.random.Generator) -> dict[str, Measure]:
    """Where rows lie among real ones, and whether they can be told from them."""
    alike = _as_many(train, generated, rng)
    n = min(len(alike), len(generated))
    (density, coverage), (of_real, covered) = (density_and_coverage(rows.some(n, rng), held, rng) for rows in (generated, alike))
    return {
        "auc": _beside(classifier_auc(generated, held, rng), classifier_auc(train, held, rng)),
        "density": _beside(density, of_real),
        "coverage": _beside(coverage, covered),
        "memorised": distance_to_training(generated, held, train, rng),
        "membership": membership(generated, train, held, rng),
    }


def _of_targets(train: RowSample, held: RowSample, generated: RowSample, rng: np.random.Generator) -> dict[str, Measure]:
    """What the rows teach of the target, and how that differs between eras."""
    own, real = (corr_by_era(rows, held, rng) for rows in (generated.some(len(train), rng), _as_many(train, generated, rng)))
    return {
        "tstr": mean_measure(own, era_groups(np.unique(held.era)), known_mean(real)),
        "diversity": _diversity(generated, train),
    }


def _beside(own: Measure, real: Measure) -> Measure:
    return Measure(own.value, own.low, own.high, real.value)


def _diversity(generated: RowSample, train: RowSample) -> Measure:
    """Spread over eras of correlations with the target beside that of training eras; NaN where it can't be told from chance."""
    unknown = measure(float("nan"), real=1.0)
    (own, chance_of_own), (real, chance) = _correlations_of_eras(generated), _correlations_of_eras(train)
    if min(len(own), len(real)) < 2 or _spread(real, chance) < chance * np.sqrt(2 / (len(real) - 1)):
        return unknown

    def ratio(own: Float64, real: Float64) -> float:
        return float(np.sqrt(max(_spread(own, chance_of_own), 0) / max(_spread(real, chance), 1e-12)))

    sides = [ratio(rest, real) for rest in _without_groups(own)], [ratio(own, rest) for rest in _without_groups(real)]
    return measure(ratio(own, real), *map(np.array, sides), real=1.0, within=(0, np.inf))


def _without_groups(by_era: Float64) -> list[Float64]:
    groups = era_groups(np.arange(len(by_era)))
    return [by_era[groups != group] for group in range(int(groups.max()) + 1)] if len(by_era) > 2 else []


def _spread(by_era: Float64, of_chance: float) -> float:
    """Variance over eras, on average over features, beyond that of chance."""
    return float(by_era.var(0, ddof=1).mean()) - of_chance


def _correlations_of_eras(sample: RowSample) -> tuple[Float64, float]:
    """Features' correlations with the target, eras × features, and the variance that they have by chance."""
    eras = [era for era in sample.eras() if len(era) > 2]
    related = [np.nan_to_num(pearson(era.features.astype(np.float64), era.target.astype(np.float64))) for era in eras]
    return np.array(related), known_mean(np.array([1 / (len(era) - 1) for era in eras]))


def _as_many(train: RowSample, generated: RowSample, rng: np.random.Generator) -> RowSample:
    """Training rows of equal number, and of equally many eras, as the generated ones, or all.

    A smaller sample differs more from others by chance alone.
    """
    eras = np.unique(train.era)
    n_eras = min(len(eras), len(np.unique(generated.era)))
    chosen = train.take(np.isin(train.era, eras[np.linspace(0, len(eras) - 1, n_eras).astype(int)]))
    return chosen.some(len(generated), rng)
