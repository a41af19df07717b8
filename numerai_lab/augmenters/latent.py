"""Rows as points of a space small enough to model, and points as rows: factors behind the bins, or the features themselves."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from numerai_lab.augmenters.bins import Marginals, known_blocks, varies
from numerai_lab.augmenters.copula import MOST, as_correlation, behind_bins, positive
from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.covariance import factor_analysis
from numerai_lab.core.panel import Block, Panel
from numerai_lab.neural.settings import SIGMA

MOST_UNKNOWN = 0.8
"""A factor of which bins leave more of the variance than this unknown is no latent column."""
CALIBRATION_ROWS = 100_000
N_CALIBRATIONS = 2


@dataclass(frozen=True)
class Pooled:
    """Mean and covariance, float64, of features on −½ … ½ over rows whose target is known, in eras where they vary."""

    mean: Float64
    covariance: Float64

    @classmethod
    def of(cls, panel: Panel) -> Self:
        p = panel.n_raw
        total, products, n = np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
        for block in known_blocks(panel):
            there = varies(block)
            x = (block.unit() - np.float32(0.5)) * there
            total, products, n = total + x.sum(0, dtype=np.float64), products + x.T @ x, n + len(x) * np.outer(there, there)
        mean, n = total / np.maximum(np.diag(n), 1), np.maximum(n, 1)
        return cls(mean, np.where(n > 1, products / n - np.outer(mean, mean), 0))

    @property
    def deviation(self) -> Float64:
        """Standard deviations; 1 where nothing varies."""
        variance = np.diag(self.covariance)
        return np.where(variance > 1e-7, np.sqrt(np.maximum(variance, 1e-7)), 1)


def factors_behind(correlations: Float64, k: int) -> tuple[Float64, Float64]:
    """Weights (features × at most k) and noise variances of the factors of variables with these correlations."""
    weights, psi, _ = factor_analysis(positive(correlations), k, 1e-4, 200)
    return weights[:, (weights**2).sum(0) > 1e-3], np.maximum(psi, 0.01)


def bin_noise(noise: Float64, loading: Float64) -> Float64:
    """Variance of what a feature's bins, divided by their loading, hold beside the factors: cutting into bins adds to it."""
    out: Float64 = noise + 1 / np.maximum(loading, 0.1) ** 2 - 1
    return out


@dataclass(frozen=True)
class Latent:
    """An affine map from features on 0..1 to latent columns of standard deviation ½, and the way back.

    projection: features × columns; offset: columns. weights: features × factors, of the normal variable behind each feature
    on its factors, the first of which are the latent columns; noise: its variance that they leave; root: factors × factors,
    of the covariance of what rows leave unknown of their factors. Without factors the last three are empty, and a latent
    column is a feature.
    """

    projection: Float64
    offset: Float64
    weights: Float64
    noise: Float64
    root: Float64

    @classmethod
    def features(cls, pooled: Pooled) -> Self:
        """Every feature is a column."""
        scale = SIGMA / pooled.deviation
        return cls(np.diag(scale), -(pooled.mean + 0.5) * scale, np.zeros((0, 0)), np.zeros(0), np.zeros((0, 0)))

    @classmethod
    def factors(cls, behind: Float64, pooled: Pooled, loading: Float64, k: int) -> Self:
        """Posterior means of up to k factors of variables with the correlations `behind` the bins.

        Factors of which a row's bins tell next to nothing are no columns; they are drawn anew for every row.
        """
        weights, noise = factors_behind(behind, k)
        weighted = weights / bin_noise(noise, loading)[:, None]
        unknown = np.linalg.inv(np.eye(weights.shape[1]) + weights.T @ weighted)
        order = np.argsort(np.diag(unknown), kind="stable")
        n = max(1, int((np.diag(unknown) < MOST_UNKNOWN).sum()))
        informative, weights = order[:n], weights[:, order]
        known = np.sqrt(np.maximum(1 - np.diag(unknown)[informative], 1e-3))
        scale = SIGMA / (pooled.deviation * np.maximum(loading, 0.1))
        projection = scale[:, None] * (weighted @ unknown)[:, informative] / known
        root = np.eye(len(order))
        root[:n, :n] = np.linalg.cholesky(unknown[np.ix_(informative, informative)]) * (SIGMA / known)[:, None]
        weights[:, :n] *= known / SIGMA
        return cls(projection, -(pooled.mean + 0.5) @ projection, weights, noise, root)

    @classmethod
    def from_state(cls, state: dict[str, Array]) -> Self:
        """The inverse of `state`."""
        return cls(**{field.name: state[f"latent_{field.name}_"] for field in fields(cls)})

    @property
    def width(self) -> int:
        """Latent columns."""
        return len(self.offset)

    def state(self) -> dict[str, Array]:
        """Learned arrays for a component."""
        return {f"latent_{field.name}_": getattr(self, field.name) for field in fields(self)}

    def of(self, block: Block) -> Float32:
        """Latent columns of rows, float32."""
        return block.unit() @ self.projection.astype(np.float32) + self.offset.astype(np.float32)

    def values(self, latent: Float32, y: Float32, rng: np.random.Generator) -> Float32:
        """Rows × features, to be cut into bins: of rows with these latent columns and this target (mean 0).

        What the latent columns leave unknown is drawn: of the factors given the target too, which tells of them beyond
        what the columns do; without it features would hang on the target less than they should.
        """
        if not self.weights.size:
            return latent
        drawn = rng.standard_normal((len(latent), len(self.root)), dtype=np.float32) @ self.root.T.astype(np.float32)
        drawn[:, : self.width] += latent + self._implied_by_target(latent, y)
        noise = rng.standard_normal((len(latent), len(self.noise)), dtype=np.float32) * np.sqrt(self.noise).astype(np.float32)
        values: Float32 = drawn @ self.weights.T.astype(np.float32) + noise
        return values

    def _implied_by_target(self, latent: Float32, y: Float32) -> Array:
        """What the target implies of the latent columns beyond their own values: rows × columns."""
        centred = (latent - latent.mean(0)).astype(np.float64)
        within = centred.T @ centred / len(latent) + 1e-3 * np.eye(latent.shape[1])
        slope = np.linalg.solve(within, centred.T @ y / len(latent))
        surprise = y - centred @ slope
        root = self.root[: self.width, : self.width]
        towards = root @ root.T @ slope / max(float((surprise**2).mean()), 1e-6)
        shift: Array = (surprise[:, None] * towards).astype(np.float32)
        return shift


def learned(panel: Panel, pooled: Pooled, marginals: Marginals, k: int, rng: np.random.Generator) -> Latent:
    """Factors whose rows, once cut into bins, have the correlations of the training rows.

    Factors are no normal variables, so that bins of what they make do not correlate as those of normal variables would:
    what is found behind the bins is moved by what training rows, made anew from their own factors, lack.
    """
    series, correlations = marginals.series, as_correlation(pooled.covariance)
    behind = behind_bins(correlations, series)
    latent = Latent.factors(behind, pooled, series[:, 0], k)
    sizes = {block.era: (int(varies(block).sum()), len(block)) for block in known_blocks(panel) if len(block) > 1}
    most = max(alive for alive, _ in sizes.values())
    full = {era: n for era, (alive, n) in sizes.items() if alive == most}
    sample = panel.only([*full][:: -(-sum(full.values()) // CALIBRATION_ROWS)])
    inverse = 1 / np.maximum(series[:, 0], 0.1)
    for _ in range(N_CALIBRATIONS):
        products, n = np.zeros_like(correlations), 0
        for block in known_blocks(sample):
            assert block.target is not None
            y = block.target - block.target.mean()
            x = marginals.ranked(latent.values(latent.of(block), y, rng), np.dtype(np.float32))
            x -= x.mean(0)
            products, n = products + x.T @ x, n + len(x)
        behind = np.clip(behind + (correlations - as_correlation(products / n)) * np.outer(inverse, inverse), -MOST, MOST)
        np.fill_diagonal(behind, 1)
        latent = Latent.factors(behind, pooled, series[:, 0], k)
    return latent
