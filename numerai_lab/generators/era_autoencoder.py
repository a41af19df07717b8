"""preparedzebra's era-conditioned autoencoder, whose latents are emitted for the latest era."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from numerai_lab.core.arrays import Float32
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.neural import TrainedGenerator
from numerai_lab.neural.layer_state import keep_layers, layers_in
from numerai_lab.neural.starting_encoder import StartingEncoder

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.era import EraEncoder

N_LAYERS = {"frozen": 2, "layers": 3}
"""Layers of the frozen network and of the encoder."""
PRESETS: dict[str, dict[str, Any]] = {"cpu": {}, "original": {"hidden": 1000, "frozen_hidden": 100, "frozen_width": 1000}}


class EraAutoencoder(TrainedGenerator):
    """Twelve latents of an era-conditioned autoencoder, emitted as if every row were of the latest era.

    The encoder gets the features with dropout, the era's code (0 … levels − 1 over the eras of fit)
    and the output of a frozen random network (ReLU, then sigmoid; weights N(0, .05²)) on the whole
    features. It has two sigmoid layers and sigmoid latents; the decoder mirrors it and restores the
    features. So latents explain the part of a row that the era's code does not.

    Source: [preparedzebra, Numerai forum]. `preset: original` has the sizes of the post; defaults
    train on a CPU.
    """

    control: ClassVar[Control] = Control(why="no published theory says where latents without the era's part do better")
    words: ClassVar[str] = "{width} columns of an era-conditioned autoencoder"
    kind: Literal["era_autoencoder"] = "era_autoencoder"
    preset: Literal["cpu", "original"] = Field(
        "cpu", description="original: hidden 1000, frozen_hidden 100, frozen_width 1000 where these are not given"
    )
    emit: list[Literal["raw", "argmax", "onehot", "era"]] = Field(
        ["raw"],
        min_length=1,
        description="raw: the latents; argmax: which is largest, 0 …; onehot: the same as 0 and 1; era: the row's own era code, "
        "with the largest code after the last era of fit",
    )
    emit_era: Literal["max", "own"] = Field(
        "max",
        description="code that latents are computed with: the largest for every row, or its own (later eras: largest)",
    )
    mc_draws: int = Field(
        0,
        ge=0,
        le=1000,
        description="networks thinned by dropout whose latents are averaged; 0 = dropout off. The thinned networks are the same "
        "for every row",
    )
    n_components: int = Field(12, gt=1, le=4096, description="latents")
    hidden: int = Field(256, gt=0, le=16384, description="width of the two hidden layers of encoder and decoder")
    frozen_hidden: int = Field(100, gt=0, le=16384, description="width of the frozen network's ReLU layer")
    frozen_width: int = Field(256, gt=0, le=16384, description="width of the frozen network's sigmoid layer")
    dropout_input: float = Field(0.3, ge=0, lt=1, description="share of features that the encoder does not see while training")
    dropout_hidden: float = Field(0.2, ge=0, lt=1, description="share of hidden units left out while training")
    era_levels: int = Field(12, gt=1, description="codes are 0 … levels − 1 (12 in the author's code; his post says 0 … 12)")
    round: bool = Field(True, description="codes are whole numbers")
    eras_per_batch: int = Field(16, gt=0, le=1_000_000, description="eras that a batch is drawn from, evenly")
    held_out_eras: Literal["last", "spread"] = Field(
        "spread", description="spread: every tenth era is kept for early stopping, so that the largest code is learned from"
    )

    @model_validator(mode="before")
    @classmethod
    def _sizes_of_the_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {**PRESETS.get(str(values.get("preset")), {}), **values}

    @field_validator("emit")
    @classmethod
    def _each_once(cls, emit: list[str]) -> list[str]:
        if len(set(emit)) < len(emit):
            raise ValueError("names something twice")
        return emit

    @property
    def untrained(self) -> dict[str, Any] | None:
        return super().untrained if self.emit != ["era"] else None

    @property
    def no_encoder(self) -> str:
        if self.emit == ["era"]:
            return "emit: [era] trains no network"
        return "a model does not know a row's era; take emit_era: max" if self.emit_era == "own" else ""

    @property
    def encoder_widths(self) -> list[int]:
        return [self.frozen_hidden, self.frozen_width, self.hidden, self.hidden, self.n_components]

    def starting_encoder(self) -> StartingEncoder:
        state = self.state()
        frozen, layers = (layers_in(state, n, prefix=f"{name}_") for name, n in N_LAYERS.items())
        shape = {
            "form": "era",
            "n_inputs": frozen[0][0].shape[1],
            "selected": "selected_" in state,
            "top": float(self.top_),
            "frozen": [self.frozen_hidden, self.frozen_width],
            "hidden": self.hidden,
            "n_latent": self.n_components,
            "code": self.code(None),
        }
        constants = {f"{name}_{i}": pair[j] for i, pair in enumerate(frozen) for j, name in enumerate(("weights", "biases"))}
        return StartingEncoder(shape, layers, state.get("selected_"), constants)

    @property
    def _shape(self) -> dict[str, int]:
        return {"hidden": self.hidden, "n_layers": 2}

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        self.eras_ = np.array(panel.eras)
        if self.emit == ["era"]:
            return self  # the era's code needs no network
        from numerai_lab.neural.era import EraAutoencoding
        from numerai_lab.neural.networks import generator_for

        self._network = None
        self.top_ = np.array(panel.top)
        self.seed_ = np.array(rng.integers(2**62))
        encoder = self._encoder(panel.n_raw)
        codes = {era: self.code(era) for era in panel.eras.tolist()}
        self._train(EraAutoencoding(encoder, codes, generator_for(int(rng.integers(2**62)))), panel, rng, context)
        for name, pairs in encoder.arrays().items():
            keep_layers(self, pairs, prefix=f"{name}_")
        return self

    def transform(self, block: Block) -> Float32:
        if self.emit != ["era"]:
            return super().transform(block)
        return np.full((len(block), 1), self.code(block.era), np.float32)

    def names_out(self) -> list[str]:
        latents = range(1, self.n_components + 1)
        names = {
            "raw": [f"latent{i}" for i in latents],
            "argmax": ["argmax"],
            "onehot": [f"is{i}" for i in latents],
            "era": ["era"],
        }
        return [name for part in self.emit for name in names[part]]

    def code(self, era: int | None) -> float:
        """The code of an era by its place among the eras of fit; the largest for None and later eras."""
        last = len(self.eras_) - 1
        place = last if era is None else int(np.clip(np.searchsorted(self.eras_, era, side="right") - 1, 0, last))
        code = place * ((self.era_levels - 1) / max(1, last))
        return float(np.rint(code)) if self.round else code

    def _encoder(self, n_features: int) -> "EraEncoder":
        from numerai_lab.neural.era import EraEncoder, EraShape
        from numerai_lab.neural.networks import generator_for

        shape = EraShape(
            n_features=n_features,
            top=float(self.top_),
            frozen=(self.frozen_hidden, self.frozen_width),
            hidden=self.hidden,
            n_latent=self.n_components,
            drop_input=self.dropout_input,
            drop_hidden=self.dropout_hidden,
        )
        return EraEncoder(shape, generator_for(int(self.seed_)))

    def _built(self, device: "torch.device") -> Any:
        state = self.state()
        arrays = {name: layers_in(state, n, prefix=f"{name}_") for name, n in N_LAYERS.items()}
        n_features = arrays["frozen"][0][0].shape[1]
        return self._encoder(n_features).load(arrays).to(device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        from numerai_lab.neural.era import emitted, mean_of_draws

        code = self.code(None if self.emit_era == "max" else block.era)
        latents = mean_of_draws(self._network, cells, code, self.mc_draws, int(self.seed_))
        return emitted(latents, self.code(block.era), self.emit)
