"""Networks that learn from targets: Yirun Zhang's supervised autoencoder, and nyuton's Siamese net."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from numerai_lab.core.arrays import Float32, Float64, Int64
from numerai_lab.core.control import Control
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.labelled import Labelled
from numerai_lab.generators.neural import EncoderGenerator, TrainedGenerator
from numerai_lab.neural.layer_state import keep_layers, layers_in

if TYPE_CHECKING:
    import torch

PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "original": {"n_components": 96, "hidden": [896, 448, 448, 256], "batch_size": 4096},
}
BOUNDS = (0.05, 0.25, 0.75, 0.95)
"""Ranks within the era that separate five groups of targets, in the proportions of Numerai's five values."""
CENTRE_ROWS = 50_000


class SupervisedAutoencoder(Labelled, TrainedGenerator):
    """The prediction or the latents of a network that restores the features and predicts the target.

    x0 = batch norm of x; latents z = swish of a layer over x0 with noise. Three heads restore the
    features from z, predict the target from these, and predict the target from [x0, z] through
    hidden layers with batch norm, swish and dropout. The loss is the sum of their squared errors;
    early stopping uses that of the last. Columns are computed without noise and dropout.

    `data.auxiliary_targets` are learned beside the target, on rows whose target is known: both
    target heads predict all of them, and errors are means over the known ones. The emitted
    prediction is that of the target.

    Source: Yirun Zhang, Kaggle Jane Street 2021, first place; ported to Numerai by jrai. `preset:
    original` has his sizes; the defaults train on a CPU.
    """

    several_targets: ClassVar[bool] = True

    control: ClassVar[Control] = Control(
        why="no published theory says where a network's prediction, beside the same features, helps trees"
    )
    words: ClassVar[str] = "the {emit} of a supervised autoencoder"
    kind: Literal["supervised_autoencoder"] = "supervised_autoencoder"
    preset: Literal["cpu", "original"] = Field(
        "cpu", description="original: n_components 96, hidden 896 448 448 256, batch_size 4096 where these are not given"
    )
    emit: Literal["prediction", "latent"] = Field(
        "prediction", description="prediction: one column, of the target; latent: n_components columns, with scheme: early only"
    )
    n_components: int = Field(32, gt=0, le=4096, description="latents")
    hidden: list[int] = Field(
        [256, 128, 128, 64], min_length=1, description="widths of the hidden layers over features and latents"
    )
    dropout: list[float] = Field([0.4, 0.3, 0.25, 0.4], min_length=1, description="of each hidden layer")
    noise: float = Field(
        0.035, ge=0, le=10, description="standard deviation of noise on normed features; also dropout of latents"
    )
    dropout_input: float = Field(0.1, ge=0, lt=1, description="of features and latents together")
    dropout_auxiliary: float = Field(0.4, ge=0, lt=1, description="of the layer that predicts the target from the reconstruction")
    max_steps: int = Field(
        1000, gt=0, le=10_000_000, description="steps at most; the learning rate falls to 0 along a cosine until there"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="of AdamW; 0 = Adam, as the author had it")

    @model_validator(mode="before")
    @classmethod
    def _sizes_of_the_preset(cls, values: Any) -> Any:
        return {**PRESETS.get(str(values.get("preset")), {}), **values} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _a_rate_a_layer(self) -> Self:
        if len(self.dropout) != len(self.hidden) or not all(0 <= rate < 1 for rate in self.dropout) or min(self.hidden) < 1:
            raise ValueError(f"hidden has {len(self.hidden)} widths > 0, so dropout wants as many rates of 0 to 1")
        return self

    @property
    def comparable(self) -> bool:
        return self.emit == "prediction"

    def _saved_widths(self, n_columns: int) -> list[int]:
        return [n_columns + self.n_components, *self.hidden, 1]

    @property
    def _shape(self) -> dict[str, int]:
        if self.emit == "latent":  # these come from one layer; an encoder has two at least
            return {"hidden": self.n_components, "n_layers": 1}
        return {"hidden": self.hidden[0], "n_layers": min(8, len(self.hidden))}

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        from numerai_lab.neural.networks import generator_for
        from numerai_lab.neural.supervised import SupervisedAutoencoding, SupervisedShape

        shape = SupervisedShape(
            n_features=panel.n_raw,
            top=panel.top,
            n_latent=self.n_components,
            hidden=tuple(self.hidden),
            noise=self.noise,
            drop_latent=min(self.noise, 0.5),
            drop_input=self.dropout_input,
            drop_auxiliary=self.dropout_auxiliary,
            drops=tuple(self.dropout),
            n_targets=1 + len(panel.auxiliary),
        )
        objective = SupervisedAutoencoding(shape, generator_for(int(rng.integers(2**62))))
        self._network = None
        self._train(objective, panel, rng, context)
        self.encoding_weights_, self.encoding_biases_ = objective.encoding()
        keep_layers(self, objective.prediction() if self.emit == "prediction" else [])
        return self

    def names_out(self) -> list[str]:
        return ["prediction"] if self.emit == "prediction" else [f"latent{i + 1}" for i in range(self.n_components)]

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.supervised import Supervised

        state = self.state()
        n_layers = len(self.hidden) + 1 if self.emit == "prediction" else 0
        prediction = layers_in(state, n_layers)
        return Supervised(state["encoding_weights_"], state["encoding_biases_"], prediction, device)

    def _columns(self, cells: "torch.Tensor", block: Block) -> "torch.Tensor":
        output = self._network.predicted if self.emit == "prediction" else self._network.latents
        columns: torch.Tensor = output(cells.float())
        return columns


class Siamese(Labelled, EncoderGenerator, TrainedGenerator):
    """Distances of a row's embedding to five centres, from rows with low targets to rows with high ones.

    The encoder is trained so that distances between rows of an era are those of their targets:
    (|f(x) − f(x')| − scale · |y − y'|)² over all pairs. The centres are mean embeddings of rows
    whose target was among the lowest 5 % of their era, the next 20, 50, 20 and 5 %. `emit: latent`
    emits the embedding itself, whose axes mean something else in every fit.

    Source: [nyuton, Numerai forum]; Hadsell, Chopra, LeCun 2006 for Siamese networks. The centres
    are this project's.
    """

    control: ClassVar[Control] = Control(why="no published theory says where distances learned from targets help trees")
    words: ClassVar[str] = "the {emit} of a siamese network"
    kind: Literal["siamese"] = "siamese"
    emit: Literal["distances", "latent"] = Field(
        "distances", description="distances: five columns; latent: n_components columns, with scheme: early only"
    )
    scale: float = Field(1.0, gt=0, le=1000, description="distance of two rows whose targets differ by 1")
    max_steps: int = Field(
        1000, gt=0, le=10_000_000, description="steps at most; the learning rate falls to 0 along a cosine until there"
    )

    @property
    def comparable(self) -> bool:
        return self.emit == "distances"

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        from numerai_lab.neural.supervised import SiameseDistances

        encoder = self._encoder(panel, rng)
        self._train(SiameseDistances(encoder, self.scale), panel, rng, context)
        self._learned(encoder.stack())
        if self.emit == "distances":
            self.centres_ = self._centres(panel, rng)
        return self

    def names_out(self) -> list[str]:
        if self.emit == "latent":
            return [f"latent{i + 1}" for i in range(self.n_components)]
        return [f"distance{i + 1}" for i in range(len(BOUNDS) + 1)]

    def _centres(self, panel: Panel, rng: np.random.Generator) -> Float32:
        """Mean embeddings of the five groups of targets, groups × components; for an empty group that of all rows.

        They come from about 50,000 rows, the same number per era.
        """
        from numerai_lab.neural.networks import device_for, in_tiles

        device = device_for(self.device)
        stack, share = super()._built(device), -(-CENTRE_ROWS // len(panel.eras))
        sums, counts = np.zeros((len(BOUNDS) + 1, self.n_components)), np.zeros(len(BOUNDS) + 1, np.int64)
        for block in panel.blocks():
            assert block.target is not None
            rows = np.flatnonzero(np.isfinite(block.target))
            rows = np.sort(rng.choice(rows, size=min(share, len(rows)), replace=False))
            places = in_tiles(lambda cells: stack(cells.float()), block.features[rows], self.n_components, device)
            groups = _groups(block.target[rows].astype(np.float64))
            np.add.at(sums, groups, places.astype(np.float64))
            counts += np.bincount(groups, minlength=len(counts))
        means = np.where(counts[:, None] > 0, sums / np.maximum(1, counts)[:, None], sums.sum(0) / max(1, counts.sum()))
        return means.astype(np.float32)

    def _built(self, device: "torch.device") -> Any:
        from numerai_lab.neural.supervised import Places

        return Places(super()._built(device), self.state().get("centres_"), device)


def _groups(target: Float64) -> Int64:
    """The group, 0 to 4, of each target of an era, by its mean rank."""
    from scipy.stats import rankdata

    return np.searchsorted(BOUNDS, (rankdata(target) - 0.5) / max(1, len(target))).astype(np.int64)
