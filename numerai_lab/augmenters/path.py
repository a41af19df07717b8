"""New eras along a path through the space of covariance matrices."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.bins import known_blocks
from numerai_lab.augmenters.copula import as_correlation, behind_bins, joint, positive, series_of
from numerai_lab.augmenters.latent import Pooled, bin_noise, factors_behind
from numerai_lab.augmenters.mixture import inertia_of
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

FLOOR = 0.02
"""Smallest eigenvalue of an era's own matrix: below it the logarithm is estimation noise."""


class CovariancePath(Proportioned):
    """New eras whose covariance of features and target follows an AR(1) of the training eras' covariances.

    Each era's matrix (of the normal variables behind the bins; of factor scores where there are
    more than `most_features`) is shrunk towards the mean by d / (d + rows), and its logarithm
    taken. Principal components of the logarithms follow the AR(1); the exponential of every point
    of the path is positive definite. Rows of a new era are normal and cut at the proportions of the
    training rows; the target's counts are exact.

    Source: [slowmoe, Numerai forum] (per-era covariance of features and target); log-Euclidean:
    Arsigny et al. 2007.
    """

    control: ClassVar[Control] = Control(
        why="no published theory says where eras drawn from fitted covariances add to the eras they were fitted on"
    )
    words: ClassVar[str] = "eras drawn along a path of covariances"
    kind: Literal["covariance_path"] = "covariance_path"
    invents_eras: ClassVar[bool] = True
    invents_rows: ClassVar[bool] = True

    n_components: int = Field(
        8, gt=0, le=10_000, description="principal components of the log covariances that move; the rest stay put"
    )
    inertia: float | None = Field(None, ge=0, lt=1, description="how much of the last era's place stays; none = estimated")
    most_features: int = Field(60, gt=1, le=200, description="with more features than these, work on factor scores")
    factors: int = Field(32, gt=0, le=128, description="factors that then stand for the features, at most a third of them")

    def refusal(self, panel: Panel) -> str:
        n_eras = np.count_nonzero(panel.n_known >= 2)
        return "" if n_eras >= 3 else f"covariance_path: a path needs at least 3 eras to learn from, got {n_eras}"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the path of the eras' covariances. Raises NlabError for eras that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        features = self._learn_proportions(panel, rng)
        sizes, correlations = self._correlations(panel, series_of(features, self.target_values_, self.target_shares_), context)
        pooled = np.average(correlations, axis=0, weights=sizes)
        logs = np.array([_log(_shrunk(own, pooled, n)) for n, own in zip(sizes, correlations, strict=True)])
        self.mean_log_ = logs.mean(0)
        u, s, vt = np.linalg.svd(logs - self.mean_log_, full_matrices=False)
        q = min(self.n_components, len(logs) - 1)
        scores = u[:, :q] * s[:q]
        self.directions_, self.sd_ = vt[:q], scores.std(0)
        self.inertia_ = inertia_of(scores) if self.inertia is None else np.full(q, self.inertia)
        self.path_seed_ = np.array(rng.integers(2**62))
        return self

    def walk(self, n: int, rng: np.random.Generator) -> Float64:
        """n points of a path, n × components, from the stationary distribution on."""
        return walk(n, self.inertia_, self.sd_, rng)

    def covariance(self, place: Float64) -> Float64:
        """The covariance of features (or factors) and target at a point of the path, positive definite."""
        return _exp(self.mean_log_ + place @ self.directions_)

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        place = self.walk(number + 1, np.random.default_rng(int(self.path_seed_)))[number]
        root: Array = np.linalg.cholesky(self.covariance(place))
        normal = (rng.standard_normal((n_rows, len(root)), dtype=np.float32) @ root.T).astype(np.float32)
        latent = normal[:, :-1] / np.sqrt((root[:-1] ** 2).sum(1)).astype(np.float32)
        if self.loadings_.size:
            latent = self._decoded(normal[:, :-1], root[:-1], rng)
        features = self._marginals.cut(latent, self._dtype)
        return Block(-1, features, float(self.top_), self._target(normal[:, -1], rng))

    def _decoded(self, scores: Float32, root: Array, rng: np.random.Generator) -> Float32:
        """Standard normal variables behind the features, with the noise that the factors leave."""
        variance = ((self.loadings_ @ root) ** 2).sum(1) + self.noise_variance_
        noise = rng.standard_normal((len(scores), len(variance)), dtype=np.float32)
        noise *= np.sqrt(self.noise_variance_ / variance).astype(np.float32)
        noise += scores @ (self.loadings_ / np.sqrt(variance)[:, None]).T.astype(np.float32)
        return noise

    def _correlations(self, panel: Panel, series: Float64, context: FitContext) -> tuple[Float64, Float64]:
        """Rows of each era, and its matrix of the normal variables behind features and target, or of factors and target."""
        self.loadings_, self.noise_variance_ = np.zeros((0, 0)), np.zeros(0)
        scored = panel.n_raw > self.most_features
        lift, error = self._learn_factors(panel, series) if scored else (np.eye(panel.n_raw + 1), np.zeros(()))
        sizes, out = [], []
        for done, block in enumerate(known_blocks(panel), start=1):
            x = joint(block)
            if len(x) > 1:
                varies = x.std(0) > 1e-3
                standard = np.where(varies, (x - x.mean(0)) / np.where(varies, x.std(0), 1), 0) @ lift.astype(np.float32)
                matrix = (standard.T @ standard).astype(np.float64) / len(x) - error
                if scored:
                    matrix[-1, -1] = 1
                sizes.append(len(x))
                out.append(matrix if scored else positive(behind_bins(as_correlation(matrix), series), FLOOR))
            context.progress(done, len(panel.eras))
        return np.array(sizes, np.float64), np.array(out)

    def _learn_factors(self, panel: Panel, series: Float64) -> tuple[Float64, Float64]:
        """The map from standardised features and target to factors (Bartlett's estimates) and target; its error covariance."""
        p = panel.n_raw
        loading = series[:, 0]
        correlations = as_correlation(Pooled.of(panel).covariance)
        weights, psi = factors_behind(behind_bins(correlations, series[:-1]), min(self.factors, p // 3))
        self.loadings_, self.noise_variance_ = weights, psi
        weighted = weights / self.noise_variance_[:, None]
        projection = np.zeros((p + 1, weights.shape[1] + 1))
        projection[:-1, :-1] = weighted @ np.linalg.inv(weights.T @ weighted)
        projection[-1, -1] = 1
        # A bin is `loading` × the variable behind it and a remainder, which adds to the noise of the factor estimates.
        noise = np.append(bin_noise(self.noise_variance_, loading[:-1]), 0)
        error = projection.T @ (projection * noise[:, None])
        return projection / np.maximum(loading, 0.1)[:, None], error


def walk(n: int, inertia: Float64, sd: Float64, rng: np.random.Generator) -> Float64:
    """n points of an AR(1) in every component, n × components, from the stationary distribution on.

    With the same stream, a longer walk begins with the shorter one.
    """
    steps: Float64 = rng.standard_normal((n, len(sd))) * sd
    for i in range(1, n):
        steps[i] = inertia * steps[i - 1] + np.sqrt(1 - inertia**2) * steps[i]
    return steps


def _shrunk(own: Float64, pooled: Float64, n_rows: float) -> Float64:
    share = len(own) / (len(own) + n_rows)
    mixed: Float64 = (1 - share) * own + share * pooled
    return mixed


def _log(covariance: Float64) -> Float64:
    """The matrix logarithm as a vector whose length is the matrix's norm."""
    values, vectors = np.linalg.eigh(covariance)
    matrix = (vectors * np.log(np.maximum(values, FLOOR))) @ vectors.T
    rows, columns = np.triu_indices(len(matrix))
    vector: Float64 = matrix[rows, columns] * np.where(rows == columns, 1, np.sqrt(2))
    return vector


def _exp(vector: Float64) -> Float64:
    """The inverse of `_log`: positive definite whatever the vector."""
    d = int((np.sqrt(8 * len(vector) + 1) - 1) / 2)
    rows, columns = np.triu_indices(d)
    matrix = np.zeros((d, d))
    matrix[rows, columns] = matrix[columns, rows] = vector / np.where(rows == columns, 1, np.sqrt(2))
    values, vectors = np.linalg.eigh(matrix)
    out: Float64 = (vectors * np.exp(values)) @ vectors.T
    return out
