"""Networks that predict the target: a multilayer perceptron, and TabM's ensemble of them. No torch at import."""

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr, field_validator, model_validator

from numerai_lab.core.arrays import Float32, Float64, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models.base import Model
from numerai_lab.models.starting import LEARNED, StartingModel
from numerai_lab.neural.settings import CLIP, WEIGHT_COPIES, OnDevice

if TYPE_CHECKING:
    import torch

    from numerai_lab.neural.predictors import PredictionNetwork
    from numerai_lab.neural.stream_batches import StreamBatches


class NetworkModel(Model, OnDevice):
    """Parameters and training of all networks; a subclass says what the network is."""

    hidden: list[int] = Field([1024, 512, 256], min_length=1, max_length=32, description="widths of the hidden layers")
    members: int = Field(1, gt=0, le=256, description="networks whose predictions are averaged")
    loss: Literal["era_corr", "numerai_corr", "mse"] = Field(
        "era_corr",
        description="of an era's rows. era_corr: 1 - Pearson correlation; numerai_corr: 1 - Numerai's corr, with predictions "
        "standardised instead of gaussianised by rank; mse: squared error",
    )
    exposure_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="added to the loss: this times the mean squared correlation of predictions with the raw features in the era "
        "(with all inputs where no raw features are read)",
    )
    benchmark: str | None = Field(
        None,
        description="another model, by the name of its column, that predictions shall be unlike; it must cover training eras",
    )
    benchmark_weight: float = Field(
        0.0, ge=0, le=1000, description="added to the loss: this times the squared correlation with the benchmark's predictions"
    )
    epochs: int = Field(6, gt=0, le=10_000, description="passes over the training rows; there is no early stopping")
    batch_size: int = Field(
        8192, ge=8, le=1_000_000, description="rows of a step at most, all of one era; a larger era is cut into parts at random"
    )
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of AdamW, at the start; it falls to 0 along half a cosine")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of each hidden layer's activations that a step drops")
    ema: float = Field(
        0.99, ge=0, lt=1, description="decay of the running mean of the weights, which predicts; 0 = the last weights"
    )

    _network: Any = PrivateAttr(None)

    @field_validator("hidden")
    @classmethod
    def _widths(cls, hidden: list[int]) -> list[int]:
        if not all(0 < width <= 65_536 for width in hidden):
            raise ValueError(f"got {hidden}, wanted widths of 1 to 65536")
        return hidden

    @model_validator(mode="after")
    def _both_of_the_benchmark(self) -> Self:
        if (self.benchmark is None) != (self.benchmark_weight == 0):
            raise ValueError("benchmark and a benchmark_weight above 0 belong together; give both or neither")
        return self

    @property
    def other_model(self) -> str | None:
        return self.benchmark

    def refusal(self, panel: Panel) -> str:
        if self.benchmark is None or self.no_device():
            return self.no_device()
        if self.benchmark not in panel.extras:
            return f"benchmark: the data has no predictions {self.benchmark!r}, only {', '.join(panel.extras) or 'none'}"
        known = any(np.isfinite(panel.extras[self.benchmark][panel.rows(era)]).any() for era in panel.eras.tolist())
        return "" if known else f"benchmark: {self.benchmark} has no predictions in the training eras; take later ones"

    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Trains the network. Raises NlabError where no era has two rows, or the device is not there."""
        from numerai_lab.neural.networks import device_for, generator_for
        from numerai_lab.neural.predictors import Penalties, PredictionObjective
        from numerai_lab.neural.stream_batches import StreamBatches, input_moments, n_raw
        from numerai_lab.neural.training import OptimiserSettings, train_for

        init, noise_seed, order_seed = rng.integers(2**62, size=3).tolist()
        device = device_for(self.device)
        batches = StreamBatches(stream, self.batch_size, order_seed, self.benchmark)
        network = self._untrained(input_moments(stream, rng), generator_for(init))
        self._begin(network, batches, rng)
        penalties = Penalties(self.exposure_weight, n_raw(stream) or len(stream.input_names), self.benchmark_weight)
        objective = PredictionObjective(network, self.loss, self.dropout, penalties).to(device)
        settings = OptimiserSettings(
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            clip=CLIP,
            ema=self.ema,
            evaluate_every=len(batches),
        )
        self.curve_ = train_for(objective, batches, self.epochs * len(batches), settings, noise_seed, context)
        sample = [batch.to(device) for batch in batches.sample(rng)]
        objective.level_members(sample)
        self.importance_ = objective.sensitivity(sample)
        self.__dict__.update(network.arrays())
        self._network = None
        return self

    def predict(self, X: Float32) -> Float32:
        from numerai_lab.neural.networks import device_for, in_tiles

        device = device_for(self.device)
        if self._network is None:
            self._network = self._restored_network(device)
        return in_tiles(self._network.predicted, X, 1, device)[:, 0]

    def saved(self) -> tuple[str, bytes]:
        return ".safetensors", arrays_to_bytes(self.state())

    def loaded(self, content: bytes) -> Self:
        return self.restored(arrays_from_bytes(content))

    def importance(self) -> Float64:
        """The mean absolute slope of the prediction along each input, per standard deviation of the input."""
        slopes: Float64 = self.importance_
        return slopes

    @property
    def checkpoints(self) -> float:
        # With the running mean of weights. The last one stays until the next one, or the model, is there.
        return 8.0 if self.epochs > 1 else 5.0

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        return 4 * self._n_weights(n_columns) + 16 * n_columns + 10_000

    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        # A row's inputs in three copies, and in the batch drawn ahead; its activations with gradients and draws of dropout in
        # two and a half.
        activations = 4 * n_columns + 5 * self.members * sum(self.hidden) // 2
        return 4 * (WEIGHT_COPIES * self._n_weights(n_columns) + min(n_rows, self.batch_size) * activations)

    @abstractmethod
    def _untrained(self, moments: tuple[Float64, Float64], init: "torch.Generator") -> "PredictionNetwork":
        """A network with new weights. moments: mean and standard deviation of every input."""

    def _begin(self, network: "PredictionNetwork", batches: "StreamBatches", rng: np.random.Generator) -> None:
        """Brings a new network to where its training begins, where that is not at random weights."""

    @abstractmethod
    def _n_weights(self, n_columns: int) -> int:
        """Weights of the network."""

    def _restored_network(self, device: "torch.device") -> "PredictionNetwork":
        from numerai_lab.neural.networks import generator_for

        n_inputs = len(self.state()["network_mean_"])
        network = self._untrained((np.zeros(n_inputs), np.ones(n_inputs)), generator_for(0))
        network.load(self.state())
        return network.to(device).eval()


class MLP(StartingModel, NetworkModel):
    """A multilayer perceptron: standardised inputs, hidden layers with ReLU and dropout, one output.

    A batch holds rows of one era, so that the loss is a correlation within an era. Eras come in a
    new random order in every epoch, augmented rows as batches of their own. AdamW, no early
    stopping; the running mean of the weights predicts. With `members` networks of their own initial
    weights and dropout learn from the same batches, and their predictions, each of mean 0 and
    deviation 1 in training where the loss is a correlation, are averaged.

    With `start_from` the encoder of a generator comes first, up to the columns that it emits; these
    are standardised, and `hidden` follows. The network reads raw features alone, and the run sets the
    same network begun at random beside it.

    Source: per-era Pearson and sizes of [VolodymyrLinuxovich, a fork of Numerai's example scripts];
    networks among the strongest on tables split in time: TabReD, Rubachev et al. 2025 (ICLR).
    Beginning with what was learned without labels: Rubachev et al. 2022 (arXiv:2207.03208); gradual
    finetuning: Howard & Ruder 2018 (arXiv:1801.06146).
    """

    words: ClassVar[str] = "a multilayer perceptron"
    kind: Literal["mlp"] = "mlp"
    hidden: list[int] = Field([1024, 512, 256], max_length=32, description="widths of the hidden layers; [] needs start_from")

    @model_validator(mode="after")
    def _layers_to_train(self) -> Self:
        if not self.hidden and self.start_from is None:
            raise ValueError("hidden: got [], wanted one width or more; only a network with start_from may have none")
        if self.finetune == "gradual" and self.epochs < 2:
            raise ValueError("finetune: gradual trains the encoder from the second epoch on; take 2 epochs or more")
        return self

    def with_encoder_widths(self, widths: Sequence[int]) -> Model:
        return self.model_copy(update={"hidden": [*widths, *self.hidden], "start_from": None})

    def _untrained(self, moments: tuple[Float64, Float64], init: "torch.Generator") -> "PredictionNetwork":
        from numerai_lab.neural.predictors import MLPNetwork
        from numerai_lab.neural.started import StartedNetwork

        shape = self._encoder_shape
        if shape is None:
            return MLPNetwork(moments, self.hidden, self.members, init)
        return StartedNetwork(moments, shape, self.hidden, self.members, init)

    def _begin(self, network: "PredictionNetwork", batches: "StreamBatches", rng: np.random.Generator) -> None:
        from numerai_lab.neural.started import StartedNetwork

        if isinstance(network, StartedNetwork):
            assert self._encoder is not None
            network.begin(self._encoder, self.start_weights == LEARNED, batches.sample(rng))
            network.finetuned(self.finetune, self.epochs, len(batches))

    def _n_weights(self, n_columns: int) -> int:
        sizes = [n_columns, *self.hidden, 1]
        return self.members * sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))


class TabM(NetworkModel):
    """TabM: an ensemble of multilayer perceptrons that share their weights, but for scales of inputs and outputs.

    Every hidden layer has one weight matrix; a member multiplies its inputs and outputs by vectors of
    its own, and has its own biases and head. Members see the same batches, have losses of their
    own, and their predictions are averaged. Batches, losses and training are those of `mlp`; a step
    costs as much as one of `members` networks, while weights take hardly more memory than one.

    Source: Gorishniy, Kotelnikov & Babenko 2025 (ICLR, arXiv:2410.24210), and their package `tabm`;
    they have 32 members and three layers of 512.
    """

    words: ClassVar[str] = "TabM, an ensemble of {members} networks"
    kind: Literal["tabm"] = "tabm"
    hidden: list[int] = Field([512, 256], min_length=1, max_length=32, description="widths of the hidden layers")
    members: int = Field(8, gt=0, le=256, description="members of the ensemble, whose predictions are averaged")

    def _untrained(self, moments: tuple[Float64, Float64], init: "torch.Generator") -> "PredictionNetwork":
        from numerai_lab.neural.tabm import TabMNetwork

        return TabMNetwork(moments, self.hidden, self.members, init)

    def _n_weights(self, n_columns: int) -> int:
        sizes = [n_columns, *self.hidden, 1]
        shared = sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
        return shared + self.members * sum(n_in + 2 * n_out for n_in, n_out in itertools.pairwise(sizes))
