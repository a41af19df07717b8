"""A denoiser of rows, or of sets of rows of one era, with EDM's preconditioning, and its training objective."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Array, Float32, Float64, Int32
from numerai_lab.neural.networks import full_precision, linear
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.settings import SIGMA
from numerai_lab.neural.training import TrainingObjective

LOG_LEVEL = (-1.2, 1.2)
"""Mean and standard deviation of the log noise levels in training."""
N_FREQUENCIES = 16
N_MAPS = 16
"""Linear maps that noise level and condition mix. The best denoiser of rows that are normal within an era is linear."""


@dataclass(frozen=True)
class DenoiserShape:
    """Sizes of a denoiser.

    width: values of a row; n_condition: values of a condition; heads: of attention between the rows
    of a set, 0 = none.
    """

    width: int
    n_condition: int
    hidden: int
    n_layers: int
    heads: int = 0


class Denoiser(nn.Module):
    """D(x, σ, c) = c_skip·x + c_out·F(c_in·x, ln σ / 4, c) (Karras et al. 2022): x itself when there is no noise.

    x: sets × rows × width; level and condition broadcast over sets and rows. A condition is a row of values and a 1, or
    all 0 for 'unknown'.
    """

    frequencies: Tensor

    def __init__(self, shape: DenoiserShape, init: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(-1, 1, N_FREQUENCIES))
        self.level = linear(2 * N_FREQUENCIES, shape.hidden, init)
        self.conditioning = linear(shape.n_condition + 1, shape.hidden, init)
        self.first = linear(shape.width, shape.hidden, init)
        self.layers = nn.ModuleList(_Layer(shape.hidden, shape.heads, init) for _ in range(shape.n_layers))
        self.last = _zero(linear(shape.hidden, shape.width, init))
        self.maps, self.mixed = linear(shape.width, N_MAPS * shape.width, init), _zero(linear(shape.hidden, N_MAPS, init))

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        total = (level**2 + SIGMA**2).sqrt()
        angles = (level.log() / 4) * self.frequencies * (2 * math.pi)
        state = functional.silu(self.level(torch.cat([angles.cos(), angles.sin()], -1)) + self.conditioning(condition))
        seen = x / total
        hidden = self.first(seen)
        for layer in self.layers:
            hidden = layer(hidden, state)
        linear_part = (self.maps(seen).unflatten(-1, (N_MAPS, -1)) * self.mixed(state)[..., None]).sum(-2)
        output: Tensor = self.last(functional.silu(hidden)) + linear_part
        return (SIGMA / total) ** 2 * x + level * SIGMA / total * output

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a component learns them under."""
        return {array_name(name): value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    def load(self, arrays: Mapping[str, Array]) -> "Denoiser":
        """Loads the weights that `arrays` returned."""
        self.load_state_dict({name: torch.from_numpy(arrays[array_name(name)].copy()) for name in self.state_dict()})
        return self.eval()


def array_name(parameter: str) -> str:
    """The array that holds a parameter of the denoiser; `conditioning` is `told` there, as in older runs."""
    return f"network_{parameter.replace('conditioning.', 'told.')}_"


class _Layer(nn.Module):
    """Attention between the rows of a set, if any, and a residual layer, both scaled by noise level and condition."""

    def __init__(self, hidden: int, heads: int, init: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.steer = linear(hidden, 2 * hidden, init)
        self.inner, self.outer = linear(hidden, hidden, init), linear(hidden, hidden, init)
        if heads:
            self.ask, self.answer = linear(hidden, 3 * hidden, init), _zero(linear(hidden, hidden, init))

    def forward(self, hidden: Tensor, state: Tensor) -> Tensor:
        scale, shift = self.steer(state).chunk(2, -1)
        steered = torch.addcmul(shift, _normal(hidden), 1 + scale)
        if self.heads:
            sets, rows, width = hidden.shape
            parts = self.ask(steered).view(sets, rows, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
            seen = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
            hidden = hidden + self.answer(seen.transpose(1, 2).reshape(sets, rows, width))
            steered = torch.addcmul(shift, _normal(hidden), 1 + scale)
        changed: Tensor = hidden + self.outer(functional.silu(self.inner(steered)))
        return changed


@dataclass(frozen=True)
class DiffusionEncoding:
    """The map from a row to values of the denoiser: cells @ projection + offset, and (y − mean) × scale."""

    projection: Float64
    offset: Float64
    y_mean: float
    y_scale: float


@dataclass(frozen=True)
class Conditions:
    """The condition of every era: a vector, float32, in the order of `eras`.

    learned: whether the vectors are trained with the network, from the values given here.
    """

    eras: Int32
    vectors: Float32
    learned: bool


class Denoising(TrainingObjective):
    """The weighted squared error of rows predicted from noisy ones, at log-normal noise levels.

    structure set: the rows that a batch has of an era are one set, with one noise level. drop:
    share of rows (sets) that get no condition.
    """

    projection: Tensor
    offset: Tensor
    known: Tensor

    def __init__(
        self,
        denoiser: Denoiser,
        encoding: DiffusionEncoding,
        conditions: Conditions,
        structure: Literal["rows", "set"],
        drop: float,
    ) -> None:
        super().__init__()
        self.denoiser, self.structure, self.drop = denoiser, structure, drop
        self.y = (encoding.y_mean, encoding.y_scale)
        self.register_buffer("projection", torch.tensor(encoding.projection, dtype=torch.float32))
        self.register_buffer("offset", torch.tensor(encoding.offset, dtype=torch.float32))
        self.register_buffer("known", torch.from_numpy(np.asarray(conditions.eras, np.int64)))
        self.conditions = nn.Parameter(torch.from_numpy(conditions.vectors.copy()), requires_grad=conditions.learned)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        clean, era = self._sets(batch)
        sets, rows, _ = clean.shape
        level_shape = (sets, 1, 1) if self.structure == "set" else (sets, rows, 1)
        level = (LOG_LEVEL[0] + LOG_LEVEL[1] * _normals(level_shape, noise)).exp()
        condition_mask = (torch.rand(level_shape, generator=noise, device=noise.device) >= self.drop).float()
        values = self.conditions[torch.searchsorted(self.known, era[:, : level_shape[1]].contiguous())]
        condition = functional.pad(values, (0, 1), value=1) * condition_mask
        denoised = self.denoiser(clean + level * _normals(clean.shape, noise), level, condition)
        weight = (level**2 + SIGMA**2) / (level * SIGMA) ** 2
        loss: Tensor = (weight * (denoised.float() - clean) ** 2).mean()
        return loss

    def _sets(self, batch: RowBatch) -> tuple[Tensor, Tensor]:
        """(values, eras): sets × rows × values, and sets × rows. One set for all rows, or one per era, of equal sizes."""
        assert batch.target is not None
        y = (batch.target - self.y[0]) * self.y[1]
        with full_precision(y.device):
            values = torch.cat([batch.cells.float() @ self.projection + self.offset, y[:, None]], 1)
        if self.structure == "rows":
            return values[None], batch.era[None]
        groups = [(first, end) for first, end in batch.groups if end > first]
        size = min(end - first for first, end in groups)
        sets, eras = zip(*((values[first : first + size], batch.era[first : first + size]) for first, _ in groups), strict=True)
        return torch.stack(sets), torch.stack(eras)


def _normals(shape: tuple[int, ...], noise: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=noise, device=noise.device)


def _normal(hidden: Tensor) -> Tensor:
    return functional.layer_norm(hidden, hidden.shape[-1:])


def _zero(layer: nn.Linear) -> nn.Linear:
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.zero_()
    return layer
