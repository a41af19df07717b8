"""Base classes of generators with a network: its parameters, its training, and its columns of blocks.

No torch at import.
"""

from abc import abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, PrivateAttr

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.panel import Block, Panel
from numerai_lab.generators.base import Generator
from numerai_lab.neural.layer_state import Layers, keep_layers, layers_in
from numerai_lab.neural.settings import OnDevice, Training
from numerai_lab.neural.starting_encoder import StartingEncoder

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.networks import Encoder


class NetworkGenerator(Generator, OnDevice):
    """Emits the columns of a network that runs on a device.

    The torch network is built from the learned arrays when it is first needed, and never saved.
    """

    stochastic: ClassVar[bool] = True

    _network: Any = PrivateAttr(None)

    def _word_values(self) -> dict[str, int]:
        return {"width": len(self.names_out())}

    def refusal(self, panel: Panel) -> str:
        return self.no_device()

    def transform(self, block: Block) -> Float32:
        from numerai_lab.neural.networks import device_for, in_tiles

        device = device_for(self.device)
        if self._network is None:
            self._network = self._built(device)
        n_columns = len(self.names_out())
        return in_tiles(lambda cells: self._columns(cells, block), block.features, n_columns, device)

    @abstractmethod
    def _built(self, device: "torch.device") -> Any:
        """The network that `_columns` applies, built from the learned arrays."""

    @abstractmethod
    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        """The columns of some rows of a block. cells: the features of these rows."""


class EncoderGenerator(NetworkGenerator):
    """An encoder of standardised features: features → hidden layers with ReLU → columns."""

    n_components: int = Field(32, gt=0, le=4096, description="columns to emit")
    hidden: int = Field(256, gt=0, le=16384, description="width of the hidden layers")
    n_layers: int = Field(2, gt=0, le=8, description="hidden layers")

    @property
    def _shape(self) -> dict[str, int]:
        return {"hidden": self.hidden, "n_layers": self.n_layers}

    @property
    def _widths(self) -> list[int]:
        """The width of every layer, in order."""
        return [self.hidden] * self.n_layers + [self.n_components]

    @property
    def no_encoder(self) -> str:
        return "it learned from targets" if self.uses_labels else ""

    @property
    def encoder_widths(self) -> list[int]:
        return self._widths

    def starting_encoder(self) -> StartingEncoder:
        layers, selected = self._layers(), self.state().get("selected_")
        shape = {
            "form": "layers",
            "n_inputs": layers[0][0].shape[1],
            "selected": selected is not None,
            "widths": self._widths,
            "deep": self._emits_all_layers,
        }
        return StartingEncoder(shape, layers, selected)

    @property
    def _emits_all_layers(self) -> bool:
        """Whether all layers' activations are emitted, rather than the last layer's output."""
        return False

    def _encoder(self, panel: Panel, rng: np.random.Generator, n_in: int | None = None) -> "Encoder":
        """An untrained encoder. n_in: columns that it reads at a time, default all."""
        from numerai_lab.neural.networks import Encoder, generator_for
        from numerai_lab.neural.rows import column_moments

        init = generator_for(int(rng.integers(2**62)))
        moments = column_moments(panel, rng)
        return Encoder(moments, [n_in or panel.n_raw, *self._widths], init)

    def _learned(self, layers: Layers) -> Self:
        """Keeps the layers as learned arrays."""
        self._network = None
        keep_layers(self, layers)
        return self

    def _layers(self) -> list[tuple[Array, Array]]:
        return layers_in(self.state(), len(self._widths))

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.networks import Stack

        return Stack(self._layers(), device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        columns: torch.Tensor = self._network(cells.float())
        return columns


class TrainedGenerator(NetworkGenerator, Training):
    """Emits the columns of a trained network."""

    def refusal(self, panel: Panel) -> str:
        return self.no_training(panel)

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        hidden = [self._shape["hidden"]] * self._shape["n_layers"]
        widths = [n_columns, *hidden, len(self.names_out()), hidden[0], n_columns]  # what decodes has one hidden layer
        return super().fitting_bytes(n_rows, n_columns) + self.network_bytes(n_rows, widths)

    @property
    def checkpoints(self) -> float:
        return 2 * super().checkpoints  # of what decodes, too

    def saved_bytes(self, n_columns: int) -> int:
        return 4 * sum(before * after for before, after in pairwise(self._saved_widths(n_columns)))

    def _saved_widths(self, n_columns: int) -> list[int]:
        """The widths of the inputs and of every layer that is kept, in order."""
        return [n_columns, *[self._shape["hidden"]] * self._shape["n_layers"], len(self.names_out())]

    @property
    def untrained(self) -> dict[str, Any] | None:
        return {
            "kind": "random_encoder",
            "n_components": len(self.names_out()),
            **self._shape,
        }

    @property
    @abstractmethod
    def _shape(self) -> dict[str, int]:
        """Width and number of hidden layers of an encoder of about the size of this network."""
