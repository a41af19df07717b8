"""The latents of stocks in a synthetic world, and how they move from week to week."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64, Int8
from numerai_lab.core.seeding import rng_for

N_FACTORS = 8
N_GROUPS = 6
N_COORDINATES = 2
N_CLUSTERS = 8
PERSISTENCE = 0.98
"""Weekly autocorrelation of factors, own signals and coordinates."""
LOYALTY = 0.99
"""Weekly chance that a stock's cluster is not drawn anew."""


@dataclass(frozen=True)
class State:
    """Latents of some stocks in a week.

    normal: float32, rows × (factors, group factors, coordinates, own signals), of unit variance.
    cluster: int8, rows, 0 to 7.
    """

    normal: Float32
    cluster: Int8

    @classmethod
    def first(cls, n_rows: int, n_own: int, seed: int) -> Self:
        """The latents before the first week."""
        rng = rng_for(seed, "synthetic", "start")
        normal = rng.standard_normal((n_rows, N_FACTORS + N_GROUPS + N_COORDINATES + n_own), np.float32)
        return cls(normal, rng.integers(0, N_CLUSTERS, n_rows, np.int8))

    def later(self, rng: np.random.Generator) -> "State":
        """The latents a week later."""
        step = rng.standard_normal(self.normal.shape, np.float32)
        step *= np.float32(np.sqrt(1 - PERSISTENCE**2))
        step += np.float32(PERSISTENCE) * self.normal
        anew, drawn = rng.random(len(step)) >= LOYALTY, rng.integers(0, N_CLUSTERS, len(step), np.int8)
        return State(step, np.where(anew, drawn, self.cluster))

    def listed(self, n_rows: int) -> "State":
        """The first so many stocks."""
        return replace(self, normal=self.normal[:n_rows], cluster=self.cluster[:n_rows])

    @property
    def factors(self) -> Float64:
        """rows × 8, float64."""
        return self.normal[:, :N_FACTORS].astype(np.float64)

    @property
    def groups(self) -> Float32:
        """Group factors: rows × 6."""
        return self.normal[:, N_FACTORS : N_FACTORS + N_GROUPS]

    @property
    def v(self) -> Float64:
        """Coordinates on 0..1: rows × 2."""
        from scipy.special import ndtr

        start = N_FACTORS + N_GROUPS
        uniform: Float64 = ndtr(self.normal[:, start : start + N_COORDINATES].astype(np.float64))
        return uniform

    @property
    def own(self) -> Float32:
        """Own signals: rows × as many as the world's features need."""
        return self.normal[:, N_FACTORS + N_GROUPS + N_COORDINATES :]

    @property
    def members(self) -> Float32:
        """The cluster, one-hot: rows × 8."""
        return np.eye(N_CLUSTERS, dtype=np.float32)[self.cluster]

    def latents(self) -> dict[str, Array]:
        """What truth.parquet holds of the latents, by column; own signals are left out."""
        columns = {
            **{f"latent_factor_{i}": column for i, column in enumerate(self.factors.T)},
            **{f"latent_group_{i}": column for i, column in enumerate(self.groups.T)},
            **{f"latent_v_{i}": column for i, column in enumerate(self.v.T)},
        }
        return {**{name: column.astype(np.float32) for name, column in columns.items()}, "latent_cluster": self.cluster}
