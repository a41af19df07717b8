"""Linear generators from one streaming pass of moments: principal components and factor analysis."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.basics import ALONE, Aid, Array, Float32, Float64, NlabError
from numerai_lab.generators.base import Generator
from numerai_lab.panel import Block, Panel

PSI_FLOOR = 1e-12


class _Linear(Generator):
    """What both share: how many columns, and which covariance they are computed from."""

    n_components: int = Field(16, gt=0, description="columns to emit")
    covariance: Literal["pooled", "era_mean"] = Field(
        "pooled",
        description="pooled: over all rows; era_mean: the mean of the eras' own covariances, each era weighing the same",
    )

    def _moments(self, panel: Panel) -> "Moments":
        if self.n_components > panel.n_raw:
            kind = self.model_dump()["kind"]
            raise NlabError(f"{kind}: n_components is {self.n_components}, but the feature set has {panel.n_raw} features")
        return moments(panel, self.covariance)


class PCA(_Linear):
    """Scores on the first principal components of the features.

    Source: [katsu1110, Numerai forum, legacy data]; streaming covariance and eigendecomposition as in scikit-learn's
    PCA(svd_solver="covariance_eigh"); the sign makes each component's largest loading positive.
    """

    kind: Literal["pca"] = "pca"
    correlation: bool = Field(False, description="divide every feature by its standard deviation first")
    whiten: bool = Field(False, description="divide every score by its standard deviation")

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> Self:
        found = self._moments(panel)
        scale = np.sqrt(np.diag(found.covariance)) if self.correlation else np.ones(panel.n_raw)
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
        values, vectors = np.linalg.eigh(found.covariance * np.outer(inverse, inverse))
        values, vectors = values[::-1][: self.n_components], vectors[:, ::-1][:, : self.n_components]
        loadings = _signed(vectors)
        if self.whiten:
            loadings = loadings / np.sqrt(np.maximum(values, PSI_FLOOR))
        self.mean_ = found.mean
        self.loadings_ = inverse[:, None] * loadings
        self.explained_variance_ = values
        return self

    def transform(self, block: Block) -> Float32:
        return ((_centred(block) - self.mean_) @ self.loadings_).astype(np.float32)

    def names_out(self) -> list[str]:
        return [f"pc{i + 1}" for i in range(self.n_components)]


class FactorAnalysis(_Linear):
    """Posterior means of latent factors, and how unusual a row is under the factor model.

    Maximum likelihood on the covariance alone (x = μ + Wf + ε, diagonal noise ψ), by the fixed point
    W = ψ^½ U (Λ − I)_+^½ of the eigenvectors of ψ^−½ S ψ^−½, ψ = diag S − rowsum W².
    `unusual` is where the ψ-weighted residual norm stands among the training rows', 0 to 1.

    Source: [katsu1110, Numerai forum, legacy data]; Jöreskog 1967; Barber 2012, §21; scikit-learn's FactorAnalysis.
    """

    kind: Literal["factor_analysis"] = "factor_analysis"
    rotation: Literal["none", "varimax"] = Field("none", description="varimax: rotate towards few large loadings a factor")
    unusual: bool = Field(True, description="also emit the `unusual` column")
    tolerance: float = Field(1e-8, gt=0, description="stop when no noise variance (in units of its feature's) moves by more")
    max_iterations: int = Field(2000, gt=0, description="stop here at the latest")

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> Self:
        found = self._moments(panel)
        deviation = np.sqrt(np.diag(found.covariance))
        alive = deviation > 0
        correlation = found.covariance[np.ix_(alive, alive)] / np.outer(deviation[alive], deviation[alive])
        factors = min(self.n_components, int(alive.sum()))
        weights, psi, steps = factor_analysis(correlation, factors, self.tolerance, self.max_iterations)
        if self.rotation == "varimax":
            weights = varimax(weights)
        self.mean_ = found.mean
        self.loadings_ = np.zeros((panel.n_raw, self.n_components))
        self.loadings_[alive, :factors] = weights * deviation[alive, None]
        self.noise_variance_ = np.zeros(panel.n_raw)
        self.noise_variance_[alive] = psi * deviation[alive] ** 2
        self.n_iterations_ = np.array(steps)
        precision = np.divide(1, self.noise_variance_, out=np.zeros(panel.n_raw), where=self.noise_variance_ > 0)
        weighted = precision[:, None] * self.loadings_
        self.precision_ = precision
        self.projection_ = weighted @ np.linalg.inv(np.eye(self.n_components) + self.loadings_.T @ weighted)
        if self.unusual:
            norms = np.concatenate([self._residual_norm(_centred(block)) for block in panel.blocks()])
            self.norm_quantiles_ = np.quantile(norms, np.linspace(0, 1, 1001))
        return self

    def transform(self, block: Block) -> Float32:
        x = _centred(block)
        scores = (x - self.mean_) @ self.projection_
        if not self.unusual:
            return scores.astype(np.float32)
        place = np.interp(self._residual_norm(x), self.norm_quantiles_, np.linspace(0, 1, 1001))
        return np.column_stack([scores, place]).astype(np.float32)

    def names_out(self) -> list[str]:
        return [f"factor{i + 1}" for i in range(self.n_components)] + ["unusual"] * self.unusual

    def _residual_norm(self, x: Float64) -> Float64:
        centred = x - self.mean_
        residual = centred - (centred @ self.projection_) @ self.loadings_.T
        norms: Float64 = (residual**2) @ self.precision_
        return norms


@dataclass(frozen=True)
class Moments:
    """Mean (features) and covariance (features × features, divisor n), float64, of x / top − ½."""

    mean: Float64
    covariance: Float64


def moments(panel: Panel, covariance: Literal["pooled", "era_mean"]) -> Moments:
    """One pass over the panel, era by era; memory for one era's float32 block and two matrices."""
    p = panel.n_raw
    n, total, products, within = 0, np.zeros(p), np.zeros((p, p)), np.zeros((p, p))
    for block in panel.blocks():
        sums, gram = _sums(block)
        n, total = n + len(block), total + sums
        if covariance == "pooled":
            products += gram
        else:
            within += gram / len(block) - np.outer(sums, sums) / len(block) ** 2
    if n < 2:
        raise NlabError("a generator needs at least two rows to learn from")
    mean = total / n
    matrix = products / n - np.outer(mean, mean) if covariance == "pooled" else within / len(panel.eras)
    # What is left of rounding after the subtraction must not pass for variance.
    dead = np.diag(matrix) <= 1e-12 * (1 + mean**2)
    matrix[dead, :] = matrix[:, dead] = 0
    return Moments(mean / panel.top - 0.5, matrix / panel.top**2)


def factor_analysis(S: Float64, k: int, tolerance: float, max_iterations: int) -> tuple[Float64, Float64, int]:
    """Maximum-likelihood loadings (p × k), noise variances (p) and steps taken for a covariance S (p × p)."""
    from scipy.linalg import eigh

    p = len(S)
    diagonal = np.diag(S).copy()
    psi, step, moved = diagonal.copy(), 0, np.inf
    while moved >= tolerance and step < max_iterations:
        step += 1
        root = np.sqrt(psi)
        values, vectors = eigh(S / np.outer(root, root), subset_by_index=[p - k, p - 1])
        weights = root[:, None] * vectors[:, ::-1] * np.sqrt(np.maximum(values[::-1] - 1, 0))
        updated = np.maximum(diagonal - (weights**2).sum(1), PSI_FLOOR)
        moved = np.abs(updated - psi).max()
        psi = updated
    return _signed(weights), psi, step


def varimax(loadings: Float64, max_iterations: int = 500) -> Float64:
    """Loadings rotated to the largest variance of squared loadings (Kaiser 1958, by the SVD iteration)."""
    p, k = loadings.shape
    rotation, before = np.eye(k), 0.0
    for _ in range(max_iterations):
        turned = loadings @ rotation
        u, s, vt = np.linalg.svd(loadings.T @ (turned**3 - turned * (turned**2).sum(0) / p))
        rotation = u @ vt
        if s.sum() < before * (1 + 1e-12):
            break
        before = s.sum()
    return _signed(loadings @ rotation)


def _signed(loadings: Float64) -> Float64:
    """The same columns, each with the sign that makes its largest loading positive."""
    largest = np.abs(loadings).argmax(0)
    signs = np.sign(loadings[largest, np.arange(loadings.shape[1])])
    return loadings * np.where(signs == 0, 1, signs)


def _centred(block: Block) -> Float64:
    # float64, so that a row's columns do not depend on how BLAS cuts the batch: what differs is lost in rounding to float32.
    return block.features.astype(np.float64) / block.top - 0.5


def _sums(block: Block) -> tuple[Float64, Array]:
    if block.features.dtype == np.int8 and len(block) * block.top**2 < 2**24:
        x = block.features.astype(np.float32)  # sums of small integers: float32 BLAS is exact and twice as fast
        return x.sum(0, dtype=np.float64), (x.T @ x).astype(np.float64)
    y = block.features.astype(np.float64)
    return y.sum(0), y.T @ y
