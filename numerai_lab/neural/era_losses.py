"""Losses of predictions within one era, and their exposure to features, in full precision.

predicted: rows × members; target: rows; weight: rows, ≥ 0, or None where all count alike. A loss
has a value for each member.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

from numerai_lab.neural.networks import full_precision

Loss = Literal["era_corr", "numerai_corr", "mse"]
LEAST_VARIANCE = 1e-12
"""Variances below it count as this much: the correlation with a constant is 0, not NaN."""
POWER = 1.5


def pearson(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weighted Pearson correlation of each member's predictions with the target."""
    share = _shares(target, weight)
    p, y = _centred(predicted, share), _centred(target[:, None], share)
    spread = share @ p.square() * (share @ y.square())
    return share @ (p * y) / spread.clamp_min(LEAST_VARIANCE).sqrt()


def era_corr(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 − the Pearson correlation."""
    return 1 - pearson(predicted, target, weight)


def numerai_corr(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """1 − Numerai's corr, with predictions standardised where Numerai gaussianises their ranks.

    Predictions of mean 0 and variance 1 and the centred target are raised to the power 1.5, the
    sign kept, and then correlated. Standardised and gaussianised predictions are the same where
    predictions are normally distributed; only the former have a gradient. Source: Numerai's
    `numerai_corr` (numerai-tools).
    """
    share = _shares(target, weight)
    p = _centred(predicted, share)
    p = p / (share @ p.square()).clamp_min(LEAST_VARIANCE).sqrt()
    return 1 - pearson(_raised(p), _raised(_centred(target[:, None], share))[:, 0], weight)


def mse(predicted: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weighted mean squared error."""
    return _shares(target, weight) @ (predicted - target[:, None]).square()


def exposure(predicted: Tensor, features: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean squared Pearson correlation of each member's predictions with the features (rows × features)."""
    share = _shares(features[:, 0], weight)
    p = _centred(predicted, share)
    with full_precision(features.device):
        means = share @ features
        products = (share[:, None] * p).T @ features  # of centred predictions, so features need not be centred
        variances = share @ features.square() - means.square()
    spread = (share @ p.square())[:, None] * variances
    return (products.square() / spread.clamp_min(LEAST_VARIANCE)).mean(1)


def likeness(predicted: Tensor, benchmark: Tensor, weight: Tensor | None = None) -> Tensor:
    """The squared Pearson correlation of each member's predictions with another model's, over rows where these are known."""
    known = benchmark.isfinite().to(predicted.dtype)
    return pearson(predicted, benchmark.nan_to_num(), known if weight is None else known * weight).square()


LOSSES: Mapping[Loss, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "era_corr": era_corr,
    "numerai_corr": numerai_corr,
    "mse": mse,
}


def _shares(like: Tensor, weight: Tensor | None) -> Tensor:
    """Weights of rows that sum to 1; to 0 where no row weighs anything."""
    if weight is None:
        return torch.full_like(like, 1 / len(like))
    return weight / weight.sum().clamp_min(LEAST_VARIANCE)


def _centred(values: Tensor, share: Tensor) -> Tensor:
    return values - share @ values


def _raised(values: Tensor) -> Tensor:
    """sign(v) · |v|^1.5. The root of 0 has no gradient, so it is taken of slightly more."""
    return values * (values.abs() + LEAST_VARIANCE).sqrt()
