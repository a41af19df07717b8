"""Layers with seeded initial weights, and trained networks applied to any number of rows."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Array, Float32, Float64, Int64
from numerai_lab.core.errors import NlabError

TILE, GPU_TILE = 256, 4096
"""Rows in every forward pass of `in_tiles`, on a CPU and on a GPU."""

Device = Literal["auto", "cpu", "cuda"]


def device_for(requested: Device) -> torch.device:
    """The torch device; auto = cuda where there is a GPU. Raises NlabError where cuda is requested and there is none."""
    if message := no_device(requested):
        raise NlabError(message)
    if not torch.cuda.is_available() or requested == "cpu":
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before its first use: what `repeatable` needs
    return torch.device("cuda")


def no_device(requested: Device) -> str:
    """A sentence that says why torch can't use the device; empty where it can."""
    missing = requested == "cuda" and not torch.cuda.is_available()
    return "device: cuda is asked for, but torch sees no GPU; say auto or cpu" if missing else ""


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Only algorithms that give the same bytes every time, on a GPU; torch raises RuntimeError where it has none."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a check of torch's own, which costs time
    torch.use_deterministic_algorithms(before or device.type != "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def full_precision(device: torch.device) -> torch.autocast:
    """No mixed precision inside of the block: for products that rounding would spoil, such as distances."""
    return torch.autocast(device.type, enabled=False)


def generator_for(seed: int, device: torch.device | None = None) -> torch.Generator:
    """A torch random stream with a seed, apart from the global one."""
    return torch.Generator(device or torch.device("cpu")).manual_seed(seed)


def linear(n_in: int, n_out: int, init: torch.Generator) -> nn.Linear:
    """A linear layer with torch's default initial weights, uniform in ± 1/√n_in, drawn from `init`."""
    layer: nn.Linear = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")  # draws nothing from the global stream
    bound = n_in**-0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=init)
        layer.bias.uniform_(-bound, bound, generator=init)
    return layer


def relu_net(sizes: Sequence[int], init: torch.Generator, norm: bool = False) -> nn.Sequential:
    """Linear layers with ReLU between them; before a ReLU with He's initial weights.

    norm: batch norm before each ReLU.
    """
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layer = linear(n_in, n_out, init)
        layers.append(layer)
        if i < len(sizes) - 2:
            with torch.no_grad():
                layer.weight.mul_(6**0.5)
            layers += [nn.BatchNorm1d(n_out)] * norm + [nn.ReLU()]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Cells in their own units → columns standardised by the training rows → linear layers with ReLU between them.

    moments: mean and standard deviation, float64, columns. A column that is constant among the
    training rows becomes 0.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, moments: tuple[Float64, Float64], sizes: Sequence[int], init: torch.Generator) -> None:
        super().__init__()
        mean, deviation = moments
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        self.register_buffer("shift", torch.tensor(-mean * scale, dtype=torch.float32))
        self.net = relu_net(sizes, init)

    def standard(self, cells: Tensor) -> Tensor:
        """Standardised cells, float32."""
        return torch.addcmul(self.shift, cells.float(), self.scale)

    def forward(self, cells: Tensor) -> Tensor:
        encoded: Tensor = self.net(self.standard(cells))
        return encoded

    def stack(self, columns: Int64 | None = None) -> list[tuple[Float32, Float32]]:
        """Weights and biases of every layer, the first with the standardisation of `columns` (default all) inside it."""
        layers = arrays_of(self.net)
        chosen = slice(None) if columns is None else columns
        scale, shift = (values.cpu().numpy().astype(np.float64)[chosen] for values in (self.scale, self.shift))
        weight = layers[0][0].astype(np.float64)
        layers[0] = (weight * scale).astype(np.float32), (layers[0][1] + weight @ shift).astype(np.float32)
        return layers


def arrays_of(net: nn.Module) -> list[tuple[Float32, Float32]]:
    """Weight (out × in) and bias of every linear layer, in order."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear)]
    return [(layer.weight.detach().cpu().numpy().copy(), layer.bias.detach().cpu().numpy().copy()) for layer in layers]


def relu(values: Tensor) -> Tensor:
    """ReLU, in place."""
    return values.relu_()


def swish(values: Tensor) -> Tensor:
    """x · sigmoid(x), in place."""
    return nn.functional.silu(values, inplace=True)


class Stack:
    """Applies the layers of `Encoder.stack`, with ReLU (or another in-place function) between them."""

    def __init__(
        self,
        layers: Sequence[tuple[Float32, Float32]],
        device: torch.device,
        activate: Callable[[Tensor], Tensor] = relu,
    ) -> None:
        self.activate = activate
        self.layers = [(torch.from_numpy(w).to(device).T.contiguous(), torch.from_numpy(b).to(device)) for w, b in layers]

    def __call__(self, x: Tensor) -> Tensor:
        return self.activations(x)[-1]

    def all_activations(self, x: Tensor) -> Tensor:
        """The outputs of all layers side by side, each after a ReLU."""
        return torch.cat(self.activations(x), dim=1).relu_()

    def activations(self, x: Tensor) -> list[Tensor]:
        """The output of every layer, that of the last without activation."""
        out = [x]
        for i, (weight, bias) in enumerate(self.layers):
            value = torch.addmm(bias, out[-1], weight)
            out.append(self.activate(value) if i < len(self.layers) - 1 else value)
        return out[1:]


class SubsetStacks:
    """The mean output of stacks, each applied to its own subset of the columns."""

    def __init__(self, stacks: Sequence[Stack], subsets: Int64, device: torch.device) -> None:
        self.stacks, self.subsets = stacks, torch.from_numpy(subsets).to(device)

    def __call__(self, x: Tensor) -> Tensor:
        parts = [stack(x.index_select(1, columns)) for stack, columns in zip(self.stacks, self.subsets, strict=True)]
        return torch.stack(parts).mean(0)


def in_tiles(function: Callable[[Tensor], Tensor], features: Array, width: int, device: torch.device) -> Float32:
    """function(cells) of all rows: float32, rows × width.

    The function gets tiles of one size, the last padded with zeros: matrix products of other shapes
    may add in another order, and a row's columns must not depend on how many rows come with it.
    """
    out = np.empty((len(features), width), np.float32)
    size = TILE if device.type == "cpu" else GPU_TILE
    with torch.inference_mode():
        for start in range(0, len(features), size):
            piece = features[start : start + size]
            tile = np.zeros((size, features.shape[1]), features.dtype)
            tile[: len(piece)] = piece
            values = function(torch.from_numpy(tile).to(device)).float()
            out[start : start + size] = values[: len(piece)].cpu().numpy()
    return out
