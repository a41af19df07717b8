"""Training objectives of self-supervised encoders: an encoder that is kept, and heads that are discarded."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from numerai_lab.core.arrays import Int64
from numerai_lab.neural.corruption import Scope, swapped
from numerai_lab.neural.losses import barlow_twins, info_nce, sim_siam, standardised, vicreg
from numerai_lab.neural.networks import Encoder, linear, relu_net
from numerai_lab.neural.rows import RowBatch
from numerai_lab.neural.training import TrainingObjective

N_PROJECTORS = 6
PROJECTED = 32


@dataclass(frozen=True)
class EncoderFrame:
    """The parts that every method begins with: an untrained encoder, and the sizes of its heads.

    width, n_features: the columns that the encoder emits, and all features; hidden: width of heads;
    init: random stream of initial weights.
    """

    encoder: Encoder
    width: int
    n_features: int
    hidden: int
    init: torch.Generator


@dataclass(frozen=True)
class CellReplacement:
    """The corruption of views: a share of a row's cells is replaced by those of rows of its era or of any era."""

    share: float
    scope: Scope

    def view(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """The batch's cells with this share replaced."""
        return swapped(batch, self.share, self.scope, noise)[0]


class ContrastiveObjective(TrainingObjective):
    """An objective that trains the frame's encoder."""

    def __init__(self, frame: EncoderFrame) -> None:
        super().__init__()
        self.encoder = frame.encoder


class ViewObjective(ContrastiveObjective):
    """An objective on corrupted views of rows."""

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement) -> None:
        super().__init__(frame)
        self.replacement = replacement

    def view(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """A corrupted view of the batch's cells."""
        return self.replacement.view(batch, noise)


class ScarfObjective(ViewObjective):
    """InfoNCE between a row and its corrupted view (Bahri et al. 2022, arXiv:2106.15147)."""

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement, temperature: float) -> None:
        super().__init__(frame, replacement)
        self.temperature = temperature
        self.head = relu_net([frame.width, frame.hidden, frame.hidden], frame.init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        anchor, view = (self.head(self.encoder(cells)) for cells in (batch.cells, self.view(batch, noise)))
        return info_nce(anchor, view, self.temperature)


class EraObjective(ScarfObjective):
    """InfoNCE between two corrupted views of a row, against rows of its era only (this project)."""

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        first, second = (self.head(self.encoder(self.view(batch, noise))) for _ in range(2))
        return info_nce(first, second, self.temperature, batch.era)


class VimeObjective(ViewObjective):
    """Predicts changed cells and their values: cross-entropy + 2 · squared error (Yoon et al. 2020)."""

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement) -> None:
        super().__init__(frame, replacement)
        self.changed = linear(frame.width, frame.n_features, frame.init)
        self.restored = linear(frame.width, frame.n_features, frame.init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        view = self.view(batch, noise)
        hidden = self.encoder(view).relu()
        changed = functional.binary_cross_entropy_with_logits(self.changed(hidden).float(), (view != batch.cells).float())
        return changed + 2 * functional.mse_loss(self.restored(hidden).float(), self.encoder.standard(batch.cells))


class SubTabObjective(ViewObjective):
    """Restores all columns from each of several overlapping, corrupted subsets of them (Ucar et al. 2021)."""

    columns: Tensor

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement, columns: Int64) -> None:
        super().__init__(frame, replacement)
        self.register_buffer("columns", torch.from_numpy(columns))
        self.decoder = relu_net([frame.width, frame.hidden, frame.n_features], frame.init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        view, standard = self.encoder.standard(self.view(batch, noise)), self.encoder.standard(batch.cells)
        decoded = [self.decoder(self.encoder.net(view[:, chosen])) for chosen in self.columns]
        return torch.stack([functional.mse_loss(restored.float(), standard) for restored in decoded]).mean()


class VicRegObjective(ViewObjective):
    """Brings two corrupted views together, with every dimension spread and none correlated (Bardes, Ponce, LeCun 2022)."""

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement) -> None:
        super().__init__(frame, replacement)
        self.head = relu_net([frame.width, frame.hidden, frame.hidden], frame.init, norm=True)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        first, second = (self.head(self.encoder(self.view(batch, noise))) for _ in range(2))
        return vicreg(first, second)


class BarlowTwinsObjective(VicRegObjective):
    """Correlates two corrupted views dimension by dimension, and not across dimensions (Zbontar et al. 2021)."""

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        first, second = (self.head(self.encoder(self.view(batch, noise))) for _ in range(2))
        return barlow_twins(first, second)


class SimSiamObjective(ViewObjective):
    """Predicts a view's projection from the other view's; the predicted one gets no gradient (Chen, He 2021)."""

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement) -> None:
        super().__init__(frame, replacement)
        net = relu_net([frame.width, frame.hidden, frame.hidden], frame.init, norm=True)
        self.head = nn.Sequential(net, nn.BatchNorm1d(frame.hidden, affine=False))
        self.predictor = relu_net([frame.hidden, max(8, frame.hidden // 4), frame.hidden], frame.init, norm=True)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        first, second = (self.head(self.encoder(self.view(batch, noise))) for _ in range(2))
        return (sim_siam(self.predictor(first), second) + sim_siam(self.predictor(second), first)) / 2


class SwitchTabObjective(ViewObjective):
    """Restores a row from its salient half and either its own mutual half or that of another row.

    Wu et al. 2024 (arXiv:2401.02013).
    """

    def __init__(self, frame: EncoderFrame, replacement: CellReplacement) -> None:
        super().__init__(frame, replacement)
        self.mutual, self.salient = (linear(frame.width, frame.width, frame.init) for _ in range(2))
        self.decoder = linear(2 * frame.width, frame.n_features, frame.init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        encoded = self.encoder(self.view(batch, noise))
        order = torch.randperm(len(batch), generator=noise, device=noise.device)
        mutual, salient = self.mutual(encoded).sigmoid(), self.salient(encoded).sigmoid()
        standard = self.encoder.standard(batch.cells)
        own = self.decoder(torch.cat([mutual, salient], dim=1))
        switched = self.decoder(torch.cat([mutual[order], salient], dim=1))
        return functional.mse_loss(own.float(), standard) + functional.mse_loss(switched.float(), standard)


class RandomProjectorsObjective(ContrastiveObjective):
    """Predicts the outputs of frozen random networks: squared error of standardised outputs (Sui et al. 2024).

    The head is linear. The paper uses Barlow Twins' loss across the batch instead.
    """

    def __init__(self, frame: EncoderFrame) -> None:
        super().__init__(frame)
        nets = (relu_net([frame.n_features, frame.hidden, PROJECTED], frame.init) for _ in range(N_PROJECTORS))
        self.projectors = nn.ModuleList(nets).requires_grad_(False)
        self.head = linear(frame.width, N_PROJECTORS * PROJECTED, frame.init)

    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        standard = self.encoder.standard(batch.cells)
        with torch.no_grad():
            projected = standardised(torch.cat([projector(standard) for projector in self.projectors], dim=1).float())
        return functional.mse_loss(self.head(self.encoder.net(standard).relu()).float(), projected)
