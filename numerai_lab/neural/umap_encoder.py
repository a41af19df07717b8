"""Parametric UMAP: an encoder trained on UMAP's cross-entropy between graph and columns."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.progress import FitContext
from numerai_lab.neural.checkpoints import load_training_state, training_state
from numerai_lab.neural.networks import Stack, arrays_of, linear, relu_net, repeatable
from numerai_lab.neural.umap_graph import LandmarkSpace, MembershipCurve, ScoreMap

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PER_EDGE = 5.0
"""Weight of the rows that an edge is pushed away from; umap-learn's negative_sample_rate."""
FLOOR = 1e-3
"""Added to squared distances, so that logarithms and the push between equal rows stay finite."""
WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""
CHECKPOINT_EVERY = 100
"""Steps between two checkpoints."""


@dataclass(frozen=True)
class EncoderSchedule:
    """Parameters of an encoder's training; the generator's parameters describe them."""

    steps: int
    batch_size: int
    negatives: int
    learning_rate: float
    global_weight: float = 0.0


class ScoreEncoder(nn.Module):
    """Principal scores → columns: a linear map of the scores plus hidden layers with ReLU."""

    def __init__(self, n_in: int, hidden: Sequence[int], n_out: int, init: torch.Generator) -> None:
        super().__init__()
        self.body = relu_net([n_in, *hidden, n_out], init)
        self.straight = linear(n_in, n_out, init)
        with torch.no_grad():
            # The projection on the first components has most neighbourhoods right already.
            self.straight.weight.copy_(torch.eye(n_out, n_in))
            self.straight.bias.zero_()
            self.body[-1].weight.mul_(0.1)  # type: ignore[operator]

    def forward(self, scores: Tensor) -> Tensor:
        columns: Tensor = self.straight(scores) + self.body(scores)
        return columns

    def arrays(self) -> list[tuple[Float32, Float32]]:
        """Weight (out × in) and bias of every layer of the body, then of the straight path."""
        return [*arrays_of(self.body), *arrays_of(self.straight)]

    def load(self, arrays: Sequence[tuple[Float32, Float32]]) -> None:
        """Loads the weights that `arrays` returned."""
        layers = [layer for part in (self.body, self.straight) for layer in part.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, (weight, bias) in zip(layers, arrays, strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))


class EncoderEmbedding:
    """Rows in the panel's units → columns, by the learned arrays of a `ScoreEncoder`."""

    def __init__(
        self,
        scores: ScoreMap,
        layers: Sequence[tuple[Float32, Float32]],
        device: torch.device,
    ) -> None:
        """layers: as `ScoreEncoder.arrays` returns them."""
        self.scores = scores
        self.body, self.straight = Stack(layers[:-1], device), Stack(layers[-1:], device)

    def __call__(self, cells: Tensor) -> Tensor:
        scores = self.scores(cells)
        return self.straight(scores) + self.body(scores)


def cross_entropy(
    heads: Tensor, tails: Tensor, negatives: Tensor, weights: Tensor, membership: MembershipCurve
) -> tuple[Tensor, Tensor]:
    """(pull, push): UMAP's loss of edges, and of pairs of rows without one.

    pull: the mean −log q of edges. push: PER_EDGE × the weighted mean −log(1 − q) of heads and
    negatives.
    heads, tails: edges × columns; negatives: rows × columns; weights: edges × rows, summing to 1.
    """
    near = math.log(membership.a) + membership.b * torch.log((heads - tails).square().sum(1) + FLOOR)
    squared = torch.addmm(negatives.square().sum(1), heads, negatives.T, alpha=-2) + heads.square().sum(1, keepdim=True)
    far = math.log(membership.a) + membership.b * torch.log(squared.clamp_min(0) + FLOOR)
    return softplus(near).mean(), PER_EDGE * (weights * softplus(-far)).sum()


def distance_correlation(columns: Tensor, scores: Tensor, partners: Tensor) -> Tensor:
    """The correlation of distances between rows in columns with those in scores.

    partners: the row whose distance is taken from each row. Source: the global term of Sainburg et
    al. 2021.
    """
    pairs = torch.stack([torch.sqrt((points - points[partners]).square().sum(1) + FLOOR) for points in (columns, scores)])
    return torch.corrcoef(pairs)[0, 1]


def train(
    encoder: ScoreEncoder,
    space: LandmarkSpace,
    membership: MembershipCurve,
    schedule: EncoderSchedule,
    seed: int,
    context: FitContext,
) -> Float32:
    """Trains an encoder in place.

    Every step draws from a stream of its own, so a checkpoint is weights, moments and the number
    of steps. On a CPU it runs on one thread: the weights do not depend on the number of threads,
    and threads of steps this small wait for each other on a busy machine.

    Returns the training curve: float32, a row every CHECKPOINT_EVERY steps with the step, and
    the mean pull and mean push since the row before.
    Raises NlabFailure when the loss is not finite.
    """
    loop = _TrainingLoop(encoder, space, membership, schedule, seed)
    checkpoint = context.load_checkpoint()
    if checkpoint is not None:
        loop.load(checkpoint)
    with _one_thread(), repeatable(space.scores.device):
        while loop.step < schedule.steps:
            loop.learn()
            if loop.step % CHECKPOINT_EVERY == 0 or loop.step == schedule.steps:
                loop.record()
                context.save_checkpoint(loop.arrays())
            context.progress(loop.step, schedule.steps, f"loss {sum(loop.curve[-1][1:]):.4g}" if loop.curve else "")
    return np.array(loop.curve, np.float32)


def fit_layout(
    encoder: ScoreEncoder,
    scores: Tensor,
    layout: Float32,
    schedule: EncoderSchedule,
    seed: int,
) -> None:
    """Trains an encoder in place to predict the rows' places in a layout.

    Mean squared error, by Adam; the learning rate falls along half a cosine.
    """
    places = torch.from_numpy(layout).to(scores.device)
    rate = schedule.learning_rate
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=rate, weight_decay=0)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, schedule.steps))
    rng = np.random.default_rng([seed, 1])
    for _ in range(schedule.steps):
        drawn = rng.integers(len(places), size=schedule.batch_size)
        rows = torch.from_numpy(drawn).to(scores.device)
        optimiser.zero_grad()
        (encoder(scores[rows]) - places[rows]).square().mean().backward()
        optimiser.step()
        falling.step()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class GraphEdges:
    """Edges of a graph, drawn in proportion to their membership."""

    def __init__(self, graph: "csr_matrix") -> None:
        self.heads = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
        self.tails = graph.indices.astype(np.int64)
        self.until = np.cumsum(graph.data, dtype=np.float64)
        self.degree = np.asarray(graph.sum(0), np.float64).ravel()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
        """Heads and tails of n edges."""
        positions = np.searchsorted(self.until, rng.random(n) * self.until[-1], side="right")
        return self.heads[positions], self.tails[positions]

    def push_weights(self, heads: Int64, tails: Int64, n: int) -> Float32:
        """The weight of each push of a head from the first n tails: heads × n, summing to 1.

        Tails are drawn by degree; the weights make them count as if drawn evenly. A row is not
        pushed from itself.
        """
        weights = np.broadcast_to(1 / self.degree[tails[:n]], (len(heads), n)).copy()
        weights[heads[:, None] == tails[None, :n]] = 0
        np.fill_diagonal(weights, 0)  # an edge's own tail was not drawn independently of its head
        shares: Float32 = (weights / weights.sum()).astype(np.float32)
        return shares


class _TrainingLoop:
    """The state of training, and its checkpoints."""

    def __init__(
        self,
        encoder: ScoreEncoder,
        space: LandmarkSpace,
        membership: MembershipCurve,
        schedule: EncoderSchedule,
        seed: int,
    ) -> None:
        self.encoder, self.scores = encoder, space.scores
        self.membership, self.schedule, self.seed = membership, schedule, seed
        self.edges = GraphEdges(space.graph())
        self.optimiser = torch.optim.AdamW(encoder.parameters(), lr=schedule.learning_rate, weight_decay=0, fused=True)
        self.step = 0
        self.losses: list[Tensor] = []
        self.curve: list[list[float]] = []

    def learn(self) -> None:
        """One step of Adam on a batch of edges.

        The learning rate rises to its height and falls along half a cosine.
        """
        warm = min(1, (self.step + 1) / (WARM_UP * self.schedule.steps))
        fall = (1 + math.cos(math.pi * self.step / self.schedule.steps)) / 2
        self.optimiser.param_groups[0]["lr"] = self.schedule.learning_rate * warm * fall
        self.optimiser.zero_grad()
        pull, push = self.loss(np.random.default_rng([self.seed, self.step]))
        (pull + push).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.losses.append(torch.stack([pull, push]).detach())
        self.step += 1

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(pull, push) of a batch of edges, whose rows are encoded once each."""
        n = self.schedule.batch_size
        heads, tails = self.edges.draw(n, rng)
        rows, places = np.unique(np.concatenate([heads, tails]), return_inverse=True)
        device = self.scores.device
        columns = self.encoder(self.scores[torch.from_numpy(rows).to(device)])[torch.from_numpy(places).to(device)]
        weights = self.edges.push_weights(heads, tails, self.schedule.negatives)
        negatives = columns[n : n + self.schedule.negatives]
        pull, push = cross_entropy(columns[:n], columns[n:], negatives, torch.from_numpy(weights).to(device), self.membership)
        if self.schedule.global_weight:
            far = torch.from_numpy(rng.permutation(n)).to(device)
            scores = self.scores[torch.from_numpy(heads).to(device)]
            push = push + self.schedule.global_weight * (1 - distance_correlation(columns[:n], scores, far))
        return pull, push

    def record(self) -> None:
        """Adds a point to the curve. Raises NlabFailure where the loss is not finite."""
        pull, push = torch.stack(self.losses).mean(0).tolist()
        self.losses = []
        self.curve.append([self.step, pull, push])
        if not math.isfinite(pull + push):
            raise NlabFailure(f"umap: the loss is {pull + push} after {self.step} steps; a lower learning_rate may help")

    def arrays(self) -> dict[str, Array]:
        """A checkpoint."""
        return {"curve": np.array(self.curve), **training_state(self.encoder, self.optimiser)}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Continues from a checkpoint."""
        self.curve = arrays["curve"].tolist()
        self.step = int(self.curve[-1][0])
        load_training_state(arrays, self.encoder, self.optimiser)
