"""Maps continuous values to the tournament's bins and back, for several augmenters."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.panel import Block, Panel

NUMERAI_VALUES = np.array([0, 0.25, 0.5, 0.75, 1])
NUMERAI_SHARES = np.array([0.05, 0.2, 0.5, 0.2, 0.05])
MOST_VALUES = 32
"""A target with more distinct values than this is continuous."""
N_QUANTILES = 100
SAMPLE_ROWS = 50_000
N_TERMS = 9


@dataclass(frozen=True)
class Marginals:
    """The distribution of each column: values and their shares, columns × values; a column's shares sum to 1."""

    values: Float64
    shares: Float64

    @property
    def series(self) -> Float64:
        """Hermite coefficients of the steps from a standard normal variable to these values: columns × N_TERMS.

        Two columns cut from normal variables of correlation r have the correlation Σ aₖ bₖ rᵏ, k
        from 1. The first coefficient is the correlation of a column with its normal variable.
        """
        from scipy.stats import norm

        at = norm.ppf(np.cumsum(self.shares, axis=1)[:, :-1].clip(0, 1))
        density, at = norm.pdf(at), np.where(np.isfinite(at), at, 0)
        mean = (self.values * self.shares).sum(1)
        spread = np.sqrt((self.values**2 * self.shares).sum(1) - mean**2)
        weights = np.diff(self.values, axis=1) * density
        before, now, out = np.zeros_like(at), np.ones_like(at), []
        for k in range(1, N_TERMS + 1):
            out.append((weights * now).sum(1) / math.sqrt(math.factorial(k)))
            before, now = now, at * now - (k - 1) * before
        inverse = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-9)
        series: Float64 = np.array(out).T * inverse[:, None]
        return series

    def cut(self, normal: Float32, dtype: np.dtype[np.generic]) -> Array:
        """Standard normal values, rows × columns, cut into the values of these columns at their shares."""
        from scipy.stats import norm

        thresholds = norm.ppf(np.cumsum(self.shares, axis=1)[:, :-1].clip(0, 1)).astype(np.float32)
        places = np.zeros(normal.shape, np.int8)
        for threshold in thresholds.T:
            places += normal > threshold
        if np.array_equal(self.values, np.broadcast_to(np.arange(self.values.shape[1]), self.values.shape)):
            return places.astype(dtype, copy=False)
        return np.take_along_axis(self.values.T, places.astype(np.intp), axis=0).astype(dtype)

    def ranked(self, values: Float32, dtype: np.dtype[np.generic]) -> Array:
        """Every column ranked within the rows and cut into its feature's values at their shares, to whole rows."""
        n = len(values)
        columns = np.ascontiguousarray(values.T)
        bounds = np.rint(np.cumsum(self.shares, axis=1)[:, :-1] * n).astype(np.int64)
        out = np.empty(columns.shape, dtype)
        for i, order in enumerate(np.argsort(columns, axis=1)):
            places = np.searchsorted(bounds[i], np.arange(n), side="right")
            out[i, order] = self.values[i, places]
        return np.ascontiguousarray(out.T)


def rebinned(values: Float32, block: Block, rng: np.random.Generator) -> Array:
    """Features clipped to the block's range and, if it is binned, rounded to the nearest bin, halves at random."""
    if block.features.dtype != np.int8:
        return np.clip(values, 0, block.top)
    nudged = values + rng.uniform(-1e-3, 1e-3, size=values.shape).astype(np.float32)
    return np.clip(np.rint(nudged), 0, block.top).astype(np.int8)


def by_rank(scores: Float64, values: Float64, shares: Float64, rng: np.random.Generator) -> Float32:
    """One of the values per score, higher for higher scores, at exactly these shares (to whole rows), ties at random."""
    n = len(scores)
    order = rng.permutation(n)
    order = order[np.argsort(scores[order], kind="stable")]
    bounds = np.rint(np.cumsum(shares)[:-1] * n).astype(int)
    out = np.empty(n, np.float32)
    out[order] = values[np.searchsorted(bounds, np.arange(n), side="right")]
    return out


def known_blocks(panel: Panel) -> Iterator[Block]:
    """The block of every era without rows whose target is unknown; it may be empty."""
    for block in panel.blocks():
        assert block.target is not None
        yield block.take(np.isfinite(block.target))


def sampled_blocks(panel: Panel, n_rows: int, rng: np.random.Generator) -> Iterator[Block]:
    """Known rows of every era, drawn at random, at most n_rows in all: the same number an era, give or take one."""
    shares = np.diff(np.linspace(0, n_rows, len(panel.eras) + 1).astype(int))
    for block, share in zip(known_blocks(panel), shares, strict=True):
        chosen = np.zeros(len(block), bool)
        chosen[_sampled(len(block), share, rng)] = True
        yield block.take(chosen)


def varies(block: Block) -> NDArray[np.bool_]:
    """Whether each feature takes more than one value in an era: bool, features."""
    varying: NDArray[np.bool_] = (block.features != block.features[:1]).any(0)
    return varying


def target_values(panel: Panel) -> tuple[Float64, Float64]:
    """Values and shares of a panel's known targets: the distinct values, or quantiles of a continuous target."""
    assert panel.target is not None
    known = np.concatenate([panel.target[panel.rows(era)] for era in panel.eras.tolist()]).astype(np.float64)
    known = known[np.isfinite(known)]
    values, counts = np.unique(known, return_counts=True)
    if len(values) > MOST_VALUES:
        values, counts = _quantiles(known), np.ones(N_QUANTILES, np.int64)
    return values, counts / counts.sum()


def feature_marginals(panel: Panel, rng: np.random.Generator) -> Marginals:
    """Values and shares of every raw feature, pooled over the panel: its bins, or quantiles of continuous features.

    Binned features are counted in eras in which they vary, because an absent feature is the middle
    bin in every row.
    """
    if panel.features.dtype != np.int8:
        share = -(-SAMPLE_ROWS // len(panel.eras))
        parts = [block.features[_sampled(len(block), share, rng)] for block in known_blocks(panel)]
        values = np.apply_along_axis(_quantiles, 0, np.concatenate(parts).astype(np.float64)).T
        return Marginals(values, np.full(values.shape, 1 / N_QUANTILES))
    n_bins = int(panel.top) + 1
    counts, absent = np.zeros((panel.n_raw, n_bins), np.int64), np.zeros((panel.n_raw, n_bins), np.int64)
    for block in known_blocks(panel):
        in_era, varying = np.stack([(block.features == i).sum(0) for i in range(n_bins)], axis=1), varies(block)
        counts[varying] += in_era[varying]
        absent[~varying] += in_era[~varying]
    never = counts.sum(1) == 0
    counts[never] = absent[never]
    values = np.broadcast_to(np.arange(n_bins, dtype=np.float64), counts.shape)
    return Marginals(values, counts / counts.sum(1, keepdims=True))


def _quantiles(x: Float64) -> Float64:
    quantiles: Float64 = np.quantile(x, (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    return quantiles


def _sampled(n: int, most: int, rng: np.random.Generator) -> Int64:
    return np.sort(rng.permutation(n)[:most])
