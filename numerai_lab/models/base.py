"""The contract of models: they learn from a training stream and predict rows."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.neural.starting_encoder import StartingEncoder


class Model(Component):
    """Learns a regression of the target on the stream's inputs."""

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """The name in configs; every subclass declares it as a field."""

    @property
    def other_model(self) -> str | None:
        """Another model, a column of the panel's `extras`, whose predictions for training rows it reads, if any."""
        return None

    @property
    def takes_weights(self) -> bool:
        """Rows may have weights."""
        return True

    @property
    def learns_jointly(self) -> bool:
        """One model learns all targets of a variant; it predicts a column for each where there are several."""
        return False

    @property
    def n_parts(self) -> int:
        """Processes that train it together, each on its part of the stream."""
        return 1

    @property
    def parts_note(self) -> str:
        """A remark where what is learned depends on `n_parts`; empty where it does not."""
        return ""

    def refusal(self, panel: Panel) -> str:
        """A sentence that says why the model can't be trained; empty where it can.

        panel: the training eras. It is never looked into further than what it has.
        """
        return ""

    @property
    def encoder_of(self) -> str | None:
        """The generator whose encoder the model begins with, by name; None where it begins with none."""
        return None

    @property
    def random_start(self) -> "Model | None":
        """The same model with random weights of the encoder; None where it begins with no learned ones."""
        return None

    def begun_with(self, encoder: StartingEncoder) -> Self:
        """The unfitted model, with the encoder of `encoder_of`. Only models that may begin with one have it."""
        raise NotImplementedError(f"{self.kind} begins with no encoder")

    def with_encoder_widths(self, widths: Sequence[int]) -> "Model":
        """A model of the same size, for estimates, once the widths of the encoder's layers are known."""
        return self

    @abstractmethod
    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from every batch of the stream, without holding all of them as floats."""

    @abstractmethod
    def predict(self, X: Float32) -> Float32:
        """Predictions for rows × inputs: float32, rows; rows × targets of a model that learned several jointly."""

    @abstractmethod
    def saved(self) -> tuple[str, bytes]:
        """File suffix and content, in a format whose loading executes nothing."""

    @abstractmethod
    def loaded(self, content: bytes) -> Self:
        """A fitted model with these parameters; the inverse of `saved`."""

    def importance(self) -> Float64 | None:
        """The importance of each input in the model's own measure, ≥ 0: float64, inputs; None where it has none."""
        return None

    def saved_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of the content of `saved`."""
        return 1000 + 8 * n_columns

    @property
    def batch_bytes(self) -> int:
        """Estimated bytes of a cell of the largest era while training reads it, beyond `training_bytes`."""
        return 4

    def training_disk_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of disk that training takes until it ends."""
        return 0

    def cutting_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of memory that training takes for these inputs alone, which are no raw bins."""
        return 0

    @abstractmethod
    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        """Estimated bytes of memory that training takes beyond one era's block."""
