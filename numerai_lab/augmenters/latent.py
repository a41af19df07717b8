"""Rows as points of a space small enough to model, and points as rows: factors behind the bins, or the features themselves."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from numerai_lab.augmenters.bins import Marginals, known_blocks
from numerai_lab.augmenters.copula import as_correlation, behind_bins, positive
from numerai_lab.basics import Array, Float32, Float64
from numerai_lab.factors import factor_analysis
from numerai_lab.neural.settings import SIGMA
from numerai_lab.panel import Block, Panel


@dataclass(frozen=True)
class Pooled:
    """Mean and covariance, float64, of features on −½ … ½ over all rows whose target is known."""

    mean: Float64
    covariance: Float64

    @classmethod
    def of(cls, panel: Panel) -> Self:
        p = panel.n_raw
        total, products, n = np.zeros(p), np.zeros((p, p)), 0
        for block in known_blocks(panel):
            x = block.unit() - np.float32(0.5)
            total, products, n = total + x.sum(0, dtype=np.float64), products + x.T @ x, n + len(x)
        return cls(total / n, products / n - np.outer(total / n, total / n))

    @property
    def deviation(self) -> Float64:
        """Standard deviations; 1 where nothing varies."""
        variance = np.diag(self.covariance)
        return np.where(variance > 1e-7, np.sqrt(np.maximum(variance, 1e-7)), 1)


def factors_behind(pooled: Pooled, series: Float64, k: int) -> tuple[Float64, Float64]:
    """Weights (features × at most k) and noise variances of the factors of the normal variables behind binned features."""
    found = behind_bins(as_correlation(pooled.covariance), series)
    weights, psi, _ = factor_analysis(positive(found), k, 1e-4, 200)
    return weights[:, (weights**2).sum(0) > 1e-3], np.maximum(psi, 0.01)


def bin_noise(noise: Float64, loading: Float64) -> Float64:
    """Variance of what a feature's bins, divided by their loading, hold beside the factors: cutting into bins adds to it."""
    out: Float64 = noise + 1 / np.maximum(loading, 0.1) ** 2 - 1
    return out


@dataclass(frozen=True)
class Latent:
    """An affine map from features on 0..1 to latent columns of standard deviation ½, and the way back.

    projection: features × columns; offset: columns. weights: features × columns, of the normal variable behind each feature
    on the latent columns, noise: its variance that they leave; root: of the covariance of what rows leave unknown of their
    factors. Without factors the last three are empty, and a latent column is a feature.
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
    def factors(cls, pooled: Pooled, series: Float64, k: int) -> Self:
        """Posterior means of k factors behind the bins."""
        loading = series[:, 0]
        weights, noise = factors_behind(pooled, series, k)
        weighted = weights / bin_noise(noise, loading)[:, None]
        unknown = np.linalg.inv(np.eye(weights.shape[1]) + weights.T @ weighted)
        known = np.sqrt(np.maximum(1 - np.diag(unknown), 1e-3))
        scale = SIGMA / (pooled.deviation * np.maximum(loading, 0.1))
        projection = scale[:, None] * (weighted @ unknown) / known
        root = np.linalg.cholesky(unknown)
        return cls(projection, -(pooled.mean + 0.5) @ projection, weights * known / SIGMA, noise, root * (SIGMA / known)[:, None])

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
        rest = rng.standard_normal(latent.shape, dtype=np.float32) @ self.root.T.astype(np.float32)
        noise = rng.standard_normal((len(latent), len(self.noise)), dtype=np.float32) * np.sqrt(self.noise).astype(np.float32)
        drawn = latent + rest + self._told_by(latent, y)
        values: Float32 = drawn @ self.weights.T.astype(np.float32) + noise
        return values

    def _told_by(self, latent: Float32, y: Float32) -> Array:
        centred = (latent - latent.mean(0)).astype(np.float64)
        within = centred.T @ centred / len(latent) + 1e-3 * np.eye(latent.shape[1])
        slope = np.linalg.solve(within, centred.T @ y / len(latent))
        surprise = y - centred @ slope
        towards = self.root @ self.root.T @ slope / max(float((surprise**2).mean()), 1e-6)
        told: Array = (surprise[:, None] * towards).astype(np.float32)
        return told


def ranked(values: Float32, marginals: Marginals, dtype: np.dtype[np.generic]) -> Array:
    """Every column ranked within these rows and given the values of a feature at its shares, rounded to whole rows."""
    n = len(values)
    columns = np.ascontiguousarray(values.T)
    bounds = np.rint(np.cumsum(marginals.shares, axis=1)[:, :-1] * n).astype(np.int64)
    out = np.empty(columns.shape, dtype)
    for i, order in enumerate(np.argsort(columns, axis=1)):
        places = np.searchsorted(bounds[i], np.arange(n), side="right")
        out[i, order] = marginals.values[i, places]
    return np.ascontiguousarray(out.T)
