"""What generators with a network share: its shape, its training, and applying it to blocks. No torch at import."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from numerai_lab.basics import Aid, Array, Float32
from numerai_lab.generators.base import Generator
from numerai_lab.panel import Block, Panel

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.networks import Encoder
    from numerai_lab.neural.training import Objective


class Neural(Generator):
    """A network on a device; torch's form of the learned arrays is built when it is first needed, and never saved."""

    stochastic: ClassVar[bool] = True

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the network runs; auto = cuda where there is one")

    _network: Any = PrivateAttr(None)

    def transform(self, block: Block) -> Float32:
        from numerai_lab.neural.networks import device_for, in_tiles

        device = device_for(self.device)
        if self._network is None:
            self._network = self._built(device)
        return in_tiles(lambda cells: self._columns(cells, block), block.features, len(self.names_out()), device)

    @abstractmethod
    def _built(self, device: "torch.device") -> Any:
        """What `_columns` applies, made from the learned arrays."""

    @abstractmethod
    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        """The emitted columns of some rows of a block."""


class Encoding(Neural):
    """An encoder of standardised features: features → hidden layers with ReLU → columns."""

    n_components: int = Field(32, gt=0, le=4096, description="columns to emit")
    hidden: int = Field(256, gt=0, le=16384, description="width of the hidden layers")
    n_layers: int = Field(2, gt=0, le=8, description="hidden layers")

    @property
    def _widths(self) -> list[int]:
        """Of every layer."""
        return [self.hidden] * self.n_layers + [self.n_components]

    def _encoder(self, panel: Panel, rng: np.random.Generator, n_in: int | None = None) -> "Encoder":
        """An untrained encoder; n_in: columns it reads at a time, else all."""
        from numerai_lab.neural.networks import Encoder, generator_for
        from numerai_lab.neural.rows import column_moments

        init = generator_for(int(rng.integers(2**62)))
        return Encoder(column_moments(panel, rng), [n_in or panel.n_raw, *self._widths], init)

    def _learned(self, layers: list[tuple[Float32, Float32]]) -> Self:
        """Keeps the layers as learned arrays, under `weights_<layer>_` (out × in) and `biases_<layer>_`."""
        self._network = None
        for i, (weights, biases) in enumerate(layers):
            setattr(self, f"weights_{i}_", weights)
            setattr(self, f"biases_{i}_", biases)
        return self

    def _layers(self) -> list[tuple[Array, Array]]:
        state = self.state()
        return [(state[f"weights_{i}_"], state[f"biases_{i}_"]) for i in range(len(self._widths))]

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.networks import Stack

        return Stack(self._layers(), device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        columns: torch.Tensor = self._network(cells.float())
        return columns


class Trained(Neural):
    """Training on rows drawn from eras, early stopping on eras held out of those that fit was given."""

    batch_size: int = Field(1024, ge=8, le=1_000_000, description="rows a step")
    eras_per_batch: int = Field(4, gt=0, description="eras that a batch is drawn from, evenly; 1 = every batch from one era")
    max_steps: int = Field(2000, gt=0, description="steps at most; the learning rate falls to 0 along a cosine until there")
    epochs: float | None = Field(None, gt=0, description="passes over the rows at most, if that is fewer steps; none = no limit")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of AdamW, at the start")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    clip: float = Field(5.0, gt=0, description="largest norm of the gradient")
    held_out: float = Field(0.1, gt=0, le=0.5, description="share of the eras given to fit that is kept for early stopping")
    held_out_eras: Literal["last", "spread"] = Field(
        "last", description="last: the latest eras are held out; spread: every so manieth, so that the latest are learned from"
    )
    evaluate_every: int = Field(100, gt=0, description="steps between two looks at the held-out eras (and checkpoints)")
    patience: int = Field(5, gt=0, description="looks without improvement before it stops; the best weights are kept")

    def _train(self, objective: "Objective", panel: Panel, rng: np.random.Generator, aid: Aid) -> None:
        """Trains in place; `curve_` is the training curve: step, training loss, loss on held-out eras, float32."""
        from dataclasses import fields

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.training import Plan, train

        settings = {field.name: getattr(self, field.name) for field in fields(Plan)}
        plan = Plan(**(settings | {"eras_per_batch": self._batch_eras()}))
        self.curve_ = train(objective.to(device_for(self.device)), panel, plan, rng, aid)

    def _batch_eras(self) -> int:
        """Eras in a batch, where a method has no choice."""
        return self.eras_per_batch
