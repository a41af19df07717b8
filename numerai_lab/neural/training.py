"""The one training loop: early stopping or fixed epochs, checkpoints, the same weights from the same seed."""

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.neural.checkpoints import array_of, copied, load_training_state, tensors_in, training_state
from numerai_lab.neural.networks import generator_for, repeatable
from numerai_lab.neural.prefetching import BatchSource, Prefetched
from numerai_lab.neural.rows import PanelBatches, RowBatch, draw, held_out

VALIDATION_BATCHES = 8
RELEASE_EVERY = 50
"""Steps between two releases of the memory-map's pages."""
CHECKPOINT_SECONDS = 60.0
"""Seconds after which a checkpoint is written between two evaluations."""

Noisy = Callable[[RowBatch, torch.Generator], Tensor]
"""(batch, random stream) → loss."""


class TrainingObjective(nn.Module):
    """The networks to train, and their loss on a batch. All random draws come from `noise`."""

    @abstractmethod
    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """The loss to minimise, a scalar."""

    def validation_loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """The loss that early stopping uses; that of training unless a method has another."""
        return self.loss(batch, noise)

    def begin_step(self, step: int) -> None:
        """Decides before each step, counted from 0, which parameters learn; all unless a method does otherwise."""


@dataclass(frozen=True, kw_only=True)
class OptimiserSettings:
    """Parameters of the steps of AdamW. Components describe them, where they are parameters too."""

    learning_rate: float
    weight_decay: float
    clip: float
    evaluate_every: int
    """Steps between two points of the training curve."""
    ema: float = 0.0
    """Decay of the running mean of the weights, which is evaluated and kept; 0 = the weights themselves."""


@dataclass(frozen=True, kw_only=True)
class TrainingSchedule(OptimiserSettings):
    """Parameters of training on rows of a panel, with early stopping on held-out eras."""

    batch_size: int
    eras_per_batch: int
    max_steps: int
    epochs: float | None
    held_out: float
    held_out_eras: Literal["last", "spread"]
    patience: int

    def steps(self, n_rows: int) -> int:
        """The number of steps at most, for `n_rows` rows to learn from."""
        n_steps = self.max_steps if self.epochs is None else math.ceil(self.epochs * n_rows / self.batch_size)
        return max(1, min(self.max_steps, n_steps))


def train(
    objective: TrainingObjective, panel: Panel, plan: TrainingSchedule, rng: np.random.Generator, context: FitContext
) -> Float32:
    """Trains in place, ends with the weights that were best on held-out eras, and returns the training curve.

    The curve is float32 with a row per evaluation, the first before any step: step, mean training
    loss since the last evaluation (NaN at first), loss on held-out eras, always on the same batches
    with the same noise. The same seed, device and number of threads give the same bytes, also when
    training goes on from a checkpoint on a device of the same type. Raises NlabFailure where the
    loss is not finite.
    """
    learned, validation = held_out(panel, plan.held_out, plan.held_out_eras)
    noise_seed, validation_seed, rows_seed = rng.integers(2**62, size=3).tolist()
    batches = PanelBatches(learned, plan.batch_size, plan.eras_per_batch, rows_seed)
    rows, size = np.random.default_rng(validation_seed), plan.batch_size
    held = [draw(validation, size, plan.eras_per_batch, rows) for _ in range(VALIDATION_BATCHES)]
    stopping = _EarlyStopping(held, plan.patience, validation_seed)
    return _Loop(objective, batches, plan, plan.steps(learned.n_rows), noise_seed, stopping).run(context)


def train_for(
    objective: TrainingObjective,
    batches: BatchSource,
    n_steps: int,
    settings: OptimiserSettings,
    seed: int,
    context: FitContext,
) -> Float32:
    """Trains in place for a number of steps, ends with the last weights (or their running mean), and returns the curve.

    The curve is float32 with a row per `evaluate_every` steps: step, mean training loss since the
    row before. Bytes and errors are as those of `train`. seed: of the objective's random draws.
    """
    return _Loop(objective, batches, settings, n_steps, seed, None).run(context)


class _EarlyStopping:
    """Batches of held-out eras, and the weights that were best on them so far."""

    def __init__(self, batches: list[RowBatch], patience: int, seed: int) -> None:
        self.batches, self.patience, self.seed = batches, patience, seed
        self.stale, self.best_loss = 0, math.inf
        self.best: dict[str, Tensor] = {}

    @property
    def done(self) -> bool:
        return self.stale >= self.patience

    def loss(self, objective: TrainingObjective, device: torch.device) -> float:
        """The objective's loss, always on the same batches with the same noise."""
        noise = generator_for(self.seed, device)
        with torch.no_grad():
            moved = (batch.to(device) for batch in self.batches)
            return torch.stack([_cast(objective.validation_loss, batch, noise) for batch in moved]).mean().item()

    def judge(self, loss: float, weights: Mapping[str, Tensor]) -> None:
        """Keeps the weights if they are the best so far."""
        self.stale += 1
        if loss < self.best_loss:
            self.stale, self.best_loss, self.best = 0, loss, copied(weights)

    def arrays(self) -> dict[str, Array]:
        """Its part of a checkpoint."""
        best = {f"best/{name}": array_of(value) for name, value in self.best.items()}
        return {"stale": np.array(self.stale), "best_loss": np.array(self.best_loss), **best}

    def load(self, arrays: Mapping[str, Array], device: torch.device) -> None:
        """Goes on from a checkpoint."""
        self.stale, self.best_loss = int(arrays["stale"]), float(arrays["best_loss"])
        self.best = tensors_in(arrays, "best/", device)


class _Loop:
    """The state of training, and its checkpoints."""

    def __init__(
        self,
        objective: TrainingObjective,
        batches: BatchSource,
        settings: OptimiserSettings,
        n_steps: int,
        seed: int,
        stopping: _EarlyStopping | None,
    ) -> None:
        self.objective, self.settings, self.n_steps = objective, settings, n_steps
        self.batches: BatchSource = batches
        self.stopping = stopping
        self.device = next(objective.parameters()).device
        learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        rate, decay = settings.learning_rate, settings.weight_decay
        self.optimiser = torch.optim.AdamW(learned, lr=rate, weight_decay=decay, fused=True)
        self.noise = generator_for(seed, self.device)
        self.step = 0
        self.mean = copied(objective.state_dict()) if settings.ema else {}
        # In one place, since a small tensor for each loss would keep the memory of the steps between them.
        self.losses, self.n_losses = torch.zeros(min(settings.evaluate_every, n_steps), device=self.device), 0
        self.curve: list[list[float]] = []

    def run(self, context: FitContext) -> Float32:
        """Trains to the end, from the last checkpoint if there is one, and returns the curve."""
        with repeatable(self.device):
            checkpoint = context.load_checkpoint()
            if (checkpoint is None or not self.load(checkpoint)) and self.stopping:
                self.evaluate()
            with Prefetched(self.batches, self.n_steps - self.step) as self.batches:
                self.learn_all(context)
        context.progress(self.n_steps, self.n_steps, self.message)
        self.objective.load_state_dict(self.stopping.best if self.stopping else self.mean or self.objective.state_dict())
        self.objective.eval()
        return np.array(self.curve, np.float32)

    def learn_all(self, context: FitContext) -> None:
        """Takes the steps that are left, with evaluations and checkpoints."""
        saved_at = time.monotonic()
        while self.step < self.n_steps and not (self.stopping and self.stopping.done):
            self.learn()
            ends = self.step % self.settings.evaluate_every == 0 or self.step == self.n_steps
            if ends:
                self.evaluate()
            if ends or time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
                context.save_checkpoint(self.arrays())
                saved_at = time.monotonic()
            context.progress(self.step, self.n_steps, self.message)

    @property
    def message(self) -> str:
        """The losses at the last evaluation, for progress."""
        _, trained, *held_out_loss = self.curve[-1] if self.curve else (0, math.nan)
        parts = [] if math.isnan(trained) else [f"loss {trained:.3g}"]
        parts += [f"{'held out' if parts else 'loss'} {loss:.3g}" for loss in held_out_loss]
        return ", ".join(parts)

    def learn(self) -> None:
        """One step of AdamW on one batch; the rate falls along half a cosine."""
        self.objective.train()
        self.objective.begin_step(self.step)
        batch = self.batches.next().to(self.device)
        rate = self.settings.learning_rate * (1 + math.cos(math.pi * self.step / self.n_steps)) / 2
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad()
        loss = _cast(self.objective.loss, batch, self.noise)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], self.settings.clip)
        self.optimiser.step()
        self.losses[self.n_losses] = loss.detach()
        self.n_losses += 1
        self.step += 1
        # At first a mean over the steps so far, so that the random start is forgotten.
        decay = min(self.settings.ema, self.step / (self.step + 10))
        for name, value in self.objective.state_dict().items() if self.mean else ():
            self.mean[name].lerp_(value, 1 - decay) if value.is_floating_point() else self.mean[name].copy_(value)
        if self.step % RELEASE_EVERY == 0:
            self.batches.release()

    def evaluate(self) -> None:
        """Adds a point to the curve; with early stopping, keeps the weights if they are the best so far.

        Raises NlabFailure where the loss is not finite.
        """
        trained = self.losses[: self.n_losses].mean().item() if self.n_losses else math.nan
        self.n_losses = 0
        losses = [self.step, trained]
        if self.stopping:
            self.objective.eval()
            now = copied(self.objective.state_dict())
            self.objective.load_state_dict(self.mean or now)
            losses.append(self.stopping.loss(self.objective, self.device))
            self.stopping.judge(losses[-1], self.objective.state_dict())
            self.objective.load_state_dict(now)
        self.curve.append(losses)
        if not math.isfinite(losses[-1]):
            raise NlabFailure(f"training: the loss is {losses[-1]} after {self.step} steps; a lower learning_rate may help")

    def arrays(self) -> dict[str, Array]:
        """A checkpoint: all that `load` needs to continue to the same bytes."""
        return {
            "step": np.array(self.step),
            "curve": np.array(self.curve, np.float64),
            "losses": array_of(self.losses[: self.n_losses]),
            "noise": self.noise.get_state().numpy(),
            "device": np.array(self.device.type),
            "batches": self.batches.state(),
            **{f"mean/{name}": array_of(value) for name, value in self.mean.items()},
            **(self.stopping.arrays() if self.stopping else {}),
            **training_state(self.objective, self.optimiser),
        }

    def load(self, arrays: Mapping[str, Array]) -> bool:
        """Continues from a checkpoint; False for one of another type of device, whose random stream differs."""
        if arrays["device"] != self.device.type:
            return False
        self.step, self.curve = int(arrays["step"]), arrays["curve"].tolist()
        self.n_losses = len(arrays["losses"])
        self.losses[: self.n_losses] = torch.from_numpy(arrays["losses"].copy())
        self.noise.set_state(torch.from_numpy(arrays["noise"].copy()))
        self.batches.load(arrays["batches"])
        self.mean = tensors_in(arrays, "mean/", self.device)
        if self.stopping:
            self.stopping.load(arrays, self.device)
        load_training_state(arrays, self.objective, self.optimiser)
        return True


def _cast(loss: Noisy, batch: RowBatch, noise: torch.Generator) -> Tensor:
    with torch.autocast(noise.device.type, torch.bfloat16, enabled=noise.device.type == "cuda"):
        return loss(batch, noise)
