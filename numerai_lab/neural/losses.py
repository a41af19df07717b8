"""Losses of self-supervised learning, each a scalar of float32 tensors (rows × columns), in full precision."""

import torch
from torch import Tensor
from torch.nn import functional

from numerai_lab.neural.networks import full_precision


def info_nce(anchors: Tensor, positives: Tensor, temperature: float, era: Tensor | None = None) -> Tensor:
    """Cross-entropy of finding an anchor's positive by cosine among those of all rows, or of the rows of its era.

    ln(rows) at chance. van den Oord, Li, Vinyals 2018 (arXiv:1807.03748).
    """
    a, b = functional.normalize(anchors.float(), dim=1), functional.normalize(positives.float(), dim=1)
    with full_precision(a.device):
        logits = a @ b.T / temperature
    if era is not None:
        logits = logits.masked_fill(era[:, None] != era[None, :], float("-inf"))
    return functional.cross_entropy(logits, torch.arange(len(a), device=a.device))


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    """25 · distance + 25 · hinge of standard deviations below 1 + 1 · squared covariances (Bardes, Ponce, LeCun 2022)."""
    a, b = a.float(), b.float()
    spread = sum((1 - (z.var(0) + 1e-4).sqrt()).relu().mean() / 2 for z in (a, b))
    covariance = sum(_off_diagonal(_covariance(z)).square().sum() / z.shape[1] for z in (a, b))
    return 25 * functional.mse_loss(a, b) + 25 * spread + covariance


def barlow_twins(a: Tensor, b: Tensor, off_diagonal: float = 5e-3) -> Tensor:
    """Squared distance of the views' cross-correlation from the identity, λ = 5e-3 (Zbontar et al. 2021)."""
    a, b = (standardised(z.float()) for z in (a, b))
    with full_precision(a.device):
        cross = a.T @ b / len(a)
    return (1 - cross.diagonal()).square().sum() + off_diagonal * _off_diagonal(cross).square().sum()


def sim_siam(predicted: Tensor, target: Tensor) -> Tensor:
    """Minus the cosine, no gradient through the target (Chen, He 2021)."""
    return -functional.cosine_similarity(predicted.float(), target.detach().float(), dim=1).mean()


def standardised(z: Tensor) -> Tensor:
    """Columns of mean 0 and variance 1 within the batch."""
    return (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()


def _covariance(z: Tensor) -> Tensor:
    centred = z - z.mean(0)
    with full_precision(z.device):
        return centred.T @ centred / (len(z) - 1)


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix - torch.diag(matrix.diagonal())
