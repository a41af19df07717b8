"""What single features, or any columns in bins, tell of the target: fitted on training eras, scored on later ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.panel import Panel
from numerai_lab.metrics.era import pearson

IMPLAUSIBLE_CORR = 0.15
"""No honest feature or model is known to have a mean corr this large on stock returns weeks ahead."""
HONEST_CORR = 0.05
"""What an honest feature may have; a larger corr must be told from it by more than chance."""
CONTINUOUS_BINS, MOST_BINS = 16, 25
MOST_CELLS = 200_000_000
"""Cells read of training and of scored eras each; with more, every k-th era stands for the rest."""
EDGE_ROWS = 20_000
LEAST_COLUMNS = 10
"""Columns by which the dependence of eras is measured."""

Bins = Callable[[int], Array]
"""Era → rows × columns of bin numbers 0, 1, …"""


@dataclass(frozen=True)
class ColumnScores:
    """Corr of each column with the target: mean over scored eras, straight and by the mean training target of its bins.

    linear, binned: float64, a column each. noise: their standard error if they tell nothing. n_eras: that were scored.
    """

    linear: Float64
    binned: Float64
    noise: float
    n_eras: int

    @property
    def largest(self) -> Float64:
        """The larger of |linear| and binned, a column each."""
        return np.maximum(np.abs(self.linear), self.binned)

    def limit(self, false_alarm: float) -> float:
        """The corr that honest columns stay below, all of them together but for a chance of `false_alarm`."""
        return max(IMPLAUSIBLE_CORR, HONEST_CORR + self.band(false_alarm))

    def band(self, false_alarm: float) -> float:
        """How far chance takes the scores of columns that tell nothing, but for a chance of `false_alarm`."""
        from scipy.stats import norm

        return self.noise * float(norm.isf(false_alarm / (4 * max(1, len(self.linear)))))


def raw_scores(panel: Panel, train: Sequence[int], scored: Sequence[int], overlap: int = 1) -> ColumnScores:
    """Of each raw feature. overlap: eras that the target looks ahead, within which scores of eras depend on each other."""
    train, scored = thinned(panel, train), thinned(panel, scored)
    return column_scores(panel, raw_bins(panel, train), train, scored, overlap)


def column_scores(panel: Panel, bins: Bins, train: Sequence[int], scored: Sequence[int], overlap: int = 1) -> ColumnScores:
    """Scores of any columns in bins, over the eras `scored`; bin means are learned from the eras `train`."""
    means = _bin_means(panel, bins, train)
    columns = np.arange(len(means))
    linear, binned, rows = [], [], 0
    for era in scored:
        known, target = known_target(panel, era)
        if len(target) < 2 or np.ptp(target) == 0:
            continue
        cells = bins(era)[known]
        linear.append(np.nan_to_num(pearson(cells.astype(np.float64), target)))
        binned.append(np.nan_to_num(pearson(means[columns, cells], target)))
        rows += len(target)
        panel.release()
    n_eras = len(linear)
    if not n_eras:
        return ColumnScores(np.zeros(len(means)), np.zeros(len(means)), np.inf, 0)
    noise = np.sqrt(_inflation(np.array(linear), overlap) / rows)
    return ColumnScores(np.mean(linear, 0), np.mean(binned, 0), float(noise), n_eras)


def raw_bins(panel: Panel, train: Sequence[int]) -> Bins:
    """Raw features in bins: their own where they have any, else 16 with edges at quantiles of training rows."""
    if panel.features.dtype == np.int8:
        return lambda era: panel.features[panel.rows(era), : panel.n_raw]
    step = max(1, sum(panel.rows(era).stop - panel.rows(era).start for era in train) // EDGE_ROWS)
    sample = np.concatenate([panel.features[panel.rows(era), : panel.n_raw][::step] for era in train])
    edges = np.quantile(sample, np.arange(1, CONTINUOUS_BINS) / CONTINUOUS_BINS, axis=0)

    def bins(era: int) -> Array:
        values = panel.features[panel.rows(era), : panel.n_raw]
        columns = [np.searchsorted(edges[:, i], values[:, i], side="right") for i in range(values.shape[1])]
        return np.column_stack(columns).astype(np.int8)

    return bins


def thinned(panel: Panel, eras: Sequence[int], most_cells: int = MOST_CELLS) -> list[int]:
    """Every k-th era, as many as have `most_cells` raw features' cells together."""
    cells = sum(panel.rows(era).stop - panel.rows(era).start for era in eras) * panel.n_raw
    return list(eras[:: max(1, -(-cells // most_cells))])


def known_target(panel: Panel, era: int) -> tuple[Array, Float64]:
    """Which rows of an era have a target (bool, rows), and the target of those."""
    assert panel.target is not None
    target = panel.target[panel.rows(era)].astype(np.float64)
    known = np.isfinite(target)
    return known, target[known]


def _inflation(scores: Float64, overlap: int) -> float:
    """How much larger the variance of columns' mean scores is than if eras were independent. scores: eras × columns.

    Targets that overlap make the scores of persistent columns depend on each other: autocorrelation up to the overlap, pooled
    over columns; of few columns the worst is taken, as if they never changed.
    """
    n_eras, n_columns = scores.shape
    if n_columns < LEAST_COLUMNS or n_eras <= overlap:
        return float(overlap)
    around = scores - scores.mean(0)
    variance = (around**2).mean() or 1.0
    lags = range(1, overlap)
    pooled = [(around[lag:] * around[:-lag]).mean() / variance + 1 / n_eras for lag in lags]
    return float(min(overlap, 1 + 2 * sum(max(0.0, autocorrelation) for autocorrelation in pooled)))


def _bin_means(panel: Panel, bins: Bins, train: Sequence[int]) -> Float64:
    """Mean target of each bin over training rows, era means taken out: columns × bins."""
    sums: Float64 | None = None
    counts = np.ones((0, 0))
    for era in train:
        known, target = known_target(panel, era)
        cells = bins(era)[known]
        if sums is None:
            sums, counts = np.zeros((cells.shape[1], MOST_BINS)), np.zeros((cells.shape[1], MOST_BINS))
        centred = (target - target.mean()) if len(target) else target
        for i in range(int(cells.max(initial=0)) + 1):
            hit = (cells == i).astype(np.float32)
            sums[:, i] += centred.astype(np.float32) @ hit
            counts[:, i] += hit.sum(0)
        panel.release()
    assert sums is not None
    return sums / np.maximum(counts, 1)
