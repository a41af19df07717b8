"""Training objectives of denoising autoencoders: restore swapped cells, or predict masked ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.era_ranges import exact_share
from numerai_lab.neural.corruption import chosen_cells, swapped
from numerai_lab.neural.networks import Encoder, relu_net
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective

N_BINS = 5


class SwapDenoising(TrainingObjective):
    """Mean squared error of the standardised cells, predicted from cells of which a share was swapped within the era."""

    def __init__(self, encoder: Encoder, hidden: Sequence[int], share: float, init: torch.Generator) -> None:
        super().__init__()
        self.encoder, self.share = encoder, share
        self.decoder = decoder(encoder, hidden, 1, init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        cells, _ = swapped(batch, self.share, "era", noise)
        restored = self.decoder(self.encoder(cells))
        return functional.mse_loss(restored.float(), self.encoder.standard(batch.cells))


class MaskedModelling(TrainingObjective):
    """Cross-entropy of the bins of masked cells, predicted from the others; a masked cell holds its column's mean."""

    def __init__(self, encoder: Encoder, hidden: Sequence[int], share: float, init: torch.Generator) -> None:
        super().__init__()
        self.encoder, self.share = encoder, share
        self.decoder = decoder(encoder, hidden, N_BINS, init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        rows, columns = batch.cells.shape
        mask = chosen_cells(rows, columns, max(1, int(exact_share(self.share, columns))), noise)
        hidden = mask.nonzero()[:, 1].view(rows, -1)
        masked = self.encoder.standard(batch.cells).masked_fill_(mask, 0)
        logits = self.decoder(self.encoder.net(masked)).view(rows, N_BINS, columns)
        masked_logits = logits.gather(2, hidden[:, None].expand(-1, N_BINS, -1))
        # Not torch's own mean, which a GPU adds up in another order every time.
        return functional.cross_entropy(masked_logits.float(), bins(batch.cells.gather(1, hidden)), reduction="none").mean()


def decoder(encoder: Encoder, hidden: Sequence[int], outputs: int, init: torch.Generator) -> nn.Module:
    """Layers from the encoder's output over `hidden` to `outputs` a column; without `hidden`, a ReLU and one layer."""
    first, last = encoder.net[0], encoder.net[-1]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    layers = relu_net([last.out_features, *hidden, first.in_features * outputs], init)
    return layers if hidden else nn.Sequential(nn.ReLU(), layers)


def bins(cells: Tensor) -> Tensor:
    """Bins 0 to 4, int64: int8 cells are bins, continuous ones on 0..1 are cut into five equal parts."""
    if cells.is_floating_point():
        return (cells * N_BINS).long().clamp(0, N_BINS - 1)
    return cells.long()
