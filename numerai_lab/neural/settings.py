"""Parameters of components that train a network, and their way into the training loop. No torch at import."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from numerai_lab.core.component import Component
from numerai_lab.core.gpus import gpus
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext

if TYPE_CHECKING:
    from numerai_lab.neural.training import TrainingObjective

HELD_OUT = 0.1
"""Share of the fit's eras that is held out for early stopping."""
WEIGHT_COPIES = 12
"""Copies of the weights at the peak of training: gradients, moments, the best or mean ones, a checkpoint and its bytes."""
CLIP = 5.0
"""Largest norm of a gradient; a larger one is scaled down to it."""
SIGMA = 0.5
"""Standard deviation of the values that a diffusion model sees, noise aside."""


class OnDevice(Component):
    """A component with a network that runs on a device."""

    library_bytes: ClassVar[int] = 270_000_000
    requires: ClassVar[tuple[str, ...]] = ("torch",)
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the network runs; auto = cuda where there is one")

    @property
    def uses_gpu(self) -> bool:
        if self.device == "cpu" or not gpus():  # torch is loaded where there is one alone
            return False
        import torch

        return torch.cuda.is_available()

    def no_device(self) -> str:
        """A sentence that says why the network can't run on the device; empty where it can."""
        if self.device != "cuda":
            return ""
        from numerai_lab.neural.networks import no_device

        return no_device(self.device)


class Training(OnDevice):
    """Parameters of training on rows drawn from eras, with early stopping on held-out eras."""

    removed: ClassVar[Mapping[str, Any]] = {"clip": CLIP, "held_out": HELD_OUT}

    batch_size: int = Field(1024, ge=8, le=1_000_000, description="rows a step")
    eras_per_batch: int = Field(
        4, gt=0, le=1_000_000, description="eras that a batch is drawn from, evenly; 1 = every batch from one era"
    )
    max_steps: int = Field(
        2000, gt=0, le=10_000_000, description="steps at most; the learning rate falls to 0 along a cosine until there"
    )
    epochs: float | None = Field(None, gt=0, description="passes over the rows at most, if that is fewer steps; none = no limit")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of AdamW, at the start")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="of AdamW")
    held_out_eras: Literal["last", "spread"] = Field(
        "last",
        description="the tenth of the eras given to fit that is kept for early stopping. last: the latest, and with labels those "
        "before whose targets reach into theirs; spread: every tenth, so that the last one is learned from",
    )
    evaluate_every: int = Field(
        100, gt=0, le=10_000_000, description="steps between two evaluations on the held-out eras (and checkpoints)"
    )
    patience: int = Field(5, gt=0, description="evaluations without improvement before training stops; the best weights are kept")

    @property
    def checkpoints(self) -> float:
        return 6.0 if self.max_steps > self.evaluate_every else 3.0  # the last one stays until the next is written

    def no_training(self, panel: Panel) -> str:
        """A sentence that says why the network can't be trained on this panel; empty where it can."""
        from numerai_lab.neural.rows import no_batch

        return self.no_device() or no_batch(panel, HELD_OUT, self.held_out_eras)

    def network_bytes(self, n_rows: int, widths: Sequence[int]) -> int:
        """Estimated bytes of memory that training takes. widths: of the inputs, and of every layer in order."""
        # A row's inputs in three copies, its activations with gradients and draws in two and a half.
        weights = sum(before * after for before, after in pairwise(widths))
        activations = 3 * widths[0] + 5 * sum(widths[1:]) // 2
        return 4 * (WEIGHT_COPIES * weights + min(n_rows, self.batch_size) * activations)

    def _train(self, objective: "TrainingObjective", panel: Panel, rng: np.random.Generator, context: FitContext) -> None:
        """Trains in place. `curve_` becomes the training curve: step, training loss, loss on held-out eras, float32."""
        from dataclasses import fields

        from numerai_lab.neural.networks import device_for
        from numerai_lab.neural.training import TrainingSchedule, train

        settings = {field.name: getattr(self, field.name) for field in fields(TrainingSchedule) if hasattr(self, field.name)}
        plan = TrainingSchedule(**(settings | {"eras_per_batch": self._batch_eras(), "clip": CLIP, "held_out": HELD_OUT}))
        self.curve_ = train(objective.to(device_for(self.device)), panel, plan, rng, context)

    def _batch_eras(self) -> int:
        """The number of eras in a batch, which a subclass may fix."""
        return self.eras_per_batch
