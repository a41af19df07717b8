"""Encoders of generators as the first part of networks that predict. Each has the generator's own architecture."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.neural.era import EraEncoder, EraShape, no_dropout
from numerai_lab.neural.layer_state import Layers
from numerai_lab.neural.neighbours import spread_out
from numerai_lab.neural.networks import full_precision, relu_net
from numerai_lab.neural.starting_encoder import StartingEncoder
from numerai_lab.neural.umap_encoder import ScoreEncoder


class EncoderTrunk(nn.Module):
    """Standardised inputs → the representation that the generator emits.

    mean, deviation: of the inputs that the encoder reads, with which they are standardised.
    selected: positions of these inputs; None = all.
    """

    mean: Tensor
    deviation: Tensor
    selected: Tensor | None

    def __init__(self, shape: Mapping[str, Any]) -> None:
        """shape: n_inputs that the encoder reads, and whether they are `selected` from all; a subclass has more."""
        super().__init__()
        n_inputs, chosen = shape["n_inputs"], torch.zeros(shape["n_inputs"], dtype=torch.int64)
        self.register_buffer("selected", chosen if shape["selected"] else None)
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("deviation", torch.ones(n_inputs))

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns of the representation."""

    @property
    @abstractmethod
    def stages(self) -> list[list[nn.Linear]]:
        """The layers that learn, from the first to the last; layers side by side are one stage."""

    @abstractmethod
    def encoded(self, x: Tensor) -> Tensor:
        """The representation of the standardised inputs that the encoder reads: rows × width."""

    @abstractmethod
    def load_layers(self, layers: Layers) -> None:
        """Loads learned weights, which are for inputs in the panel's units."""

    def forward(self, x: Tensor) -> Tensor:
        """The representation. x: all inputs of the network, standardised."""
        return self.encoded(x if self.selected is None else x.index_select(1, self.selected))

    @torch.no_grad()
    def begin(self, encoder: StartingEncoder, moments: tuple[Float64, Float64], learned: bool) -> None:
        """Takes over what the encoder never trains, and where `learned` its weights. moments: of all inputs of the network."""
        positions = slice(None) if encoder.selected is None else encoder.selected
        if self.selected is not None:
            self.selected.copy_(torch.from_numpy(np.asarray(encoder.selected, np.int64)))
        for own, values in zip((self.mean, self.deviation), moments, strict=True):
            own.copy_(torch.from_numpy(values[positions]))
        self.load_constants(encoder)
        if learned:
            self.load_layers(encoder.layers)

    def load_constants(self, encoder: StartingEncoder) -> None:
        """Takes over what the encoder computes with and never trains."""

    def cells(self, x: Tensor) -> Tensor:
        """Inputs in the panel's units."""
        return torch.addcmul(self.mean, x, self.deviation)


class LayersTrunk(EncoderTrunk):
    """Linear layers with ReLU between them: `autoencoder` and `contrastive`.

    shape: widths of the layers; deep: the representation is the outputs of all layers, each after a ReLU.
    """

    def __init__(self, shape: Mapping[str, Any], init: torch.Generator) -> None:
        super().__init__(shape)
        self.deep, self.widths = shape["deep"], list(shape["widths"])
        self.net = relu_net([shape["n_inputs"], *self.widths], init)

    @property
    def width(self) -> int:
        return sum(self.widths) if self.deep else self.widths[-1]

    @property
    def stages(self) -> list[list[nn.Linear]]:
        return [[layer] for layer in linears_in(self.net)]

    def encoded(self, x: Tensor) -> Tensor:
        if not self.deep:
            columns: Tensor = self.net(x)
            return columns
        outputs = []
        for layer in linears_in(self.net):
            x = layer(x).relu()
            outputs.append(x)
        return torch.cat(outputs, dim=1)

    def load_layers(self, layers: Layers) -> None:
        first, mean, deviation = layers[0], *(values.cpu().double().numpy() for values in (self.mean, self.deviation))
        weights = first[0].astype(np.float64)
        standardised = (weights * deviation).astype(np.float32), (first[1] + weights @ mean).astype(np.float32)
        load_linears(linears_in(self.net), [standardised, *layers[1:]])


class ScoreTrunk(EncoderTrunk):
    """The encoder of parametric `umap`, on the landmarks' principal scores, which are fixed.

    shape: metric; n_spread columns of rows spread out by it; n_principal scores; hidden widths; n_components.
    """

    projection: Tensor
    shift: Tensor

    def __init__(self, shape: Mapping[str, Any], init: torch.Generator) -> None:
        super().__init__(shape)
        self.metric, self.n_components = shape["metric"], shape["n_components"]
        self.register_buffer("projection", torch.zeros(shape["n_spread"], shape["n_principal"]))
        self.register_buffer("shift", torch.zeros(shape["n_principal"]))
        self.encoder = ScoreEncoder(shape["n_principal"], shape["hidden"], self.n_components, init)

    @property
    def width(self) -> int:
        return int(self.n_components)

    @property
    def stages(self) -> list[list[nn.Linear]]:
        *body, last = linears_in(self.encoder.body)
        return [*([layer] for layer in body), [last, self.encoder.straight]]

    def encoded(self, x: Tensor) -> Tensor:
        with full_precision(x.device):
            scores = torch.addmm(self.shift, spread_out(self.cells(x), self.metric), self.projection)
        columns: Tensor = self.encoder(scores)
        return columns

    def load_constants(self, encoder: StartingEncoder) -> None:
        self.projection.copy_(torch.from_numpy(encoder.constants["projection"]))
        self.shift.copy_(torch.from_numpy(encoder.constants["shift"]))

    def load_layers(self, layers: Layers) -> None:
        self.encoder.load(layers)


class EraTrunk(EncoderTrunk):
    """The encoder of `era_autoencoder`, without dropout, as if every row were of the latest era of its fit.

    Its frozen random network stays frozen. shape: that of `EraShape`, and `code`, of the latest era.
    """

    def __init__(self, shape: Mapping[str, Any], init: torch.Generator) -> None:
        super().__init__(shape)
        self.code = float(shape["code"])
        sizes = EraShape(
            n_features=shape["n_inputs"],
            top=shape["top"],
            frozen=(shape["frozen"][0], shape["frozen"][1]),
            hidden=shape["hidden"],
            n_latent=shape["n_latent"],
            drop_input=0.0,
            drop_hidden=0.0,
        )
        self.encoder = EraEncoder(sizes, init)

    @property
    def width(self) -> int:
        return self.encoder.shape.n_latent

    @property
    def stages(self) -> list[list[nn.Linear]]:
        return [[layer] for layer in linears_in(self.encoder.layers)]

    def encoded(self, x: Tensor) -> Tensor:
        codes = torch.full((len(x),), self.code, device=x.device)
        latents: Tensor = self.encoder(self.cells(x), codes, no_dropout)
        return latents

    def load_constants(self, encoder: StartingEncoder) -> None:
        frozen = [(encoder.constants[f"weights_{i}"], encoder.constants[f"biases_{i}"]) for i in range(2)]
        self.encoder.load({"frozen": frozen})

    def load_layers(self, layers: Layers) -> None:
        self.encoder.load({"layers": list(layers)})


FORMS: Mapping[str, type[LayersTrunk | ScoreTrunk | EraTrunk]] = {"layers": LayersTrunk, "scores": ScoreTrunk, "era": EraTrunk}
"""The `form` in a shape → its class."""


def trunk_of(shape: Mapping[str, Any], init: torch.Generator) -> EncoderTrunk:
    """An untrained encoder of this shape, with the initial weights that the generator's training begins with."""
    return FORMS[shape["form"]](shape, init)


def linears_in(module: nn.Module) -> list[nn.Linear]:
    """The linear layers of a module, in their order."""
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


@torch.no_grad()
def load_linears(own: Sequence[nn.Linear], layers: Sequence[tuple[Float32, Float32]]) -> None:
    """Copies weights (out × in) and biases into linear layers of the same sizes."""
    for layer, (weight, bias) in zip(own, layers, strict=True):
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))
