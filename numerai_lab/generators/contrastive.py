"""`contrastive`: a row's representation learned from its corrupted views, by nine methods."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Int64
from numerai_lab.core.component import Component
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.neural import EncoderGenerator, TrainedGenerator

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.contrastive import CellReplacement, ContrastiveObjective, EncoderFrame


class ContrastiveBase(EncoderGenerator, TrainedGenerator):
    """A row's representation by an encoder that was trained on views of rows with replaced cells.

    The encoder's output is emitted; heads are discarded. Replaced cells come from rows of the same
    era unless `draws_from` says otherwise; in the papers they come from any row.

    Source: SCARF, Bahri et al. 2022 (arXiv:2106.15147); VIME, Yoon et al. 2020; SubTab, Ucar et al.
    2021; VICReg, Bardes et al. 2022; Barlow Twins, Zbontar et al. 2021; SimSiam, Chen & He 2021;
    SwitchTab, Wu et al. 2024; LFR, Sui et al. 2024; era: this project.
    """

    chosen_by: ClassVar[str] = "method"

    control: ClassVar[Control] = Control(
        "clusters", "views of a row agree in its cluster and in little else", "HaoChen, Wei, Gaidon & Ma 2021"
    )
    words: ClassVar[str] = "{n_components} columns of a contrastive encoder ({method})"
    kind: Literal["contrastive"] = "contrastive"
    method: str

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        frame = self._frame(panel, rng)
        self._train(self._objective(frame), panel, rng, context)
        return self._learned(frame.encoder.stack())

    def names_out(self) -> list[str]:
        return [f"{self.method}{i + 1}" for i in range(self.n_components)]

    def _frame(self, panel: Panel, rng: np.random.Generator, n_in: int | None = None) -> "EncoderFrame":
        """An untrained encoder and the sizes of its heads; n_in: columns it reads, default all."""
        from numerai_lab.neural.contrastive import EncoderFrame
        from numerai_lab.neural.networks import generator_for

        return EncoderFrame(
            encoder=self._encoder(panel, rng, n_in),
            width=self.n_components,
            n_features=panel.n_raw,
            hidden=self.hidden,
            init=generator_for(int(rng.integers(2**62))),
        )

    @abstractmethod
    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        """The training objective of the frame's encoder."""


def _replaced(usual: float, where: str = "a view") -> Any:
    """The parameter `corruption` of a method that replaces this share of cells by default."""
    return Field(None, ge=0, le=1, description=f"share of cells replaced in {where}; none = {usual:g}")


class CorruptingContrastive(ContrastiveBase):
    """A method that replaces cells of rows."""

    usual_corruption: ClassVar[float]

    corruption: float | None = None
    draws_from: Literal["era", "global"] = Field(
        "era",
        description="where replaced cells come from: other rows of the batch in the same era, or of any era (the papers)",
    )

    @property
    def _replacement(self) -> "CellReplacement":
        from numerai_lab.neural.contrastive import CellReplacement

        share = self.usual_corruption if self.corruption is None else self.corruption
        return CellReplacement(share, self.draws_from)


class InfoNCEContrastive(CorruptingContrastive):
    """A method that finds a row's view among views of other rows."""

    temperature: float = Field(
        0.1,
        gt=0,
        le=10,
        description="of InfoNCE; with the paper's 1.0, columns follow planted factors in binned data less",
    )


class Scarf(InfoNCEContrastive):
    """Find a row by its corrupted view (InfoNCE).

    Source: SCARF, Bahri et al. 2022 (arXiv:2106.15147).
    """

    usual_corruption: ClassVar[float] = 0.6

    method: Literal["scarf"] = Field("scarf", description="training objective")
    corruption: float | None = _replaced(usual_corruption)

    @classmethod
    def algorithms(cls) -> Mapping[str, type[Component]]:
        return {
            "scarf": cls,
            "vime": Vime,
            "subtab": SubTab,
            "vicreg": VicReg,
            "barlow": BarlowTwins,
            "simsiam": SimSiam,
            "switchtab": SwitchTab,
            "lfr": LearnedFromRandomness,
            "era": EraContrastive,
        }

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import ScarfObjective

        return ScarfObjective(frame, self._replacement, self.temperature)


class EraContrastive(InfoNCEContrastive):
    """Find a row by two corrupted views among the rows of its era; every batch is from one era.

    Source: this project.
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["era"] = Field("era", description="training objective")
    corruption: float | None = _replaced(usual_corruption, "both views")
    eras_per_batch: int = Field(4, gt=0, le=1_000_000, description="not read: a batch is of one era")

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import EraObjective

        return EraObjective(frame, self._replacement, self.temperature)

    def _batch_eras(self) -> int:
        return 1


class Vime(CorruptingContrastive):
    """Predict which cells changed, and their values.

    Source: VIME, Yoon et al. 2020.
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["vime"] = Field("vime", description="training objective")
    corruption: float | None = _replaced(usual_corruption)

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import VimeObjective

        return VimeObjective(frame, self._replacement)


class VicReg(CorruptingContrastive):
    """Bring two views near each other: every dimension spread, none correlated.

    Source: VICReg, Bardes et al. 2022.
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["vicreg"] = Field("vicreg", description="training objective")
    corruption: float | None = _replaced(usual_corruption, "both views")

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import VicRegObjective

        return VicRegObjective(frame, self._replacement)


class BarlowTwins(CorruptingContrastive):
    """Make two views correlated dimension by dimension, and not across dimensions.

    Source: Barlow Twins, Zbontar et al. 2021.
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["barlow"] = Field("barlow", description="training objective")
    corruption: float | None = _replaced(usual_corruption, "both views")

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import BarlowTwinsObjective

        return BarlowTwinsObjective(frame, self._replacement)


class SimSiam(CorruptingContrastive):
    """Predict one view's projection from the other's, which gets no gradient.

    Source: SimSiam, Chen & He 2021.
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["simsiam"] = Field("simsiam", description="training objective")
    corruption: float | None = _replaced(usual_corruption, "both views")

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import SimSiamObjective

        return SimSiamObjective(frame, self._replacement)


class SwitchTab(CorruptingContrastive):
    """Restore rows after halves of their representations are switched.

    Source: SwitchTab, Wu et al. 2024 (arXiv:2401.02013).
    """

    usual_corruption: ClassVar[float] = 0.3

    method: Literal["switchtab"] = Field("switchtab", description="training objective")
    corruption: float | None = _replaced(usual_corruption)

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import SwitchTabObjective

        return SwitchTabObjective(frame, self._replacement)


class LearnedFromRandomness(ContrastiveBase):
    """Predict the outputs of frozen random networks; no cell is replaced.

    Source: LFR, Sui et al. 2024.
    """

    method: Literal["lfr"] = Field("lfr", description="training objective")

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import RandomProjectorsObjective

        return RandomProjectorsObjective(frame)


class SubTab(CorruptingContrastive):
    """Restore all columns from each of several overlapping subsets; emits the mean over subsets.

    Source: SubTab, Ucar et al. 2021.
    """

    usual_corruption: ClassVar[float] = 0.15

    method: Literal["subtab"] = Field("subtab", description="training objective")
    corruption: float | None = _replaced(usual_corruption)
    subsets: int = Field(4, gt=1, le=32, description="subsets of columns")
    overlap: float = Field(0.75, ge=0, le=1, description="share of its size that a subset reaches into its neighbour")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.subsets_ = self._subsets(panel.n_raw, rng)
        frame = self._frame(panel, rng, self.subsets_.shape[1])
        self._train(self._objective(frame), panel, rng, context)
        firsts = [frame.encoder.stack(columns)[0] for columns in self.subsets_]
        weights, biases = (np.stack(parts) for parts in zip(*firsts, strict=True))
        return self._learned([(weights, biases), *frame.encoder.stack(self.subsets_[0])[1:]])

    def _subsets(self, n_columns: int, rng: np.random.Generator) -> Int64:
        """Columns of each subset: neighbours in a random order, all subsets of one size."""
        order = rng.permutation(n_columns)
        wanted = math.ceil(n_columns / self.subsets * (1 + self.overlap))
        width = min(n_columns, max(1, wanted))  # rounded up: every column is in a subset
        starts = np.rint(np.linspace(0, n_columns - width, self.subsets)).astype(int)
        return np.stack([order[start : start + width] for start in starts]).astype(np.int64)

    @property
    def no_encoder(self) -> str:
        return "its columns are means over encoders of subsets of the features; take another method"

    def _objective(self, frame: "EncoderFrame") -> "ContrastiveObjective":
        from numerai_lab.neural.contrastive import SubTabObjective

        return SubTabObjective(frame, self._replacement, self.subsets_)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.networks import Stack, SubsetStacks

        (weights, biases), *rest = self._layers()
        stacks = [Stack([(weights[i], biases[i]), *rest], device) for i in range(self.subsets)]
        return SubsetStacks(stacks, self.subsets_, device)
