"""Networks that learn from targets: the supervised autoencoder and the Siamese net."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.neural.era import Drop, dropping, no_dropout
from numerai_lab.neural.networks import Encoder, Stack, full_precision, linear, swish
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective

MIDDLE = 0.5
"""The value that targets are centred on."""

Affine = tuple[Float64, Float64]
"""Scale and shift of every column."""


@dataclass(frozen=True)
class SupervisedShape:
    """Sizes and dropout rates of a supervised autoencoder.

    top: the largest value of a feature; drops: of the hidden layers, in their order; n_targets:
    auxiliary ones included.
    """

    n_features: int
    top: float
    n_latent: int
    hidden: tuple[int, ...]
    noise: float
    drop_latent: float
    drop_input: float
    drop_auxiliary: float
    drops: tuple[float, ...]
    n_targets: int = 1


class _Dense(nn.Module):
    """A linear layer, batch norm, swish."""

    def __init__(self, n_in: int, n_out: int, init: torch.Generator) -> None:
        super().__init__()
        self.linear, self.norm = linear(n_in, n_out, init), nn.BatchNorm1d(n_out)

    def forward(self, values: Tensor) -> Tensor:
        return functional.silu(self.norm(self.linear(values)))


class SupervisedAutoencoding(TrainingObjective):
    """A denoising autoencoder, and a network that predicts the targets from features and latents.

    The loss adds up the squared errors of the features on 0..1, of the targets predicted from the
    reconstruction, and of those predicted by the network, each the mean over known values; early
    stopping uses the last alone. Yirun Zhang 2021, first of Kaggle's Jane Street competition.
    """

    def __init__(self, shape: SupervisedShape, init: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        p, d = shape.n_features, shape.n_latent
        self.norm = nn.BatchNorm1d(p)
        self.encoder = _Dense(p, d, init)
        self.decoder = linear(d, p, init)
        self.auxiliary, self.auxiliary_out = _Dense(p, d, init), linear(d, shape.n_targets, init)
        self.mixed = nn.BatchNorm1d(p + d)
        sizes = [p + d, *shape.hidden]
        self.layers = nn.ModuleList(_Dense(*pair, init) for pair in itertools.pairwise(sizes))
        self.out = linear(sizes[-1], shape.n_targets, init)

    def forward(self, cells: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features on 0..1, their reconstruction, the targets predicted from that, and those predicted by the network."""
        shape, drop = self.shape, self._drop(noise)
        x = cells.float() / shape.top
        normal = self.norm(x)
        jitter = torch.randn(normal.shape, generator=noise, device=noise.device) * shape.noise if self.training else 0
        latents = self.encoder(normal + jitter)
        restored = self.decoder(drop(latents, shape.drop_latent))
        auxiliary = self.auxiliary_out(drop(self.auxiliary(restored), shape.drop_auxiliary))
        hidden = drop(self.mixed(torch.cat([normal, latents], dim=1)), shape.drop_input)
        for layer, rate in zip(self.layers, shape.drops, strict=True):
            hidden = drop(layer(hidden), rate)
        return x, restored, auxiliary, self.out(hidden)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        x, restored, auxiliary, predicted = self(batch.cells, noise)
        targets = _targets(batch)
        rebuilt = functional.mse_loss(restored.float(), x)
        return torch.stack([rebuilt, _error_of_known(auxiliary, targets), _error_of_known(predicted, targets)]).sum()

    def validation_loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        return _error_of_known(self(batch.cells, noise)[3], _targets(batch))

    def _drop(self, noise: torch.Generator) -> Drop:
        return dropping(noise) if self.training else no_dropout

    def encoding(self) -> tuple[Float32, Float32]:
        """Weights and biases from cells in their own units to the input of the latents' swish, every norm inside."""
        scale, shift = _affine(self.norm)
        return _folded(self.encoder.linear, (scale / self.shape.top, shift), _affine(self.encoder.norm))

    def prediction(self) -> list[tuple[Float32, Float32]]:
        """Layers from [cells, latents] to the target, with swish between them and every norm inside.

        Auxiliary targets are left out.
        """
        (scale, shift), (mixed, moved), p = _affine(self.norm), _affine(self.mixed), self.shape.n_features
        before = (
            np.concatenate([mixed[:p] * scale / self.shape.top, mixed[p:]]),
            np.concatenate([mixed[:p] * shift + moved[:p], moved[p:]]),
        )
        first, *rest = [layer for layer in self.layers if isinstance(layer, _Dense)]
        layers = [_folded(first.linear, before, _affine(first.norm))]
        layers += [_folded(layer.linear, None, _affine(layer.norm)) for layer in rest]
        weights, biases = _folded(self.out, None, None)
        return [*layers, (weights[:1], biases[:1])]


class SiameseDistances(TrainingObjective):
    """The mean of (|f(x) − f(x')| − scale · |y − y'|)² over all pairs of rows of an era [nyuton, Numerai forum]."""

    def __init__(self, encoder: Encoder, scale: float) -> None:
        super().__init__()
        self.encoder, self.scale = encoder, scale

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        embedded, targets = self.encoder(batch.cells).float(), _centred(batch)
        total, pairs = embedded.sum() * 0, 0
        for first, end in batch.groups:
            z, y = embedded[first:end], targets[first:end]
            squares = z.square().sum(1)
            # The floor keeps the root's gradient finite where two rows coincide, a row with itself among them.
            with full_precision(z.device):
                distances = (squares[:, None] + squares[None] - 2 * z @ z.T).clamp(min=1e-6).sqrt()
            errors = (distances - self.scale * (y[:, None] - y[None]).abs()).square()
            total = total + errors.sum() - errors.diagonal().sum()
            pairs += (end - first) * (end - first - 1)
        mean: Tensor = total / max(1, pairs)
        return mean


def _centred(batch: RowBatch) -> Tensor:
    assert batch.target is not None, "a method that learns from targets was shown none"
    return batch.target.float() - MIDDLE


def _targets(batch: RowBatch) -> Tensor:
    """Centred targets, rows × targets: the target, then auxiliary ones, NaN where unknown."""
    target = _centred(batch)[:, None]
    return target if batch.auxiliary is None else torch.cat([target, batch.auxiliary.float() - MIDDLE], dim=1)


def _error_of_known(predicted: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error over known targets."""
    known = targets.isfinite()
    return functional.mse_loss(predicted.float()[known], targets[known])


def _affine(norm: nn.BatchNorm1d) -> Affine:
    """The scale and shift that a trained batch norm applies."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance, weight, bias = (
        values.detach().cpu().numpy().astype(np.float64)
        for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    scale = weight / np.sqrt(variance + norm.eps)
    return scale, bias - mean * scale


def _folded(layer: nn.Linear, before: Affine | None, after: Affine | None) -> tuple[Float32, Float32]:
    """Weight and bias of a linear layer with the scale and shift of its inputs and of its outputs inside."""
    weight, bias = (tensor.detach().cpu().numpy().astype(np.float64) for tensor in (layer.weight, layer.bias))
    if before is not None:
        weight, bias = weight * before[0], bias + weight @ before[1]
    if after is not None:
        weight, bias = weight * after[0][:, None], bias * after[0] + after[1]
    return weight.astype(np.float32), bias.astype(np.float32)


class Supervised:
    """A trained supervised autoencoder as folded layers: latents of cells, and predictions.

    weight (latents × cells), bias: the encoder's layer. prediction: layers from [cells, latents] to the target, if any.
    """

    def __init__(self, weight: Float32, bias: Float32, prediction: list[tuple[Float32, Float32]], device: torch.device) -> None:
        self.weight, self.bias = torch.from_numpy(weight).to(device).T.contiguous(), torch.from_numpy(bias).to(device)
        self.stack = Stack(prediction, device, swish) if prediction else None

    def latents(self, x: Tensor) -> Tensor:
        """Latents without noise and dropout: rows × latents."""
        return swish(torch.addmm(self.bias, x, self.weight))

    def predicted(self, x: Tensor) -> Tensor:
        """Predictions of the target: rows × 1."""
        assert self.stack is not None
        return self.stack(torch.cat([x, self.latents(x)], dim=1))


class Places:
    """A trained Siamese net: the embeddings of cells, or their distances from the centres where there are any."""

    def __init__(self, stack: Stack, centres: Float32 | None, device: torch.device) -> None:
        self.stack, self.centres = stack, None if centres is None else torch.from_numpy(centres).to(device)

    def __call__(self, x: Tensor) -> Tensor:
        places = self.stack(x)
        if self.centres is None:
            return places
        # Matrix products would lose small distances to rounding.
        return torch.cdist(places, self.centres, compute_mode="donot_use_mm_for_euclid_dist")
