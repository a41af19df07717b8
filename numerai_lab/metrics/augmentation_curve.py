"""The augmentation curve: what trees score on held-out eras that learn from real rows and ever more invented ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.metrics.jackknife import mean_measure
from numerai_lab.metrics.realism_trees import corr_by_era, era_groups
from numerai_lab.metrics.row_sample import MOST_COLUMNS, RowSample, joined

SHARES = (0.0, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class CurvePoint:
    """Corr on held-out eras with `share` invented rows for each real row, and its change from no invented rows.

    low, high: 95 % intervals over held-out eras, of trees as they are: how much trees of other rows differ is not in them.
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
    train: RowSample, held: RowSample, invented: RowSample, seed: int, shares: Sequence[float] = SHARES, draws: int = 1
) -> list[CurvePoint]:
    """One point a share; the first share is 0.

    All points learn from the same real rows, and a larger share keeps the invented rows of a smaller one. There are as many
    real rows as the largest share has invented rows for. draws: rows and trees are drawn so often, and scores averaged.
    """
    train, held, invented = (sample.narrowed(MOST_COLUMNS, seed) for sample in (train, held, invented))
    n = min(len(train), int(len(invented) / max(shares)))
    scores = np.mean([_scores(train, held, invented, (seed, draw), shares, n) for draw in range(draws)], axis=0)
    groups = era_groups(np.unique(held.era))
    points = []
    for share, by_era in zip(shares, scores, strict=True):
        corr, change = (mean_measure(values, groups) for values in (by_era, by_era - scores[0]))
        ends = (corr.value, corr.low, corr.high, change.value, change.low, change.high)
        points.append(CurvePoint(share, n, round(share * n), *ends))
    return points


def _scores(
    train: RowSample, held: RowSample, invented: RowSample, seed: tuple[int, int], shares: Sequence[float], n: int
) -> "list[np.ndarray]":
    """Corr by held-out era for each share."""
    rng = np.random.default_rng(seed)
    real, order, trees = train.some(n, rng), rng.permutation(len(invented)), int(rng.integers(2**31 - 1))
    learned = [joined(real, invented.take(np.sort(order[: round(share * n)]))) for share in shares]
    return [corr_by_era(sample, held, np.random.default_rng(trees)) for sample in learned]
