"""A network that predicts and begins with the encoder of a generator."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Float64
from numerai_lab.neural.networks import linear
from numerai_lab.neural.predictors import Dropout, PredictionNetwork, Trunk
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.starting_encoder import StartingEncoder
from numerai_lab.neural.trunks import EncoderTrunk, trunk_of

Finetune = Literal["all", "head", "gradual"]


class StartedNetwork(PredictionNetwork):
    """Members that are networks of their own: encoder → its columns, standardised → hidden layers → head.

    centre, unit: mean, and 1 / standard deviation, of each member's encoder columns before training; members × columns.
    """

    centre: Tensor
    unit: Tensor

    def __init__(
        self,
        moments: tuple[Float64, Float64],
        shape: Mapping[str, Any],
        hidden: Sequence[int],
        members: int,
        init: torch.Generator,
    ) -> None:
        """shape: of the encoder, see `StartingEncoder`."""
        super().__init__(moments, members)
        self.encoders = nn.ModuleList(trunk_of(shape, init) for _ in range(members))
        width = self._encoders[0].width
        self.trunks = nn.ModuleList(Trunk([width, *hidden], init) for _ in range(members))
        self.heads = nn.ModuleList(linear([width, *hidden][-1], 1, init) for _ in range(members))
        self.register_buffer("centre", torch.zeros(members, width))
        self.register_buffer("unit", torch.ones(members, width))
        self.finetune: Finetune = "all"
        self.epochs, self.steps_an_epoch = 1, 1

    def forward(self, x: Tensor, dropout: Dropout | None = None) -> Tensor:
        parts = zip(self.encoders, self.trunks, self.heads, self.centre, self.unit, strict=True)
        outputs = [head(trunk((encoder(x) - centre) * unit, dropout)) for encoder, trunk, head, centre, unit in parts]
        return torch.cat(outputs, dim=1)

    def begin(self, encoder: StartingEncoder, learned: bool, sample: Sequence[RowBatch]) -> None:
        """Takes over the encoder, and where `learned` its weights; then standardises its columns by a sample of rows."""
        mean, scale = (values.cpu().double().numpy() for values in (self.mean, self.scale))
        deviation = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
        for own in self._encoders:
            own.begin(encoder, (mean, deviation), learned)
        with torch.no_grad():
            for i, own in enumerate(self._encoders):
                columns = torch.cat([own(self.standard(batch.cells)) for batch in sample]).double()
                spread = columns.std(0, unbiased=False)
                self.centre[i].copy_(columns.mean(0))
                self.unit[i].copy_(torch.where(spread > 1e-6, 1 / spread, 1.0))

    def finetuned(self, how: Finetune, epochs: int, steps_an_epoch: int) -> None:
        """Sets which layers of the encoder learn, and when.

        all: all, always; head: none; gradual: none in the first epoch, then from the last layer on
        one more each epoch, or as many more as it takes for the first layer to learn in the last epoch
        (Howard & Ruder 2018, ULMFiT, arXiv:1801.06146).
        """
        self.finetune, self.epochs, self.steps_an_epoch = how, epochs, steps_an_epoch
        if how == "head":
            self._thaw(0)

    def begin_step(self, step: int) -> None:
        if self.finetune == "gradual":
            n_stages, epoch = len(self._encoders[0].stages), step // self.steps_an_epoch
            self._thaw(max(epoch, -(-epoch * n_stages // max(1, self.epochs - 1))))

    @property
    def _encoders(self) -> list[EncoderTrunk]:
        return [encoder for encoder in self.encoders if isinstance(encoder, EncoderTrunk)]

    def _thaw(self, n_stages: int) -> None:
        """Lets the last stages of every encoder learn, and no others."""
        for encoder in self._encoders:
            for place, stage in enumerate(reversed(encoder.stages)):
                for layer in stage:
                    layer.requires_grad_(place < n_stages)
