"""The augmentation curve: what trees score on held-out eras that learn from real rows and ever more invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.metrics.jackknife import Measure, known_mean, means_without, measure
from numerai_lab.metrics.realism_trees import corr_by_era, era_groups
from numerai_lab.metrics.row_sample import MOST_COLUMNS, RowSample, joined

SHARES = (0.0, 0.25, 0.5, 1.0, 2.0)
DRAWS, N_TREES = 3, 40
MOST_REAL = 4000
"""Real rows of a draw."""


@dataclass(frozen=True)
class CurvePoint:
    """Corr on held-out eras with `share` invented rows for each real row, and its change from no invented rows.

    low, high: 95 % intervals over held-out eras and over draws of rows and trees; over eras alone where there is one draw.
    """

    share: float
    real_rows: int
    invented_rows: int
    corr: float
    corr_low: float
    corr_high: float
    change: float
    change_low: float
    change_high: float


def augmentation_curve(
    train: RowSample,
    held: RowSample,
    invented: RowSample,
    seed: int,
    shares: Sequence[float] = SHARES,
    draws: int = DRAWS,
) -> list[CurvePoint]:
    """One point a share; the first share is 0.

    In each draw all points learn from the same real rows, and a larger share keeps the invented rows of a smaller one. There
    are at most MOST_REAL real rows in a draw, and no more than the largest share has invented rows for.
    """
    train, held, invented = (sample.narrowed(MOST_COLUMNS, seed) for sample in (train, held, invented))
    n = min(MOST_REAL, len(train), int(len(invented) / max(shares)))
    scores = np.array([_scores(train, held, invented, (seed, draw), shares, n) for draw in range(draws)])
    points = []
    for i, share in enumerate(shares):
        corr, change = (_over_eras_and_draws(values, held) for values in (scores[:, i], scores[:, i] - scores[:, 0]))
        ends = (corr.value, corr.low, corr.high, change.value, change.low, change.high)
        points.append(CurvePoint(share, n, round(share * n), *ends))
    return points


def _over_eras_and_draws(scores: Float64, held: RowSample) -> Measure:
    """The mean of scores, draws × eras, with its interval."""
    groups = era_groups(np.unique(held.era))
    by_era, by_draw = (np.array([known_mean(values) for values in part]) for part in (scores.T, scores))
    sides = [means_without(by_era, groups)]
    if len(by_draw) > 1:
        sides.append(means_without(by_draw, np.arange(len(by_draw))))
    return measure(known_mean(by_era), *sides)


def _scores(
    train: RowSample, held: RowSample, invented: RowSample, seed: tuple[int, int], shares: Sequence[float], n: int
) -> list[Array]:
    """Corr by held-out era for each share."""
    rng = np.random.default_rng(seed)
    real, order, trees = train.some(n, rng), rng.permutation(len(invented)), int(rng.integers(2**31 - 1))
    learned = [joined(real, invented.take(np.sort(order[: round(share * n)]))) for share in shares]
    return [corr_by_era(sample, held, np.random.default_rng(trees), N_TREES) for sample in learned]
