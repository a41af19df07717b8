"""Networks that predict the target, and their training objective."""

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.neural.era_losses import LOSSES, Loss, exposure, likeness
from numerai_lab.neural.networks import full_precision, linear
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective

MIDDLE = 0.5
"""The value that targets are centred on for the squared error."""


class Dropout:
    """Drops a share of the activations, drawn anew for every layer. What is left has to be multiplied by `scale`."""

    def __init__(self, rate: float, noise: torch.Generator) -> None:
        self.noise, self.scale = noise, 1 / (1 - rate)
        self.bound = round(rate * 2**16) - 2**15

    def drop_(self, values: Tensor) -> None:
        """Sets values to 0 in place, unseen by autograd: behind the ReLU that follows they have no gradient in any case."""
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device)
        draws = draws.random_(-(2**63), None, generator=self.noise).view(torch.int16)[: values.numel()]
        values.detach().masked_fill_((draws < self.bound).view(values.shape), 0)


def activated(values: Tensor, dropout: Dropout | None) -> Tensor:
    """ReLU and dropout, in place."""
    if dropout is not None:
        dropout.drop_(values)
    return values.relu_()


class PredictionNetwork(nn.Module):
    """Inputs in their own units → standardised → trunk → head: a prediction of every member.

    moments: mean and standard deviation of every input, float64. An input of deviation 0 becomes 0.
    level, spread: of each member's outputs; the prediction is the mean of (output − level) / spread.
    """

    mean: Tensor
    scale: Tensor
    level: Tensor
    spread: Tensor

    def __init__(self, moments: tuple[Float64, Float64], members: int) -> None:
        super().__init__()
        mean, deviation = moments
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("level", torch.zeros(members))
        self.register_buffer("spread", torch.ones(members))

    def standard(self, cells: Tensor) -> Tensor:
        """Standardised inputs, float32."""
        return (cells - self.mean).mul_(self.scale)

    @abstractmethod
    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Outputs of standardised inputs: rows × members."""

    def begin_step(self, step: int) -> None:
        """Decides before each step which layers learn; all, unless a network does otherwise."""

    def predicted(self, cells: Tensor) -> Tensor:
        """The members' mean prediction of inputs in their own units: rows × 1."""
        outputs: Tensor = self(self.standard(cells))
        return ((outputs.float() - self.level) / self.spread).mean(1, keepdim=True)

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a component learns them under."""
        return {f"network_{name}_": value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    def load(self, arrays: dict[str, Array]) -> None:
        """Loads the weights that `arrays` returned."""
        self.load_state_dict({name: torch.from_numpy(arrays[f"network_{name}_"].copy()) for name in self.state_dict()})


class Trunk(nn.Module):
    """Linear layers, each with a ReLU and dropout. sizes: inputs, then the width of every layer."""

    def __init__(self, sizes: Sequence[int], init: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(*pair, init) for pair in itertools.pairwise(sizes))
        for layer in self.linears:
            with torch.no_grad():
                layer.weight.mul_(6**0.5)  # He's initial weights, which keep the scale through a ReLU

    @property
    def linears(self) -> list[nn.Linear]:
        """The layers in their order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        for layer in self.linears:
            # The weights are fewer than the activations, so they take the scale.
            scale = 1.0 if dropout is None else dropout.scale
            x = activated(functional.linear(x, layer.weight * scale, layer.bias * scale), dropout)
        return x


class MLPNetwork(PredictionNetwork):
    """Members that are networks of their own, each a trunk and a linear head."""

    def __init__(self, moments: tuple[Float64, Float64], hidden: Sequence[int], members: int, init: torch.Generator) -> None:
        super().__init__(moments, members)
        sizes = [len(moments[0]), *hidden]
        self.trunks = nn.ModuleList(Trunk(sizes, init) for _ in range(members))
        self.heads = nn.ModuleList(linear(sizes[-1], 1, init) for _ in range(members))

    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        outputs = [head(trunk(x, dropout)) for trunk, head in zip(self.trunks, self.heads, strict=True)]
        return torch.cat(outputs, dim=1)


class Penalties(NamedTuple):
    """What is added to a loss: weights of the exposure to the first `n_exposed` inputs, and of likeness to a benchmark model."""

    exposure: float = 0.0
    n_exposed: int = 0
    benchmark: float = 0.0


class PredictionObjective(TrainingObjective):
    """The mean of the members' losses in an era, with penalties.

    An era's loss counts in proportion to the mean weight of its rows; rows within it by their weights.
    """

    def __init__(self, network: PredictionNetwork, loss: Loss, dropout: float = 0.0, penalties: Penalties | None = None) -> None:
        super().__init__()
        self.network, self.kind, self.dropout, self.penalties = network, loss, dropout, penalties or Penalties()

    def begin_step(self, step: int) -> None:
        self.network.begin_step(step)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        assert batch.target is not None
        x = self.network.standard(batch.cells)
        outputs = self.network(x, Dropout(self.dropout, noise) if self.training and self.dropout else None).float()
        weight, penalties = batch.weight, self.penalties
        with full_precision(x.device):
            total = LOSSES[self.kind](outputs, batch.target - MIDDLE, weight)
            if penalties.exposure:
                total = total + penalties.exposure * exposure(outputs, x[:, : penalties.n_exposed], weight)
            if penalties.benchmark and batch.benchmark is not None:
                total = total + penalties.benchmark * likeness(outputs, batch.benchmark, weight)
        return total.mean() if weight is None else total.mean() * weight.mean()

    @torch.no_grad()
    def level_members(self, batches: Sequence[RowBatch]) -> None:
        """Sets the members' level and spread, from their outputs on batches.

        A correlation does not see the scale of predictions: each member is brought to mean 0 and
        deviation 1, so that all count alike in the mean. The squared error fixes the scale itself.
        """
        network = self.network
        if self.kind == "mse":
            network.level.fill_(-MIDDLE)
            return
        outputs = torch.cat([network(network.standard(batch.cells)).float() for batch in batches]).double()
        network.level.copy_(outputs.mean(0))
        network.spread.copy_(outputs.std(0, unbiased=False).clamp_min(1e-12))

    def sensitivity(self, batches: Sequence[RowBatch]) -> Float64:
        """The mean absolute slope of the prediction along each standardised input, over batches: float64, inputs."""
        total, n_rows = torch.zeros(len(self.network.mean), dtype=torch.float64), 0
        for batch in batches:
            x = self.network.standard(batch.cells).requires_grad_()
            outputs = (self.network(x).float() / self.network.spread).mean(1)
            # An encoder that counts bins, of umap with the metric manhattan or hamming, has steps and no slope: 0, not an error.
            (slopes,) = torch.autograd.grad(outputs.sum(), x, materialize_grads=True)
            total, n_rows = total + slopes.abs().sum(0).double().cpu(), n_rows + len(batch)
        slopes_of_inputs: Float64 = (total / n_rows).numpy()
        return slopes_of_inputs
