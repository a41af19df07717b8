"""Scores of single features, or of any columns in bins: fitted on training eras, scored on later ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.panel import Panel
from numerai_lab.metrics.era import pearson

IMPLAUSIBLE_CORR = 0.15
"""No honest feature or model is known to have a mean corr this large on stock returns weeks ahead."""
HONEST_CORR = 0.05
"""A corr that an honest feature may have; a larger one must exceed it by more than chance."""
CONTINUOUS_BINS, MOST_BINS = 16, 25
MOST_CELLS = 200_000_000
"""Cells read of training and of scored eras each; with more, every k-th era stands for the rest."""
EDGE_ROWS = 20_000
LEAST_COLUMNS = 10
"""The least number of columns to measure the dependence of eras by."""

Bins = Callable[[int], Array]
"""Era → rows × columns of bin numbers 0, 1, …"""


@dataclass(frozen=True)
class ColumnScores:
    """Mean corr of each column with the target over scored eras, linear and by the mean training target of its bins.

    linear, binned: float64, columns. noise: their standard error for a column without signal.
    n_eras: scored eras.
    """

    linear: Float64
    binned: Float64
    noise: float
    n_eras: int

    @property
    def largest(self) -> Float64:
        """The larger of |linear| and binned: columns."""
        return np.maximum(np.abs(self.linear), self.binned)

    def limit(self, false_alarm: float) -> float:
        """The corr that no honest column exceeds, but for a probability of `false_alarm` over all columns."""
        return max(IMPLAUSIBLE_CORR, HONEST_CORR + self.band(false_alarm))

    def band(self, false_alarm: float) -> float:
        """The score that no column without signal exceeds, but for a probability of `false_alarm` over all columns."""
        from scipy.stats import norm

        return self.noise * float(norm.isf(false_alarm / (4 * max(1, len(self.linear)))))


def raw_scores(panel: Panel, train: Sequence[int], scored: Sequence[int], overlap: int = 1) -> ColumnScores:
    """Scores of each raw feature. overlap: eras that the target looks ahead, within which eras are dependent."""
    train, scored = thinned(panel, train), thinned(panel, scored)
    return column_scores(panel, raw_bins(panel, train), train, scored, overlap)


def column_scores(panel: Panel, bins: Bins, train: Sequence[int], scored: Sequence[int], overlap: int = 1) -> ColumnScores:
    """Scores of any columns in bins over the eras `scored`; bin means are learned from the eras `train`."""
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
    """Raw features in bins: their own where they are binned, else 16 with edges at quantiles of training rows."""
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
    """Every k-th era, with about `most_cells` cells of raw features together at most."""
    cells = sum(panel.rows(era).stop - panel.rows(era).start for era in eras) * panel.n_raw
    return list(eras[:: max(1, -(-cells // most_cells))])


def known_target(panel: Panel, era: int) -> tuple[Array, Float64]:
    """(mask, target): whether each row of an era has a known target (bool, rows), and the known targets."""
    assert panel.target is not None
    target = panel.target[panel.rows(era)].astype(np.float64)
    known = np.isfinite(target)
    return known, target[known]


def _inflation(scores: Float64, overlap: int) -> float:
    """The ratio of the variance of columns' mean scores to that of independent eras. scores: eras × columns.

    Overlapping targets make the scores of persistent columns dependent: autocorrelation up to the
    overlap, pooled over columns. With few columns the worst case is taken, of columns that never
    change.
    """
    n_eras, n_columns = scores.shape
    if n_columns < LEAST_COLUMNS or n_eras <= overlap:
        return float(overlap)
    centred = scores - scores.mean(0)
    variance = (centred**2).mean() or 1.0
    lags = range(1, overlap)
    pooled = [(centred[lag:] * centred[:-lag]).mean() / variance + 1 / n_eras for lag in lags]
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
