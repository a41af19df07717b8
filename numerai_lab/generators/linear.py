"""Linear generators from one streaming pass of moments: principal components and factor analysis."""

import logging
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.covariance import Moments, factor_analysis, moments, signed, torch_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.base import Generator

log = logging.getLogger("nlab")
NO_SPREAD = 1e-10
"""Components with less than this share of the largest one's variance count as constant."""


class _Linear(Generator):
    """Parameters of linear generators: the number of columns, and the covariance that they come from."""

    n_components: int = Field(16, gt=0, le=10_000, description="columns to emit")
    covariance: Literal["pooled", "era_mean"] = Field(
        "pooled",
        description="pooled: over all rows; era_mean: the mean of the eras' own covariances, each era weighing the same",
    )

    def refusal(self, panel: Panel) -> str:
        if self.n_components <= panel.n_raw:
            return ""
        return f"{self.kind}: n_components is {self.n_components}, but the feature set has {panel.n_raw} features"

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return super().fitting_bytes(n_rows, n_columns) + torch_bytes(n_rows, n_columns)

    def _moments(self, panel: Panel) -> Moments:
        """Moments of the panel's features. Raises NlabError for a panel that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        return moments(panel, self.covariance)


class PCA(_Linear):
    """Scores on the first principal components of the features.

    Source: [katsu1110, Numerai forum, legacy data]; streaming covariance and eigendecomposition as in scikit-learn's
    PCA(svd_solver="covariance_eigh"); the sign makes each component's largest loading positive.
    """

    control: ClassVar[Control] = Control(
        why="its columns span the means of the clusters in `clusters`, yet trees gained too little there to ask for it"
    )
    words: ClassVar[str] = "{n_components} principal components"
    kind: Literal["pca"] = "pca"
    correlation: bool = Field(False, description="divide every feature by its standard deviation first")
    whiten: bool = Field(False, description="divide every score by its standard deviation")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        moments = self._moments(panel)
        scale = np.sqrt(np.diag(moments.covariance)) if self.correlation else np.ones(panel.n_raw)
        inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
        values, vectors = np.linalg.eigh(moments.covariance * np.outer(inverse, inverse))
        values, vectors = values[::-1][: self.n_components], vectors[:, ::-1][:, : self.n_components]
        loadings = signed(vectors)
        if self.whiten:
            # A direction that is constant in training may vary later: divided by a rounding error, it would dominate.
            varies = values > NO_SPREAD * values[0]
            loadings = np.divide(loadings, np.sqrt(np.where(varies, values, 1)), out=np.zeros_like(loadings), where=varies)
        self.mean_ = moments.mean
        self.loadings_ = inverse[:, None] * loadings
        self.explained_variance_ = values
        return self

    def transform(self, block: Block) -> Float32:
        return linear_scores(block.features, block.top, self.mean_, self.loadings_)

    def names_out(self) -> list[str]:
        return [f"pc{i + 1}" for i in range(self.n_components)]


class FactorAnalysis(_Linear):
    """Posterior means of latent factors, and how unusual a row is under the factor model.

    Maximum likelihood on the covariance alone (x = μ + Wf + ε, diagonal noise ψ), by the fixed
    point W = ψ^½ U (Λ − I)_+^½ of the eigenvectors of ψ^−½ S ψ^−½, ψ = diag S − rowsum W².
    `unusual` is the quantile of the row's ψ-weighted residual norm among training rows, 0 to 1.

    Source: [katsu1110, Numerai forum, legacy data]; Jöreskog 1967; Barber 2012, §21; scikit-learn's
    FactorAnalysis.
    """

    control: ClassVar[Control] = Control(
        "clusters",
        "few factors stand for many noisy features, so that fewer columns have to be learned from the target",
        "Stock & Watson 2002 (forecasts from factors of many predictors)",
    )
    words: ClassVar[str] = "{n_components} factors by factor analysis"
    kind: Literal["factor_analysis"] = "factor_analysis"
    rotation: Literal["none", "varimax"] = Field("none", description="varimax: rotate towards few large loadings a factor")
    unusual: bool = Field(True, description="also emit the `unusual` column")
    tolerance: float = Field(1e-8, gt=0, description="stop when no noise variance (in units of its feature's) moves by more")
    max_iterations: int = Field(2000, gt=0, lt=2**31, description="stop here at the latest")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        moments = self._moments(panel)
        deviation = np.sqrt(np.diag(moments.covariance))
        alive = deviation > 0
        correlation = moments.covariance[np.ix_(alive, alive)] / np.outer(deviation[alive], deviation[alive])
        factors = min(self.n_components, int(alive.sum()))
        weights, psi, steps = factor_analysis(correlation, factors, self.tolerance, self.max_iterations)
        if steps == self.max_iterations:
            log.warning(
                "factor_analysis: stopped after %d iterations, before its noise variances converged; features that are copies "
                "of each other cause that: leave one out, or take another tolerance or max_iterations",
                steps,
            )
        if self.rotation == "varimax":
            weights = varimax(weights)
        self.mean_ = moments.mean
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
            norms = [residual_norms(block.features, block.top, **self._residual) for block in panel.blocks()]
            self.norm_quantiles_ = np.quantile(np.concatenate(norms), np.linspace(0, 1, 1001))
        return self

    def transform(self, block: Block) -> Float32:
        scores = linear_scores(block.features, block.top, self.mean_, self.projection_)
        if not self.unusual:
            return scores
        norms = residual_norms(block.features, block.top, **self._residual)
        return np.column_stack([scores, quantiles_of(norms, self.norm_quantiles_)])

    def names_out(self) -> list[str]:
        return [f"factor{i + 1}" for i in range(self.n_components)] + ["unusual"] * self.unusual

    @property
    def _residual(self) -> dict[str, Float64]:
        """The arrays that `residual_norms` reads."""
        return {"mean": self.mean_, "projection": self.projection_, "loadings": self.loadings_, "precision": self.precision_}


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
    return signed(loadings @ rotation)


def linear_scores(features: Array, top: float, mean: Float64, loadings: Float64) -> Float32:
    """(x − mean) @ loadings of features on −½ … ½: float32, rows × columns of the loadings."""
    scores: Float32 = ((on_halves(features, top) - mean) @ loadings).astype(np.float32)
    return scores


def residual_norms(
    features: Array, top: float, mean: Float64, projection: Float64, loadings: Float64, precision: Float64
) -> Float64:
    """The squared norm, weighted by `precision`, of what the factors leave of each row."""
    centred = on_halves(features, top) - mean
    residual = centred - (centred @ projection) @ loadings.T
    norms: Float64 = (residual**2) @ precision
    return norms


def quantiles_of(values: Float64, quantiles: Float64) -> Float32:
    """The place of values among evenly spaced quantiles, 0 to 1: float32."""
    return np.interp(values, quantiles, np.linspace(0, 1, len(quantiles))).astype(np.float32)


def on_halves(features: Array, top: float) -> Float64:
    """Features on −½ … ½."""
    # float64: how BLAS cuts the batch then changes nothing that is left after rounding to float32.
    return features.astype(np.float64) / top - 0.5
