"""Targets from regimes: a mixture over the eras' linear relations between features and target."""

import warnings
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.augmenters.bins import NUMERAI_SHARES, NUMERAI_VALUES, by_rank, known_blocks, target_values
from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.covariance import moments, torch_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext

MOST_FEATURES = 500
"""With more features than this, relations are those of principal components."""
PATH_COMPONENTS = 8


class GMMTargets(Augmenter):
    """An era's rows with a new target, by a linear relation from a mixture over those of the training eras.

    Ridge without intercept gives the β of every training era (y − ½ on x − ½). A Gaussian mixture
    is fitted to them, and components are drawn with equal weights, so that rare regimes count.
    Every era and copy gets one β; xβ is ranked, ties at random, and cut at exact counts. Learned:
    `regimes_` (the component of each of `eras_`), and `dispersion_`, the spread of draws within a
    component relative to that of the eras' β; the Bayesian mixture shrinks it where features
    outnumber eras.

    Source: [mdo, Numerai forum], who drew from scikit-learn's BayesianGaussianMixture with 6
    components.
    """

    control: ClassVar[Control] = Control(
        "steady",
        "targets made by the eras' own linear relations hold no noise, and here the relation is linear and lasts",
        "Hinton, Vinyals & Dean 2015 (a model learns better from another model's targets)",
    )
    words: ClassVar[str] = "rows with targets of relations drawn from a mixture"
    kind: Literal["gmm_targets"] = "gmm_targets"
    learns: ClassVar[bool] = True

    alpha: float = Field(1.0, gt=0, description="ridge penalty of the eras' β")
    mixture: Literal["bayes", "gmm_diag", "pca_gmm"] = Field(
        "bayes",
        description="over the β: variational with full covariances, diagonal covariances, or full ones of `beta_components`",
    )
    n_components: int = Field(
        6, gt=0, le=10_000, description="components of the mixture at most; those without an era are not drawn from"
    )
    beta_components: int = Field(10, gt=0, le=10_000, description="principal components of the β; mixture: pca_gmm only")
    scores: int = Field(
        64, gt=0, le=10_000, description=f"principal components that stand for more than {MOST_FEATURES} features"
    )
    draw: Literal["mixture", "path"] = Field(
        "mixture", description="path: a step of an AR(1) from the β of the era before (on 8 principal components of the β)"
    )
    inertia: float | None = Field(None, ge=0, lt=1, description="how much of the last β stays, draw: path; none = estimated")
    noise_sd: float = Field(0.0, ge=0, description="noise added to xβ before ranking, in standard deviations of xβ")
    bins: Literal["numerai", "train"] = Field(
        "numerai", description="target values: 0 … 1 at 5/20/50/20/5 %, or those of the training targets at their shares"
    )

    @property
    def tournament_targets(self) -> bool:
        return self.bins == "numerai"

    def refusal(self, panel: Panel) -> str:
        n_eras = int(np.count_nonzero(panel.n_known >= 2))
        message = f"gmm_targets: n_components is {self.n_components}, but {n_eras} eras have two rows with a target"
        return message if n_eras < max(2, self.n_components) else ""

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns the eras' β and their mixture. Raises NlabError for eras that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        values, shares = target_values(panel) if self.bins == "train" else (NUMERAI_VALUES, NUMERAI_SHARES)
        self.values_, self.shares_ = values, shares
        self.projection_ = _projection(panel, self.scores) if panel.n_raw > MOST_FEATURES else np.zeros((0, 0))
        self.eras_, betas = self._betas(panel, context)
        mixture = _mixture(betas, self.mixture, self.n_components, min(self.beta_components, len(betas) - 1), rng)
        self.means_, self.factors_, self.regimes_ = mixture.means, mixture.factors, mixture.regimes
        self.dispersion_ = np.array(mixture.dispersion)
        self.converged_ = np.array(mixture.converged)
        self._learn_path(betas)
        return self

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return torch_bytes(n_rows, n_columns) if n_columns > MOST_FEATURES else 0

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        raw = (self._inputs(block) @ self.beta(block.era, rng)).astype(np.float64)
        raw += self.noise_sd * raw.std() * rng.standard_normal(len(raw))
        return replace(block, target=by_rank(raw, self.values_, self.shares_, rng), columns={})

    def beta(self, era: int, rng: np.random.Generator) -> Float64:
        """A random relation for an era, float64: features (or scores)."""
        if self.draw == "mixture":
            component = rng.integers(len(self.means_))
            drawn: Float64 = self.means_[component] + self.factors_[component] @ rng.standard_normal(self.factors_.shape[2])
            return drawn
        before = int(np.searchsorted(self.eras_, era)) - 1
        last = self.path_scores_[before] if before >= 0 else self.path_sd_ * rng.standard_normal(len(self.path_sd_))
        innovation = np.sqrt(1 - self.path_inertia_**2) * self.path_sd_ * rng.standard_normal(len(self.path_sd_))
        beta: Float64 = self.path_mean_ + (self.path_inertia_ * last + innovation) @ self.path_directions_
        return beta

    def _inputs(self, block: Block) -> Float32:
        x = block.unit() - np.float32(0.5)
        return x @ self.projection_.astype(np.float32) if self.projection_.size else x

    def _betas(self, panel: Panel, context: FitContext) -> tuple[Int64, Float64]:
        """Eras with at least two known targets, and the β of each, float64, eras × inputs."""
        eras, betas = [], []
        for done, block in enumerate(known_blocks(panel), start=1):
            if len(block) > 1:
                assert block.target is not None
                x, y = self._inputs(block).astype(np.float64), block.target.astype(np.float64) - 0.5
                eras.append(block.era)
                betas.append(np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y))
            context.progress(done, len(panel.eras))
        return np.array(eras, np.int64), np.array(betas)

    def _learn_path(self, betas: Float64) -> None:
        self.path_mean_ = betas.mean(0)
        u, s, vt = np.linalg.svd(betas - self.path_mean_, full_matrices=False)
        q = min(PATH_COMPONENTS, len(betas) - 1, betas.shape[1])
        self.path_scores_, self.path_directions_ = u[:, :q] * s[:q], vt[:q]
        self.path_sd_ = self.path_scores_.std(0)
        self.path_inertia_ = inertia_of(self.path_scores_) if self.inertia is None else np.full(q, self.inertia)


def inertia_of(scores: Float64) -> Float64:
    """The lag-one autocorrelation of each column (eras in order), from 0 to .95."""
    centred = scores - scores.mean(0)
    lagged = (centred[1:] * centred[:-1]).sum(0) / np.maximum((centred**2).sum(0), 1e-300)
    inertia: Float64 = np.clip(lagged, 0, 0.95)
    return inertia


@dataclass(frozen=True)
class _Mixture:
    """Components that hold at least one β. factors: components × inputs × draws, covariance = factor · factorᵀ."""

    means: Float64
    factors: Array
    regimes: Int64
    dispersion: Float64
    converged: bool


def _mixture(betas: Float64, method: str, n: int, n_axes: int, rng: np.random.Generator) -> _Mixture:
    """The mixture of the β, fitted in float64 and in units of their spread.

    Covariances of float32 data can't always be drawn from.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

    # Where all eras have the same relation, their spread is rounding, which must not be scaled up.
    scale = max(float(np.sqrt(betas.var(0).mean())), 1e-6 * float(np.sqrt((betas**2).mean())), 1e-12)
    lift, origin = np.eye(betas.shape[1]), np.zeros(betas.shape[1])
    points = betas / scale
    if method == "pca_gmm":
        origin = points.mean(0)
        lift = np.linalg.svd(points - origin, full_matrices=False)[2][:n_axes]
        points = (points - origin) @ lift.T
    seed = int(rng.integers(2**31 - 1))
    if method == "bayes":
        model = BayesianGaussianMixture(n_components=n, max_iter=500, random_state=seed)
    else:
        covariance_type = "diag" if method == "gmm_diag" else "full"
        model = GaussianMixture(n, covariance_type=covariance_type, reg_covar=1e-3, max_iter=500, n_init=5, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # `converged_` says so
        model.fit(points)
    labels = model.predict(points)
    used = np.unique(labels)
    covariances = model.covariances_ if model.covariances_.ndim == 3 else np.array([np.diag(c) for c in model.covariances_])
    factors = np.linalg.cholesky(covariances[used])
    regimes = np.searchsorted(used, labels)
    residual = ((points - model.means_[labels]) ** 2).sum()
    drawn = np.trace(covariances[labels], axis1=1, axis2=2).sum()
    return _Mixture(
        means=scale * (model.means_[used] @ lift + origin),
        factors=(scale * np.einsum("qp,kqd->kpd", lift, factors)).astype(np.float32),
        regimes=regimes.astype(np.int64),
        dispersion=np.sqrt(drawn / max(residual, 1e-300)),
        converged=bool(model.converged_),
    )


def _projection(panel: Panel, k: int) -> Float64:
    """The first principal axes of the pooled covariance: features × k."""
    from scipy.linalg import eigh

    p = panel.n_raw
    vectors: Float64 = eigh(moments(panel, "pooled").covariance, subset_by_index=[p - min(k, p), p - 1])[1]
    return vectors[:, ::-1]
