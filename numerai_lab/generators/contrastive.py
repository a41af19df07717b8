"""Self-supervised encoders: nine ways to learn a row's representation from its corrupted views."""

import math
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Int64
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.neural import EncoderGenerator, TrainedGenerator

if TYPE_CHECKING:
    import torch

CORRUPTION = {"scarf": 0.6, "vime": 0.3, "subtab": 0.15, "switchtab": 0.3, "lfr": 0.0}
"""The share of cells that each method replaces; the others, which compare two corrupted views, replace .3 in each."""


class Contrastive(EncoderGenerator, TrainedGenerator):
    """A row's representation by an encoder that learned what survives when cells of the row are replaced.

    scarf: find a row by its corrupted view (InfoNCE). vime: which cells changed, and what they were. subtab: all columns
    from each of four overlapping subsets; emits the mean over subsets. vicreg, barlow, simsiam: two views alike, without
    collapse. switchtab: rows come back when halves of representations are switched. lfr: what frozen random networks say
    of the row. era: two views of a row found among the rows of its era, every batch from one era. What is emitted is the
    encoder's output; heads are thrown away.

    Source: SCARF, Bahri et al. 2022 (arXiv:2106.15147); VIME, Yoon et al. 2020; SubTab, Ucar et al. 2021; VICReg, Bardes
    et al. 2022; Barlow Twins, Zbontar et al. 2021; SimSiam, Chen & He 2021; SwitchTab, Wu et al. 2024; LFR, Sui et al.
    2024; era: this project. Unlike the papers, replaced cells come from the same era unless `draws_from` says otherwise.
    """

    kind: Literal["contrastive"] = "contrastive"
    method: Literal["scarf", "vime", "subtab", "vicreg", "barlow", "simsiam", "switchtab", "lfr", "era"] = Field(
        "scarf", description="what is learned from"
    )
    corruption: float | None = Field(
        None,
        ge=0,
        le=1,
        description="share of cells replaced in a view; none = the method's own: scarf .6, vime and switchtab .3, subtab .15, "
        "lfr 0, the others .3 in both views",
    )
    draws_from: Literal["era", "global"] = Field(
        "era", description="where replaced cells come from: other rows of the batch in the same era, or of any era (the papers)"
    )
    temperature: float = Field(
        0.1,
        gt=0,
        le=10,
        description="of InfoNCE (scarf, era); the paper's is 1.0, which tells less of planted factors in binned data",
    )
    subsets: int = Field(4, gt=1, le=32, description="subtab: subsets of columns")
    overlap: float = Field(0.75, ge=0, le=1, description="subtab: by how much of its size a subset reaches into its neighbour")

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        from numerai_lab.neural.contrastive import OBJECTIVES, Frame, SubTab
        from numerai_lab.neural.networks import generator_for

        subsets = self._subsets(panel.n_raw, rng) if self.method == "subtab" else None
        encoder = self._encoder(panel, rng, None if subsets is None else subsets.shape[1])
        frame = Frame(
            encoder=encoder,
            width=self.n_components,
            n_features=panel.n_raw,
            hidden=self.hidden,
            corruption=CORRUPTION.get(self.method, 0.3) if self.corruption is None else self.corruption,
            scope=self.draws_from,
            temperature=self.temperature,
            init=generator_for(int(rng.integers(2**62))),
        )
        self._train(OBJECTIVES[self.method](frame) if subsets is None else SubTab(frame, subsets), panel, rng, context)
        if subsets is None:
            return self._learned(encoder.stack())
        self.subsets_ = subsets
        firsts = [encoder.stack(columns)[0] for columns in subsets]
        weights, biases = (np.stack(parts) for parts in zip(*firsts, strict=True))
        return self._learned([(weights, biases), *encoder.stack(subsets[0])[1:]])

    def names_out(self) -> list[str]:
        return [f"{self.method}{i + 1}" for i in range(self.n_components)]

    def _batch_eras(self) -> int:
        return 1 if self.method == "era" else super()._batch_eras()

    def _subsets(self, n_columns: int, rng: np.random.Generator) -> Int64:
        """Columns of each subset: neighbours in a random order, subset by subset, all of one size."""
        order = rng.permutation(n_columns)
        width = min(n_columns, max(1, math.ceil(n_columns / self.subsets * (1 + self.overlap))))  # or some would be in none
        starts = np.rint(np.linspace(0, n_columns - width, self.subsets)).astype(int)
        return np.stack([order[start : start + width] for start in starts]).astype(np.int64)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.networks import Stack, SubsetStacks

        if self.method != "subtab":
            return super()._built(device)
        (weights, biases), *rest = self._layers()
        stacks = [Stack([(weights[i], biases[i]), *rest], device) for i in range(self.subsets)]
        return SubsetStacks(stacks, self.subsets_, device)
