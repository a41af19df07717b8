"""The one training loop: early stopping on held-out eras, checkpoints, the same weights from the same seed."""

import json
import math
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
from numerai_lab.neural.networks import generator_for, repeatable
from numerai_lab.neural.rows import RowBatch, draw, held_out

VALIDATION_BATCHES = 8
RELEASE_EVERY = 50
"""Steps between two releases of the memory-map's pages."""


class TrainingObjective(nn.Module):
    """The networks to train, and their loss on a batch. All random draws come from `noise`."""

    @abstractmethod
    def loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """The loss to minimise, a scalar."""

    def validation_loss(self, batch: RowBatch, noise: torch.Generator) -> Tensor:
        """The loss that early stopping uses; that of training unless a method has another."""
        return self.loss(batch, noise)


@dataclass(frozen=True)
class TrainingSchedule:
    """Parameters of the training loop. Components describe them, where they are parameters too."""

    batch_size: int
    eras_per_batch: int
    max_steps: int
    epochs: float | None
    learning_rate: float
    weight_decay: float
    clip: float
    held_out: float
    held_out_eras: Literal["last", "spread"]
    evaluate_every: int
    patience: int
    ema: float = 0.0
    """Decay of the running mean of the weights, which is evaluated and kept; 0 = the weights themselves."""

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
    loop = _Loop(objective, panel, plan, rng)
    with repeatable(loop.device):
        checkpoint = context.load_checkpoint()
        if checkpoint is None or not loop.load(checkpoint):
            loop.evaluate()
        while not loop.done:
            loop.learn()
            if loop.step % plan.evaluate_every == 0 or loop.step == loop.n_steps:
                loop.evaluate()
                context.save_checkpoint(loop.arrays())
            context.progress(loop.step, loop.n_steps, loop.message)
    context.progress(loop.n_steps, loop.n_steps, loop.message)
    objective.load_state_dict(loop.best)
    objective.eval()
    return np.array(loop.curve, np.float32)


class _Loop:
    """The state of training, and its checkpoints."""

    def __init__(self, objective: TrainingObjective, panel: Panel, plan: TrainingSchedule, rng: np.random.Generator) -> None:
        self.objective, self.plan = objective, plan
        self.panel, validation = held_out(panel, plan.held_out, plan.held_out_eras)
        self.device = next(objective.parameters()).device
        learned = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(learned, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)
        noise_seed, self.validation_seed, rows_seed = rng.integers(2**62, size=3).tolist()
        self.noise, self.rows = generator_for(noise_seed, self.device), np.random.default_rng(rows_seed)
        rows = np.random.default_rng(self.validation_seed)
        size, eras = plan.batch_size, plan.eras_per_batch
        self.validation = [draw(validation, size, eras, rows) for _ in range(VALIDATION_BATCHES)]
        self.n_steps = plan.steps(self.panel.n_rows)
        self.step, self.stale, self.best_loss = 0, 0, math.inf
        self.best: dict[str, Tensor] = {}
        self.mean = {name: value.detach().clone() for name, value in objective.state_dict().items()} if plan.ema else {}
        self.losses: list[Tensor] = []
        self.curve: list[tuple[float, float, float]] = []

    @property
    def message(self) -> str:
        """The losses at the last evaluation, for progress."""
        _, trained, held_out_loss = self.curve[-1]
        return f"loss {held_out_loss:.3g}" if math.isnan(trained) else f"loss {trained:.3g}, held out {held_out_loss:.3g}"

    @property
    def done(self) -> bool:
        return self.step >= self.n_steps or self.stale >= self.plan.patience

    def learn(self) -> None:
        """One step of AdamW on one batch; the rate falls along half a cosine."""
        self.objective.train()
        batch = draw(self.panel, self.plan.batch_size, self.plan.eras_per_batch, self.rows).to(self.device)
        rate = self.plan.learning_rate * (1 + math.cos(math.pi * self.step / self.n_steps)) / 2
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.zero_grad()
        loss = self._cast(self.objective.loss, batch, self.noise)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], self.plan.clip)
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.step += 1
        # At first a mean over the steps so far, so that the random start is forgotten.
        decay = min(self.plan.ema, self.step / (self.step + 10))
        for name, value in self.objective.state_dict().items() if self.mean else ():
            self.mean[name].lerp_(value, 1 - decay) if value.is_floating_point() else self.mean[name].copy_(value)
        if self.step % RELEASE_EVERY == 0:
            self.panel.release()

    def evaluate(self) -> None:
        """Adds a point to the curve, and keeps the weights if they are the best so far.

        Raises NlabFailure where the loss is not finite.
        """
        self.objective.eval()
        now = {name: value.detach().clone() for name, value in self.objective.state_dict().items()}
        self.objective.load_state_dict(self.mean or now)
        noise = generator_for(self.validation_seed, self.device)
        with torch.no_grad():
            batches = (batch.to(self.device) for batch in self.validation)
            losses = [self._cast(self.objective.validation_loss, batch, noise) for batch in batches]
        held_out_loss = torch.stack(losses).mean().item()
        trained = torch.stack(self.losses).mean().item() if self.losses else math.nan
        self.losses = []
        self.curve.append((self.step, trained, held_out_loss))
        if not math.isfinite(held_out_loss):
            raise NlabFailure(f"training: the loss is {held_out_loss} after {self.step} steps; a lower learning_rate may help")
        self.stale += 1
        if held_out_loss < self.best_loss:
            self.stale, self.best_loss = 0, held_out_loss
            self.best = {name: value.detach().clone() for name, value in self.objective.state_dict().items()}
        self.objective.load_state_dict(now)

    def _cast(self, loss: Callable[[RowBatch, torch.Generator], Tensor], batch: RowBatch, noise: torch.Generator) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            return loss(batch, noise)

    def arrays(self) -> dict[str, Array]:
        """A checkpoint: all that `load` needs to continue to the same bytes."""
        return {
            "counts": np.array([self.step, self.stale]),
            "best_loss": np.array(self.best_loss),
            "curve": np.array(self.curve, np.float64),
            "noise": self.noise.get_state().numpy(),
            "device": np.array(self.device.type),
            "rows": np.frombuffer(json.dumps(self.rows.bit_generator.state).encode(), np.uint8),
            **{f"best/{name}": _array(value) for name, value in self.best.items()},
            **{f"mean/{name}": _array(value) for name, value in self.mean.items()},
            **training_state(self.objective, self.optimiser),
        }

    def load(self, arrays: Mapping[str, Array]) -> bool:
        """Continues from a checkpoint; False for one of another type of device, whose random stream differs."""
        if arrays["device"] != self.device.type:
            return False
        self.step, self.stale = arrays["counts"].tolist()
        self.best_loss = float(arrays["best_loss"])
        self.curve = [(point[0], point[1], point[2]) for point in arrays["curve"].tolist()]
        self.noise.set_state(torch.from_numpy(arrays["noise"].copy()))
        self.rows.bit_generator.state = json.loads(arrays["rows"].tobytes())
        self.best = _tensors(arrays, "best/", self.device)
        self.mean = _tensors(arrays, "mean/", self.device)
        load_training_state(arrays, self.objective, self.optimiser)
        return True


def training_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Array]:
    """Weights and the optimiser's moments, as arrays of a checkpoint."""
    moments = optimiser.state_dict()["state"]
    return {
        **{f"now/{name}": _array(value) for name, value in module.state_dict().items()},
        **{f"moment/{i}/{name}": _array(value) for i, values in moments.items() for name, value in values.items()},
    }


def load_training_state(arrays: Mapping[str, Array], module: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Loads the weights and moments that `training_state` returned."""
    module.load_state_dict(_tensors(arrays, "now/", next(module.parameters()).device))
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _tensors(arrays, "moment/", torch.device("cpu")).items():
        i, part = name.split("/")
        moments.setdefault(int(i), {})[part] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})


def _array(value: Tensor) -> Array:
    array: Array = value.detach().cpu().numpy().copy()
    return array


def _tensors(arrays: Mapping[str, Array], prefix: str, device: torch.device) -> dict[str, Tensor]:
    selected = {name[len(prefix) :]: value for name, value in arrays.items() if name.startswith(prefix)}
    return {name: torch.from_numpy(value.copy()).to(device) for name, value in selected.items()}
