"""`umap` with `mode: parametric`: an encoder trained on UMAP's own loss."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Block
from numerai_lab.core.progress import NO_CONTEXT, FitContext, sub_progress
from numerai_lab.generators.umap_base import LayoutParameters
from numerai_lab.generators.umap_graph import START_SECONDS, GraphUMAP
from numerai_lab.neural.layer_state import keep_layers, layers_in
from numerai_lab.neural.starting_encoder import StartingEncoder

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.umap_encoder import EncoderSchedule, ScoreEncoder
    from numerai_lab.neural.umap_graph import LandmarkSpace

SPREAD_COLUMNS = {"manhattan": 4, "hamming": 5}
"""Columns that rows are spread out to for each feature; one with other metrics. See `neural.neighbours.spread_out`."""
STEP_FLOPS, FORWARD_FLOPS = 15, 8
"""Measured costs of a training step and of a forward pass, per row and weight."""


class EncoderParameters(Component):
    """Parameters of the encoder and its training."""

    fit_on: Literal["train", "all", "per_era"] = Field(
        "train",
        description="eras whose features are learned from; all = validation features too (label-free, "
        "but transductive: every table says so); per_era (mode: parametric) = training eras, then "
        "each era's own rows for era_steps: columns keep their meaning but are repeatable for whole "
        "eras only",
    )
    era_steps: int = Field(
        50,
        gt=0,
        le=10_000_000,
        description="fit_on: per_era: training steps on an era's own graph, at a quarter of the rate",
    )
    hidden: int = Field(256, gt=0, le=16384, description="width of the encoder's hidden layers")
    n_layers: int = Field(2, gt=0, le=8, description="hidden layers")
    steps: int = Field(500, gt=0, description="training steps; the learning rate falls to 0 along a cosine")
    batch_size: int = Field(1024, ge=8, le=1_000_000, description="edges a step, drawn by their membership")
    warm_start: bool = Field(
        False,
        description="begin with half as many steps of regression on umap-learn's layout of the landmarks",
    )
    global_weight: float = Field(
        0.0,
        ge=0,
        description="weight of 1 − the correlation of distances between rows of a batch in columns and "
        "in principal scores; more of the whole shape, less of the neighbourhoods",
    )
    negatives: int = Field(256, gt=0, description="rows of a batch that each of its edges is pushed away from")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="of Adam, at its height")


class UMAPParametric(EncoderParameters, LayoutParameters, GraphUMAP):
    """Columns of an encoder trained on UMAP's cross-entropy between graph and columns.

    A row's columns do not depend on the rows that come with it, unless `fit_on` is per_era.

    Source: Sainburg, McInnes, Gentner 2021 (arXiv:2009.12981).
    """

    learned: ClassVar[str] = "curve_"

    mode: Literal["parametric"] = Field("parametric", description="an encoder")

    @property
    def no_encoder(self) -> str:
        return "fit_on: per_era trains an encoder for each era; take train or all" if self.fit_on == "per_era" else ""

    @property
    def encoder_widths(self) -> list[int]:
        return [self.principal, *[self.hidden] * self.n_layers, self.n_components]

    def starting_encoder(self) -> StartingEncoder:
        state = self.state()
        n_spread, n_principal = self.projection_.shape
        shape = {
            "form": "scores",
            "n_inputs": n_spread // SPREAD_COLUMNS.get(self.metric, 1),
            "selected": "selected_" in state,
            "metric": self.metric,
            "n_spread": n_spread,
            "n_principal": n_principal,
            "hidden": [self.hidden] * self.n_layers,
            "n_components": self.n_components,
        }
        constants = {"projection": self.projection_, "shift": self.shift_}
        return StartingEncoder(shape, self._layers(), state.get("selected_"), constants)

    @property
    def whole_era(self) -> bool:
        return self.fit_on == "per_era"

    def transform(self, block: Block) -> Float32:
        if self.fit_on == "per_era" and len(block) > self.n_neighbors:
            return self._trained_on_era(block)
        return super().transform(block)

    def seconds(self, n_fitted: int, n_rows: int, n_columns: int, flops: float) -> float:
        n = self._n_landmarks(n_fitted)
        fit = self._search_flops(n) + self._training_flops + 2 * n * n_columns**2
        a_row = FORWARD_FLOPS * (self.principal * n_columns + self._n_weights)
        return START_SECONDS + (fit + n_rows * a_row) / flops

    @property
    def _begins_with_layout(self) -> bool:
        return self.warm_start

    @property
    def _training_flops(self) -> float:
        return self.steps * 2 * self.batch_size * STEP_FLOPS * self._n_weights

    @property
    def _n_weights(self) -> int:
        inner = (self.n_layers - 1) * self.hidden
        return self.hidden * (self.principal + inner + self.n_components)

    def _share_of_search(self, n_landmarks: int) -> float:
        search = self._search_flops(n_landmarks)
        return search / (search + self._training_flops)

    def _learn(self, space: "LandmarkSpace", rng: np.random.Generator, context: FitContext) -> None:
        from numerai_lab.neural.umap_encoder import fit_layout, train
        from numerai_lab.neural.umap_graph import membership_curve

        context = replace(context, progress=sub_progress(context.progress, self._share_of_search(len(space.scores)), 1))
        self.seed_ = np.array(rng.integers(2**62))
        seed, encoder = int(self.seed_), self._encoder(space)
        if self.warm_start and context.load_checkpoint() is None:
            layout_seed = int(rng.integers(2**31 - 1))
            layout = space.layout(self.n_components, self.min_dist, self.n_epochs, layout_seed)
            warm_up = self._schedule(self.steps // 2, self.learning_rate)
            fit_layout(encoder, space.scores, layout, warm_up, seed)
        schedule = self._schedule(self.steps, self.learning_rate)
        membership = membership_curve(self.min_dist)
        self.curve_ = train(encoder, space, membership, schedule, seed, context)
        keep_layers(self, encoder.arrays())

    def _encoder(self, space: "LandmarkSpace") -> "ScoreEncoder":
        """An untrained encoder."""
        from numerai_lab.neural.networks import generator_for
        from numerai_lab.neural.umap_encoder import ScoreEncoder

        widths, init = [self.hidden] * self.n_layers, generator_for(int(self.seed_))
        encoder = ScoreEncoder(space.scores.shape[1], widths, self.n_components, init)
        return encoder.to(space.scores.device)

    def _schedule(self, steps: int, learning_rate: float) -> "EncoderSchedule":
        from numerai_lab.neural.umap_encoder import EncoderSchedule

        negatives = min(self.negatives, self.batch_size)
        return EncoderSchedule(steps, self.batch_size, negatives, learning_rate, self.global_weight)

    def _trained_on_era(self, block: Block) -> Float32:
        """Columns of the shared encoder after `era_steps` on this era's own graph."""
        import torch

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.umap_encoder import train
        from numerai_lab.neural.umap_graph import membership_curve, space_on

        cells, projection, shift = (
            torch.from_numpy(values).to(device_for(self.device))
            for values in (np.array(block.features), self.projection_, self.shift_)
        )
        space = space_on(projection, shift, cells, self.metric, self.n_neighbors)
        encoder = self._encoder(space)
        encoder.load(self._layers())
        schedule = self._schedule(self.era_steps, self.learning_rate / 4)
        train(encoder, space, membership_curve(self.min_dist), schedule, int(self.seed_), NO_CONTEXT)
        with torch.inference_mode():
            columns: Float32 = encoder(space.scores).cpu().numpy()
        return columns

    def _layers(self) -> list[tuple[Array, Array]]:
        """Hidden layers, the output layer, and the linear path beside them."""
        return layers_in(self.state(), self.n_layers + 2)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.umap_encoder import EncoderEmbedding

        return EncoderEmbedding(self._score_map(device), self._layers(), device)
