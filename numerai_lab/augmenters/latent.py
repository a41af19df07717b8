"""Maps rows to a small latent space and back: factors behind the bins, or the features themselves."""

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
"""A factor is no latent column if bins leave a larger share of its variance unknown."""
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
            varying = varies(block)
            x = (block.unit() - np.float32(0.5)) * varying
            total, products, n = total + x.sum(0, dtype=np.float64), products + x.T @ x, n + len(x) * np.outer(varying, varying)
        mean, n = total / np.maximum(np.diag(n), 1), np.maximum(n, 1)
        return cls(mean, np.where(n > 1, products / n - np.outer(mean, mean), 0))

    @property
    def deviation(self) -> Float64:
        """Standard deviations; 1 for features that do not vary."""
        variance = np.diag(self.covariance)
        return np.where(variance > 1e-7, np.sqrt(np.maximum(variance, 1e-7)), 1)


def factors_behind(correlations: Float64, k: int) -> tuple[Float64, Float64]:
    """Weights (features × at most k) and noise variances of the factors of variables with these correlations."""
    weights, psi, _ = factor_analysis(positive(correlations), k, 1e-4, 200)
    return weights[:, (weights**2).sum(0) > 1e-3], np.maximum(psi, 0.01)


def bin_noise(noise: Float64, loading: Float64) -> Float64:
    """The noise variance of a feature's bins over their loading: that of the factors, and that of cutting into bins."""
    out: Float64 = noise + 1 / np.maximum(loading, 0.1) ** 2 - 1
    return out


@dataclass(frozen=True)
class Latent:
    """An affine map from features on 0..1 to latent columns of standard deviation ½, and its inverse.

    projection: features × columns; offset: columns. weights: features × factors, the loadings of
    the normal variable behind each feature; the first factors are the latent columns. noise:
    features, the variance that factors leave. root: factors × factors, of the covariance of a row's
    factors given its bins. Without factors the last three are empty, and the latent columns are the
    features.
    """

    projection: Float64
    offset: Float64
    weights: Float64
    noise: Float64
    root: Float64

    @classmethod
    def features(cls, pooled: Pooled) -> Self:
        """The map whose latent columns are the features themselves."""
        scale = SIGMA / pooled.deviation
        return cls(np.diag(scale), -(pooled.mean + 0.5) * scale, np.zeros((0, 0)), np.zeros(0), np.zeros((0, 0)))

    @classmethod
    def factors(cls, behind: Float64, pooled: Pooled, loading: Float64, k: int) -> Self:
        """The map to posterior means of up to k factors. behind: correlations of the normal variables behind the bins.

        Factors that a row's bins hardly determine are no latent columns; they are drawn for every
        row.
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
        """The number of latent columns."""
        return len(self.offset)

    def state(self) -> dict[str, Array]:
        """The arrays of the map, by the names that a component learns them under."""
        return {f"latent_{field.name}_": getattr(self, field.name) for field in fields(self)}

    def of(self, block: Block) -> Float32:
        """Latent columns of rows, float32."""
        return block.unit() @ self.projection.astype(np.float32) + self.offset.astype(np.float32)

    def values(self, latent: Float32, y: Float32, rng: np.random.Generator) -> Float32:
        """Features that are to be cut into bins, rows × features, of rows with these latent columns and this target.

        y: the target, of mean 0. What the latent columns leave unknown is drawn: factors given the
        target too, because features would else depend on it too little.
        """
        if not self.weights.size:
            return latent
        drawn = rng.standard_normal((len(latent), len(self.root)), dtype=np.float32) @ self.root.T.astype(np.float32)
        drawn[:, : self.width] += latent + self._implied_by_target(latent, y)
        noise = rng.standard_normal((len(latent), len(self.noise)), dtype=np.float32) * np.sqrt(self.noise).astype(np.float32)
        values: Float32 = drawn @ self.weights.T.astype(np.float32) + noise
        return values

    def _implied_by_target(self, latent: Float32, y: Float32) -> Array:
        """The shift of the factors that the target implies beyond the latent columns: rows × columns."""
        centred = (latent - latent.mean(0)).astype(np.float64)
        within = centred.T @ centred / len(latent) + 1e-3 * np.eye(latent.shape[1])
        slope = np.linalg.solve(within, centred.T @ y / len(latent))
        surprise = y - centred @ slope
        root = self.root[: self.width, : self.width]
        towards = root @ root.T @ slope / max(float((surprise**2).mean()), 1e-6)
        shift: Array = (surprise[:, None] * towards).astype(np.float32)
        return shift


def fit_latent(panel: Panel, pooled: Pooled, marginals: Marginals, k: int, rng: np.random.Generator) -> Latent:
    """The map to factors whose rows, once cut into bins, have the correlations of the training rows.

    Factors are not normal, so bins of their values do not correlate as those of normal variables
    would. The correlations behind the bins are therefore corrected by the error that training rows
    show when they are restored from their own factors.
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
