"""Networks of the augmenters noise_to_stock, dream and unet."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Array
from numerai_lab.neural.networks import linear, relu_net
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective


class RowNetwork(TrainingObjective):
    """A network of rows; `forward` maps features on −½ … ½ to features and target on −½ … ½, side by side."""

    def __init__(self, top: float) -> None:
        super().__init__()
        self.top = top

    def scaled(self, batch: RowBatch) -> tuple[Tensor, Tensor]:
        """Features and target (a column) on −½ … ½."""
        assert batch.target is not None
        return batch.cells.float() / self.top - 0.5, batch.target[:, None] - 0.5

    def arrays(self) -> dict[str, Array]:
        """The weights, by the names that a component learns them under."""
        return {f"network_{name}_": value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Loads the weights that `arrays` returned."""
        self.load_state_dict({name: torch.from_numpy(arrays[f"network_{name}_"].copy()) for name in self.state_dict()})
        self.eval()


class NoiseToStockNetwork(RowNetwork):
    """A residual network with dropout that restores the features of a row and predicts its target.

    sizes: width, number of layers. rates: of dropout, and the weight of the target's error.
    """

    def __init__(
        self, n_features: int, top: float, sizes: tuple[int, int], rates: tuple[float, float], init: torch.Generator
    ) -> None:
        super().__init__(top)
        hidden, n_layers = sizes
        self.drop, self.weight = rates
        self.first, self.last = linear(n_features, hidden, init), linear(hidden, n_features + 1, init)
        self.layers = nn.ModuleList(linear(hidden, hidden, init) for _ in range(n_layers))

    def forward(self, x: Tensor, noise: torch.Generator) -> Tensor:
        hidden = self.first(x).relu()
        for layer in self.layers:
            mask = torch.rand(hidden.shape, generator=noise, device=x.device) >= self.drop
            hidden = hidden + layer(hidden * mask / (1 - self.drop)).relu()
        values: Tensor = self.last(hidden)
        return values

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        x, y = self.scaled(batch)
        values = self(x, noise).float()
        return functional.mse_loss(values[:, :-1], x) + self.weight * functional.mse_loss(values[:, -1:], y)


class Dreaming(RowNetwork):
    """A network that predicts the target, and moves rows so that its activations rise."""

    def __init__(self, n_features: int, top: float, sizes: Sequence[int], init: torch.Generator) -> None:
        super().__init__(top)
        self.net = relu_net([n_features, *sizes, 1], init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        x, y = self.scaled(batch)
        return functional.mse_loss(self.net(x).float(), y)

    def dreamt(self, x: Tensor, n_steps: int, step: float) -> Tensor:
        """Rows moved along the gradient of the mean activation of the last hidden layer, over its standard deviation."""
        with torch.inference_mode(False), torch.enable_grad():
            for _ in range(n_steps):
                x = x.detach().clone().requires_grad_()
                (slope,) = torch.autograd.grad(self.net[:-1](x).mean(1).sum(), x)
                x = (x + step * slope / (slope.std(1, keepdim=True) + 1e-8)).clamp(-0.5, 0.5)
        return x.detach()


class UNetNetwork(RowNetwork):
    """Features → wide → narrow → target, and narrow → wide, beside the first wide layer, → features.

    sizes: wide, narrow. weights: of the errors of target and features.
    """

    def __init__(
        self, n_features: int, top: float, sizes: tuple[int, int], weights: tuple[float, float], init: torch.Generator
    ) -> None:
        super().__init__(top)
        wide, narrow = sizes
        self.weights = weights
        self.down, self.bottom = linear(n_features, wide, init), linear(wide, narrow, init)
        self.up, self.out = linear(narrow, wide, init), linear(2 * wide, n_features, init)
        self.head = linear(narrow, 1, init)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.down(x).relu()
        narrow = self.bottom(wide).relu()
        back = torch.cat([self.up(narrow).relu(), wide], 1)
        return torch.cat([self.out(back), self.head(narrow)], 1)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        x, y = self.scaled(batch)
        values = self(x).float()
        return self.weights[0] * functional.mse_loss(values[:, -1:], y) + self.weights[1] * functional.mse_loss(values[:, :-1], x)
