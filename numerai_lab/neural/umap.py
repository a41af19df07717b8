"""Parametric UMAP: an encoder trained on the cross-entropy between a fuzzy neighbourhood graph and its columns."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.progress import FitContext, Progress, no_progress
from numerai_lab.neural.neighbours import Metric, neighbours, principal_axes, scores_of, spread_out
from numerai_lab.neural.networks import Stack, arrays_of, linear, relu_net, repeatable
from numerai_lab.neural.training import take_up, written
from numerai_lab.neural.umap_learn import umap_learn

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PER_EDGE = 5.0
"""Rows that an edge is pushed away from, in weight; umap-learn's negative_sample_rate."""
FLOOR = 1e-3
"""Added to squared distances: keeps both logarithms, and the push between rows that coincide, finite."""
WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""
KEEP_EVERY = 100


@dataclass(frozen=True)
class Plan:
    """How to train; the fields are parameters of the component, which describes them."""

    steps: int
    batch_size: int
    negatives: int
    learning_rate: float
    global_weight: float = 0.0


@dataclass(frozen=True)
class Space:
    """Landmarks as principal scores, with their nearest neighbours.

    projection (columns of rows spread out × components), shift (components): float32, from rows to scores, whose unit is the
    root mean square distance to the last neighbour. positions, distances: landmarks × n_neighbors, each its own first one.
    """

    scores: Tensor
    projection: Tensor
    shift: Tensor
    positions: Int64
    distances: Float32

    def graph(self) -> "csr_matrix":
        """umap-learn's fuzzy simplicial set: symmetric memberships."""
        rows = np.empty((len(self.positions), 1), np.float32)  # not looked at where neighbours are given; nor is the random state
        neighbours = {"knn_indices": self.positions, "knn_dists": self.distances}
        with umap_learn() as umap:
            found = umap.fuzzy_simplicial_set(rows, self.positions.shape[1], None, "precomputed", **neighbours)
        graph: csr_matrix = found[0].tocsr()
        return graph


def neighbourhoods(
    landmarks: Tensor, metric: Metric, n_principal: int, n_neighbors: int, progress: Progress = no_progress
) -> Space:
    """The space of some rows, in the units and dtype of the panel."""
    mean, axes = principal_axes(landmarks, metric, n_principal)
    projection, shift = (torch.from_numpy(values.astype(np.float32)).to(landmarks.device) for values in (axes, -mean @ axes))
    space = within(landmarks, metric, projection, shift, n_neighbors, progress)
    last = space.distances[:, -1].astype(np.float64) ** (2 if metric == "euclidean" else 1)
    reach = float(np.sqrt(last.mean())) or 1.0
    return replace(space, scores=space.scores / reach, projection=projection / reach, shift=shift / reach)


def within(
    rows: Tensor, metric: Metric, projection: Tensor, shift: Tensor, n_neighbors: int, progress: Progress = no_progress
) -> Space:
    """The space of some rows by a projection that is there."""
    scores = scores_of(rows, metric, projection, shift)
    positions, squared = neighbours(scores, n_neighbors, progress)
    return Space(scores, projection, shift, positions, np.sqrt(squared) if metric == "euclidean" else squared)


def curve(min_dist: float) -> tuple[float, float]:
    """a and b of q = 1 / (1 + a d^2b), as umap-learn fits them."""
    with umap_learn() as umap:
        a, b = umap.find_ab_params(1.0, min_dist)
    return float(a), float(b)


class Encoder(nn.Module):
    """Principal scores → columns: the scores themselves, turned, plus what layers with ReLU make of them."""

    def __init__(self, n_in: int, hidden: Sequence[int], n_out: int, init: torch.Generator) -> None:
        super().__init__()
        self.body = relu_net([n_in, *hidden, n_out], init)
        self.straight = linear(n_in, n_out, init)
        with torch.no_grad():
            # It starts as the projection on the first components, which has most of the neighbourhoods right already.
            self.straight.weight.copy_(torch.eye(n_out, n_in))
            self.straight.bias.zero_()
            self.body[-1].weight.mul_(0.1)  # type: ignore[operator]

    def forward(self, scores: Tensor) -> Tensor:
        columns: Tensor = self.straight(scores) + self.body(scores)
        return columns

    def arrays(self) -> list[tuple[Float32, Float32]]:
        """Weight (out × in) and bias of every layer of the body, then of the straight path."""
        return [*arrays_of(self.body), *arrays_of(self.straight)]

    def take(self, arrays: Sequence[tuple[Float32, Float32]]) -> None:
        """The inverse of `arrays`."""
        layers = [layer for part in (self.body, self.straight) for layer in part.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, (weight, bias) in zip(layers, arrays, strict=True):
                layer.weight.copy_(torch.from_numpy(weight))
                layer.bias.copy_(torch.from_numpy(bias))


class Embedding:
    """Rows in the units of the panel → columns, by what `neighbourhoods` and `Encoder.arrays` gave."""

    def __init__(
        self,
        metric: Metric,
        projection: Float32,
        shift: Float32,
        layers: Sequence[tuple[Float32, Float32]],
        device: torch.device,
    ) -> None:
        self.metric = metric
        self.projection, self.shift = torch.from_numpy(projection).to(device), torch.from_numpy(shift).to(device)
        self.body, self.straight = Stack(layers[:-1], device), Stack(layers[-1:], device)

    def __call__(self, cells: Tensor) -> Tensor:
        scores = torch.addmm(self.shift, spread_out(cells, self.metric), self.projection)
        return self.straight(scores) + self.body(scores)


def cross_entropy(
    heads: Tensor, tails: Tensor, others: Tensor, weights: Tensor, ab: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """(pull, push): the mean −log q of edges, and PER_EDGE × the weighted mean −log(1 − q) of heads and others.

    heads, tails: edges × columns; others: rows × columns; weights: edges × rows, summing to 1.
    """
    a, b = ab
    near = math.log(a) + b * torch.log((heads - tails).square().sum(1) + FLOOR)
    squared = torch.addmm(others.square().sum(1), heads, others.T, alpha=-2) + heads.square().sum(1, keepdim=True)
    far = math.log(a) + b * torch.log(squared.clamp_min(0) + FLOOR)
    return softplus(near).mean(), PER_EDGE * (weights * softplus(-far)).sum()


def alike(columns: Tensor, scores: Tensor, others: Tensor) -> Tensor:
    """Correlation of the distances of rows to others of them, in columns and in scores (Sainburg et al. 2021's global term)."""
    pairs = torch.stack([torch.sqrt((each - each[others]).square().sum(1) + FLOOR) for each in (columns, scores)])
    return torch.corrcoef(pairs)[0, 1]


def train(encoder: Encoder, space: Space, ab: tuple[float, float], plan: Plan, seed: int, context: FitContext) -> Float32:
    """Trains in place. Returns the curve: float32, a row every KEEP_EVERY steps: step, mean pull and mean push since the last.

    Every step draws from a stream of its own, so a checkpoint is weights, moments and the number of steps. On a CPU it runs on
    one thread: the weights do not depend on how many there are, and steps this small wait for each other on a busy machine.
    """
    loop = _Loop(encoder, space, ab, plan, seed)
    kept = context.load_checkpoint()
    if kept is not None:
        loop.load(kept)
    with _one_thread(), repeatable(space.scores.device):
        while loop.step < plan.steps:
            loop.learn()
            if loop.step % KEEP_EVERY == 0 or loop.step == plan.steps:
                loop.note()
                context.save_checkpoint(loop.arrays())
            context.progress(loop.step, plan.steps, f"loss {sum(loop.curve[-1][1:]):.4g}" if loop.curve else "")
    return np.array(loop.curve, np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Edges:
    """Edges of a graph, drawn in proportion to their membership."""

    def __init__(self, graph: "csr_matrix") -> None:
        self.heads = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
        self.tails = graph.indices.astype(np.int64)
        self.until = np.cumsum(graph.data, dtype=np.float64)
        self.degree = np.asarray(graph.sum(0), np.float64).ravel()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Int64, Int64]:
        """Heads and tails."""
        at = np.searchsorted(self.until, rng.random(n) * self.until[-1], side="right")
        return self.heads[at], self.tails[at]

    def push_weights(self, heads: Int64, tails: Int64, n: int) -> Float32:
        """Of every head against the first n tails: such that tails, drawn by degree, count as if drawn evenly; 0 for itself."""
        weights = np.broadcast_to(1 / self.degree[tails[:n]], (len(heads), n)).copy()
        weights[heads[:, None] == tails[None, :n]] = 0
        np.fill_diagonal(weights, 0)  # an edge's own tail was not drawn apart from its head
        shares: Float32 = (weights / weights.sum()).astype(np.float32)
        return shares


class _Loop:
    """Everything that changes while training, and how it is written down."""

    def __init__(self, encoder: Encoder, space: Space, ab: tuple[float, float], plan: Plan, seed: int) -> None:
        self.encoder, self.scores, self.ab, self.plan, self.seed = encoder, space.scores, ab, plan, seed
        self.edges = Edges(space.graph())
        self.optimiser = torch.optim.AdamW(encoder.parameters(), lr=plan.learning_rate, weight_decay=0, fused=True)
        self.step = 0
        self.losses: list[Tensor] = []
        self.curve: list[list[float]] = []

    def learn(self) -> None:
        """One step of Adam on one batch of edges; the rate rises to its height and falls along half a cosine."""
        warm = min(1, (self.step + 1) / (WARM_UP * self.plan.steps))
        fall = (1 + math.cos(math.pi * self.step / self.plan.steps)) / 2
        self.optimiser.param_groups[0]["lr"] = self.plan.learning_rate * warm * fall
        self.optimiser.zero_grad()
        pull, push = self.loss(np.random.default_rng([self.seed, self.step]))
        (pull + push).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.losses.append(torch.stack([pull, push]).detach())
        self.step += 1

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Of a batch of edges, whose rows are encoded once each."""
        n = self.plan.batch_size
        heads, tails = self.edges.draw(n, rng)
        rows, places = np.unique(np.concatenate([heads, tails]), return_inverse=True)
        device = self.scores.device
        columns = self.encoder(self.scores[torch.from_numpy(rows).to(device)])[torch.from_numpy(places).to(device)]
        weights = self.edges.push_weights(heads, tails, self.plan.negatives)
        others = columns[n : n + self.plan.negatives]
        pull, push = cross_entropy(columns[:n], columns[n:], others, torch.from_numpy(weights).to(device), self.ab)
        if self.plan.global_weight:
            far = torch.from_numpy(rng.permutation(n)).to(device)
            scores = self.scores[torch.from_numpy(heads).to(device)]
            push = push + self.plan.global_weight * (1 - alike(columns[:n], scores, far))
        return pull, push

    def note(self) -> None:
        """Adds a point to the curve."""
        pull, push = torch.stack(self.losses).mean(0).tolist()
        self.losses = []
        self.curve.append([self.step, pull, push])
        if not math.isfinite(pull + push):
            raise NlabFailure(f"umap: the loss is {pull + push} after {self.step} steps; a lower learning_rate may help")

    def arrays(self) -> dict[str, Array]:
        """A checkpoint."""
        return {"curve": np.array(self.curve), **written(self.encoder, self.optimiser)}

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Takes up a checkpoint."""
        self.curve = arrays["curve"].tolist()
        self.step = int(self.curve[-1][0])
        take_up(arrays, self.encoder, self.optimiser)
