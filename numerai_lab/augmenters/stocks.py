"""Rows by plain networks: from random features, moved along a gradient, or passed through a bottleneck."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from numerai_lab.augmenters.bins import rebinned
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.neural.settings import Training

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.stocks import RowNetwork

N_LAYERS = 2
"""Hidden layers of the networks of noise_to_stock and dream."""


def _known(panel: Panel) -> Panel:
    """The panel of eras in which a target is known."""
    return panel.only(panel.eras[panel.n_known > 0].tolist())


class Networked(Proportioned, Training):
    """Trains a network of features and target, whose outputs are ranked into the bins of the training rows."""

    _network: Any = PrivateAttr(None)

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Trains the network. Raises NlabError for eras that `refusal` refuses."""
        from numerai_lab.neural.networks import generator_for

        if message := self.refusal(panel):
            raise NlabError(message)
        panel = _known(panel)
        self._learn_proportions(panel, rng)
        self._network = None
        objective = self._objective(panel.n_raw, generator_for(int(rng.integers(2**62))))
        self._train(objective, panel, rng, context)
        for name, values in objective.arrays().items():
            setattr(self, name, values)
        return self

    def refusal(self, panel: Panel) -> str:
        return self.no_training(_known(panel))

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return self.network_bytes(n_rows, [n_columns, *self._hidden_widths, n_columns])

    def saved_bytes(self, n_columns: int) -> int:
        return 4 * sum(before * after for before, after in pairwise([n_columns, *self._hidden_widths, n_columns]))

    @property
    @abstractmethod
    def _hidden_widths(self) -> list[int]:
        """The widths of the network's hidden layers, in order."""

    @abstractmethod
    def _objective(self, n_features: int, init: "torch.Generator") -> "RowNetwork":
        """The untrained network."""

    def _ready(self) -> Any:
        """The trained network, on its device."""
        from numerai_lab.neural.networks import device_for, generator_for

        if self._network is None:
            network = self._objective(len(self.feature_values_), generator_for(0))
            network.load(self.state())
            self._network = network.to(device_for(self.device))
        return self._network


class NoiseToStock(Networked):
    """New eras from uniform random features, passed through a network that learned to restore real rows.

    A residual network with dropout learns to give back features and target of its input row. For a
    new era its inputs are random bins, with dropout still on. Its outputs crowd around the mean, so
    features and target are ranked within the era to the proportions of the training rows.

    Source: [preparedzebra, Numerai forum], synthetic stocks: dropout .5, targets weighing 10 times.
    """

    removed: ClassVar[Mapping[str, Any]] = {**Training.removed, "n_layers": N_LAYERS}

    control: ClassVar[Control] = Control(why="no published theory says where a network's answers to random features help")
    words: ClassVar[str] = "eras that a network makes from noise"
    kind: Literal["noise_to_stock"] = "noise_to_stock"
    invents_eras: ClassVar[bool] = True
    invents_rows: ClassVar[bool] = True

    hidden: int = Field(256, gt=0, le=16384, description="width of the network, of two residual layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="share of hidden units left out, while training and afterwards")
    target_weight: float = Field(10.0, gt=0, description="weight of the target's squared error, features weighing 1 together")

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        import torch

        from numerai_lab.neural.networks import generator_for

        network = self._ready()
        p, device = len(self.feature_values_), network.last.weight.device
        random_rows = rng.integers(5, size=(n_rows, p)).astype(np.float32) / 4 - np.float32(0.5)
        with torch.inference_mode():
            dropout = generator_for(int(rng.integers(2**62)), device)
            values = network(torch.from_numpy(random_rows).to(device), dropout).cpu().numpy()
        return self._era_of(values[:, :-1], values[:, -1], rng)

    @property
    def _hidden_widths(self) -> list[int]:
        return [self.hidden] * (2 * N_LAYERS + 1)

    def _objective(self, n_features: int, init: "torch.Generator") -> "RowNetwork":
        from numerai_lab.neural.stocks import NoiseToStockNetwork as Network

        rates = (self.dropout, self.target_weight)
        return Network(n_features, float(self.top_), (self.hidden, N_LAYERS), rates, init)


class Dream(Networked):
    """Real rows moved a little towards what excites a network trained on the target; the target is kept.

    Every step follows the gradient of the mean activation of the last hidden layer, divided by its
    standard deviation over the row's features, and is clipped to the features' range.

    Source: [nyuton, Numerai forum]: 5 steps of .01 for a sample of 5 % of the rows; DeepDream,
    Mordvintsev et al. 2015.
    """

    removed: ClassVar[Mapping[str, Any]] = {**Training.removed, "n_layers": N_LAYERS}

    control: ClassVar[Control] = Control(
        why="no published theory says where rows moved along a network's gradient help, their targets unchanged"
    )
    words: ClassVar[str] = "rows moved along the gradient of a network"
    kind: Literal["dream"] = "dream"

    ratio: float = Field(0.05, gt=0, le=1, description="size of a block as a share of the era's rows")
    hidden: int = Field(128, gt=0, le=16384, description="width of the two hidden layers")
    n_steps: int = Field(5, gt=0, le=1000, description="steps along the gradient")
    step: float = Field(0.01, gt=0, le=1, description="length of a step, on features of 0..1")
    rebin: bool = Field(False, description="round to the nearest bin")

    @property
    def between_bins(self) -> bool:
        return not self.rebin

    def refusal(self, panel: Panel) -> str:
        message = "dream: a step is the gradient over its standard deviation across features, and there is one feature only"
        return message if panel.n_raw < 2 else super().refusal(panel)

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        from numerai_lab.neural.networks import device_for, in_tiles

        network = self._ready()
        p, device = block.features.shape[1], device_for(self.device)
        dreamt = in_tiles(lambda x: network.dreamt(x, self.n_steps, self.step), block.unit() - np.float32(0.5), p, device)
        features = (dreamt + np.float32(0.5)) * np.float32(block.top)
        return replace(block, features=rebinned(features, block, rng) if self.rebin else features, columns={})

    @property
    def _hidden_widths(self) -> list[int]:
        return [self.hidden] * N_LAYERS

    def _objective(self, n_features: int, init: "torch.Generator") -> "RowNetwork":
        from numerai_lab.neural.stocks import Dreaming

        return Dreaming(n_features, float(self.top_), [self.hidden] * N_LAYERS, init)


class UNet(Networked):
    """An era's rows, restored by a network with a bottleneck and a bridge around it.

    Features are ranked within the era to the proportions of the training rows. The target is the
    row's own, or the prediction of the network's head, ranked likewise.

    Source: [nyuton, Numerai forum]: p → 128 → 16 → target; 16 → 128, beside the first 128, → p;
    losses weighing 1 : 3. U-Net: Ronneberger et al. 2015 (arXiv:1505.04597).
    """

    control: ClassVar[Control] = Control(
        why="no published theory says where rows that went through a bottleneck help beside the rows themselves"
    )
    words: ClassVar[str] = "rows restored by a network with a bottleneck"
    kind: Literal["unet"] = "unet"
    invents_rows: ClassVar[bool] = True

    wide: int = Field(128, gt=0, le=16384, description="width of the outer layers")
    narrow: int = Field(16, gt=0, le=4096, description="width of the bottleneck")
    target_weight: float = Field(1.0, gt=0, description="weight of the target's squared error")
    feature_weight: float = Field(3.0, gt=0, description="weight of the features' squared error")
    target: Literal["own", "head"] = Field("own", description="the row's own target, or the head's prediction, ranked")

    @property
    def whole_era(self) -> bool:
        return True

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        from numerai_lab.neural.networks import device_for, in_tiles

        x, p = block.unit() - np.float32(0.5), block.features.shape[1]
        values = in_tiles(self._ready(), x, p + 1, device_for(self.device))
        target = block.target if self.target == "own" else self._target(values[:, -1], rng)
        return replace(block, features=self._features(values[:, :-1]), target=target, columns={})

    @property
    def _hidden_widths(self) -> list[int]:
        return [self.wide, self.narrow, 2 * self.wide]

    def _objective(self, n_features: int, init: "torch.Generator") -> "RowNetwork":
        from numerai_lab.neural.stocks import UNetNetwork as Network

        weights = (self.target_weight, self.feature_weight)
        return Network(n_features, float(self.top_), (self.wide, self.narrow), weights, init)
