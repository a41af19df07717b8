"""Denoising autoencoders, and the placebo of all networks: the same encoder without training."""

from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.neural import EncoderGenerator, TrainedGenerator

if TYPE_CHECKING:
    import torch


class Autoencoder(EncoderGenerator, TrainedGenerator):
    """Activations of a denoising autoencoder's hidden layers.

    swap: a share of a row's cells is replaced by those of other rows of the era, and the network
    restores the row (squared error of standardised features). masked: a share of the cells is
    hidden, and the network predicts which of the five bins they are in (cross-entropy). Training
    stops early on held-out eras.

    Source: [danzell, gbrecht, Numerai forum]; Vincent et al. 2008; swap noise: Michael Jahrer,
    Porto Seguro 2017; masked values: BERT, Devlin et al. 2019 (arXiv:1810.04805). danzell adds such
    columns to every model; gbrecht found models on such columns alone very bad.
    """

    control: ClassVar[Control] = Control(
        "clusters",
        "a bottleneck keeps what many features share, which here is the cluster that decides the target",
        "Singh, Nowak & Zhu 2008 (cluster assumption)",
    )
    words: ClassVar[str] = "{width} columns of a denoising autoencoder"
    kind: Literal["autoencoder"] = "autoencoder"
    objective: Literal["swap", "masked"] = Field(
        "swap", description="swap: undo swapped cells; masked: name the hidden cells' bins"
    )
    noise: float = Field(0.15, gt=0, lt=1, description="share of a row's cells that is swapped or hidden while training")
    emit: Literal["bottleneck", "deep_stack"] = Field(
        "bottleneck",
        description="bottleneck: the n_components of the narrowest layer; deep_stack: a network without bottleneck, and all "
        "n_layers × hidden activations",
    )

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        from numerai_lab.neural.denoising import MaskedModelling, SwapDenoising
        from numerai_lab.neural.networks import generator_for

        objectives = {"swap": SwapDenoising, "masked": MaskedModelling}
        narrow = [self.hidden] * (self.emit == "bottleneck")
        encoder = self._encoder(panel, rng)
        objective = objectives[self.objective](encoder, narrow, self.noise, generator_for(int(rng.integers(2**62))))
        self._train(objective, panel, rng, context)
        return self._learned(encoder.stack())

    def names_out(self) -> list[str]:
        if self.emit == "bottleneck":
            return [f"code{i + 1}" for i in range(self.n_components)]
        return [f"layer{i + 1}_{j + 1}" for i in range(self.n_layers) for j in range(self.hidden)]

    @property
    def _widths(self) -> list[int]:
        return super()._widths if self.emit == "bottleneck" else [self.hidden] * self.n_layers

    @property
    def _emits_all_layers(self) -> bool:
        return self.emit == "deep_stack"

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        if self.emit == "bottleneck":
            return super()._columns(cells, block)
        columns: torch.Tensor = self._network.all_activations(cells.float())
        return columns


class RandomEncoder(EncoderGenerator):
    """Columns of an encoder with random weights, never trained: the placebo of every network.

    It learns only the mean and standard deviation of each feature. Where a trained encoder is no
    better than this, its training has no effect.

    Source: this project.
    """

    control: ClassVar[Control] = Control(why="it is a placebo")
    words: ClassVar[str] = "{width} columns of an untrained network"
    kind: Literal["random_encoder"] = "random_encoder"

    @property
    def no_encoder(self) -> str:
        return "its weights are random; take a trained encoder, or start_weights: random"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        return self._learned(self._encoder(panel, rng).stack())

    def names_out(self) -> list[str]:
        return [f"random{i + 1}" for i in range(self.n_components)]
