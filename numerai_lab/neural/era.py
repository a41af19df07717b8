"""The network of the era autoencoder: from features, era code and a frozen random network to features."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Float32
from numerai_lab.neural.networks import arrays_of, generator_for
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective

FROZEN_DEVIATION = 0.05

Drop = Callable[[Tensor, float], Tensor]
"""(values, rate) → values with dropout."""


@dataclass(frozen=True)
class EraShape:
    """Sizes and dropout rates of the era autoencoder. frozen: widths of the random network's two layers."""

    n_features: int
    top: float
    frozen: tuple[int, int]
    hidden: int
    n_latent: int
    drop_input: float
    drop_hidden: float


class EraEncoder(nn.Module):
    """Latents in (0, 1): sigmoid layers over [features with dropout, era code, frozen network of the whole features]."""

    def __init__(self, shape: EraShape, init: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        sizes = [shape.n_features, *shape.frozen]
        self.frozen = nn.ModuleList(_normal(*pair, init) for pair in itertools.pairwise(sizes)).requires_grad_(False)
        sizes = [shape.n_features + 1 + shape.frozen[1], shape.hidden, shape.hidden, shape.n_latent]
        self.layers = nn.ModuleList(_glorot(*pair, init) for pair in itertools.pairwise(sizes))

    def forward(self, cells: Tensor, codes: Tensor, drop: Drop) -> Tensor:
        """Latents, rows × n_latent. codes: the era's code of every row; drop: the dropout."""
        x = self.bins(cells)
        random = self.frozen[1](self.frozen[0](x).relu()).sigmoid()
        hidden = torch.cat([drop(x, self.shape.drop_input), codes[:, None], random], dim=1)
        for layer in self.layers[:-1]:
            hidden = drop(layer(hidden).sigmoid(), self.shape.drop_hidden)
        latents: Tensor = self.layers[-1](hidden).sigmoid()
        return latents

    def bins(self, cells: Tensor) -> Tensor:
        """Features on 0 to 4, float32."""
        return cells.float() * (4 / self.shape.top)

    def arrays(self) -> dict[str, list[tuple[Float32, Float32]]]:
        """Weights and biases of the frozen layers and of the learned ones."""
        return {"frozen": arrays_of(self.frozen), "layers": arrays_of(self.layers)}

    def load(self, arrays: dict[str, list[tuple[Float32, Float32]]]) -> "EraEncoder":
        """Loads the weights that `arrays` returned."""
        with torch.no_grad():
            for name, pairs in arrays.items():
                for layer, (weight, bias) in zip(self.get_submodule(name).children(), pairs, strict=True):
                    assert isinstance(layer, nn.Linear)
                    layer.weight.copy_(torch.from_numpy(weight))
                    layer.bias.copy_(torch.from_numpy(bias))
        return self


class EraAutoencoding(TrainingObjective):
    """Mean squared error of the features in bins, from latents of features and era code. codes: by era, eras rising."""

    known: Tensor
    codes: Tensor

    def __init__(self, encoder: EraEncoder, codes: Mapping[int, float], init: torch.Generator) -> None:
        super().__init__()
        shape = encoder.shape
        self.encoder = encoder
        self.register_buffer("known", torch.tensor(list(codes)))
        self.register_buffer("codes", torch.tensor(list(codes.values())))
        sizes = [shape.n_latent, shape.hidden, shape.hidden, shape.n_features]
        self.decoder = nn.ModuleList(_glorot(*pair, init) for pair in itertools.pairwise(sizes))

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        drop = dropping(noise) if self.training else no_dropout
        shape = self.encoder.shape
        hidden = self.encoder(batch.cells, self.codes[torch.searchsorted(self.known, batch.era)], drop)
        for layer in self.decoder[:-1]:
            hidden = drop(layer(hidden).sigmoid(), shape.drop_hidden)
        restored = self.decoder[-1](hidden).sigmoid() * 4
        return functional.mse_loss(restored.float(), self.encoder.bins(batch.cells))


def no_dropout(values: Tensor, rate: float) -> Tensor:
    """The values unchanged: dropout that is switched off."""
    return values


def dropping(noise: torch.Generator, shared: bool = False) -> Drop:
    """Dropout drawn from `noise`. shared: drops the same units for all rows, so that no row depends on its batch."""

    def drop(values: Tensor, rate: float) -> Tensor:
        shape = (1, values.shape[1]) if shared else values.shape
        return values * (torch.rand(shape, generator=noise, device=noise.device) >= rate) / (1 - rate)

    return drop


def mean_of_draws(encoder: EraEncoder, cells: Tensor, code: float, n_draws: int, seed: int) -> Tensor:
    """Mean latents over networks thinned by dropout, the same networks for all rows; 0 draws: of the whole network."""
    codes = torch.full((len(cells),), code, device=cells.device)
    if n_draws == 0:
        latents: Tensor = encoder(cells, codes, no_dropout)
        return latents
    drop = dropping(generator_for(seed, cells.device), shared=True)
    return torch.stack([encoder(cells, codes, drop) for _ in range(n_draws)]).mean(0)


def emitted(latents: Tensor, code: float, parts: Sequence[str]) -> Tensor:
    """Columns side by side, float32: raw = latents, argmax and onehot = the largest latent, era = the code."""
    largest = latents.argmax(dim=1)
    columns = {
        "raw": latents,
        "argmax": largest[:, None].float(),
        "onehot": functional.one_hot(largest, latents.shape[1]).float(),
        "era": torch.full_like(latents[:, :1], code),
    }
    return torch.cat([columns[part] for part in parts], dim=1)


def _normal(n_in: int, n_out: int, init: torch.Generator) -> nn.Linear:
    layer = _empty(n_in, n_out)
    with torch.no_grad():
        layer.weight.normal_(0, FROZEN_DEVIATION, generator=init)
        layer.bias.normal_(0, FROZEN_DEVIATION, generator=init)
    return layer


def _glorot(n_in: int, n_out: int, init: torch.Generator) -> nn.Linear:
    """A layer with Keras' initial weights, which sigmoid layers need: uniform in ± √(6 / (in + out)), no bias."""
    layer = _empty(n_in, n_out)
    bound = (6 / (n_in + n_out)) ** 0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=init)
        layer.bias.zero_()
    return layer


def _empty(n_in: int, n_out: int) -> nn.Linear:
    layer: nn.Linear = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
    return layer
