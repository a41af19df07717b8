"""The contract of models: they learn from a training stream and predict rows."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Self

import numpy as np

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.component import Component
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream


class Model(Component):
    """Learns a regression of the target on the stream's inputs."""

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """What configs call it; every subclass declares it as a field."""

    @abstractmethod
    def fit(self, stream: TrainingStream, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns from every batch of the stream; never holds them all as floats."""

    @abstractmethod
    def predict(self, X: Float32) -> Float32:
        """Predictions for rows × inputs, float32."""

    @abstractmethod
    def saved(self) -> tuple[str, bytes]:
        """File suffix and content, in a format whose loading executes nothing."""

    @abstractmethod
    def loaded(self, content: bytes) -> Self:
        """A fitted model with these parameters; the inverse of `saved`."""

    def importance(self) -> Float64 | None:
        """What each input adds to the fitted model, in the model's own measure, none below 0; None where it can't tell."""
        return None

    def saved_bytes(self, n_columns: int) -> int:
        """An estimate of what `saved` gives."""
        return 1000 + 8 * n_columns

    def training_disk_bytes(self, n_rows: int, n_columns: int) -> int:
        """An estimate of the disk that training takes until it ends."""
        return 0

    @abstractmethod
    def training_bytes(self, n_rows: int, n_columns: int) -> int:
        """An estimate of the memory that training takes beyond one era's block."""
