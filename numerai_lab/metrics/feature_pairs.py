"""Scores of pairs of features, which may predict the target together where neither does alone."""

from collections.abc import Sequence

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.panel import Panel
from numerai_lab.metrics.single_features import Bins, ColumnScores, column_scores, known_target, raw_bins, thinned

N_BINS = 5
N_PAIRS = 20
"""Pairs that explain training targets best, which are then scored on later eras."""
MOST_ROWS, LEAST_ROWS = 20_000, 1_000
PRODUCT = 50_000_000_000
"""Multiplications of the search among all pairs: with more features it reads fewer rows."""
COLUMNS_AT_A_TIME = 200


def pair_scores(
    panel: Panel, train: Sequence[int], scored: Sequence[int], overlap: int, left_out: Sequence[int] = ()
) -> tuple[Int64, ColumnScores]:
    """The pairs of raw features whose 25 cells explain training targets best (pairs × 2), and their scores.

    All pairs are searched, on a sample of training rows. left_out: features that predict too well
    alone.
    """
    train, scored = thinned(panel, train), thinned(panel, scored)
    fine = raw_bins(panel, train)
    pairs = _strongest(*_sample(panel, fine, train), left_out)
    return pairs, column_scores(panel, _cells_of(fine, pairs), train, scored, overlap)


def _coarse(bins: Array) -> Array:
    """Bins merged into five, where they are sixteen."""
    return bins if bins.max(initial=0) < N_BINS else bins.astype(np.int16) * N_BINS // 16


def _cells_of(bins: Bins, pairs: Int64) -> Bins:
    def cells(era: int) -> Array:
        coarse = _coarse(bins(era)).astype(np.int16)
        return coarse[:, pairs[:, 0]] * N_BINS + coarse[:, pairs[:, 1]]

    return cells


def _sample(panel: Panel, bins: Bins, train: Sequence[int]) -> tuple[Array, Float32]:
    """Bins of a sample of training rows, spread over all eras, and their targets less the mean of their era."""
    wide = (N_BINS * panel.n_raw) ** 2
    most = min(MOST_ROWS, max(LEAST_ROWS, PRODUCT // wide))
    step = max(1, sum(panel.rows(era).stop - panel.rows(era).start for era in train) // most)
    cells, targets = [], []
    for i, era in enumerate(train):
        known, target = known_target(panel, era)
        cells.append(_coarse(bins(era)[known][i % step :: step]))
        targets.append((target - target.mean())[i % step :: step] if len(target) else target)
        panel.release()
    return np.concatenate(cells), np.concatenate(targets).astype(np.float32)


def _strongest(cells: Array, target: Float32, left_out: Sequence[int]) -> Int64:
    """The N_PAIRS pairs with the largest share of the target's variance between their cells: pairs × 2."""
    n, p = cells.shape
    one_hot = (cells[:, :, None] == np.arange(N_BINS, dtype=cells.dtype)).reshape(n, p * N_BINS).astype(np.float32)
    weighted = one_hot * target[:, None]
    best: list[tuple[float, int, int]] = []
    for start in range(0, p, COLUMNS_AT_A_TIME):
        block = slice(start * N_BINS, (start + COLUMNS_AT_A_TIME) * N_BINS)
        counts, sums = one_hot[:, block].T @ one_hot, weighted[:, block].T @ one_hot
        between = (sums**2 / np.maximum(counts, 1)).reshape(-1, N_BINS, p, N_BINS).sum((1, 3))
        first, second = np.meshgrid(start + np.arange(len(between)), np.arange(p), indexing="ij")
        excluded = (second <= first) | np.isin(first, left_out) | np.isin(second, left_out)
        between[excluded] = -1
        top = np.argsort(between, axis=None)[::-1][:N_PAIRS]
        best += [(float(between.flat[i]), start + int(i) // p, int(i) % p) for i in top if between.flat[i] >= 0]
    chosen = sorted(best, reverse=True)[:N_PAIRS]
    return np.array([pair[1:] for pair in chosen], np.int64).reshape(-1, 2)
