"""Nearest neighbours against brute force, metrics as Euclidean spaces, UMAP's constants, and its loss against every pair."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from numerai_lab.neural.neighbours import Metric, nearest, neighbours, spread_out
from numerai_lab.neural.umap_encoder import FLOOR, PER_EDGE, GraphEdges, cross_entropy
from numerai_lab.neural.umap_graph import MembershipCurve, membership_curve


@pytest.mark.parametrize(("n", "k"), [(3000, 15), (70, 15), (16, 16)])
def test_the_nearest_neighbours_are_those_of_brute_force(n: int, k: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 7)).astype(np.float32)
    distances = cdist(points, points, "sqeuclidean")
    positions, squared = nearest(torch.from_numpy(points), k)
    np.testing.assert_array_equal(positions.numpy(), np.argsort(distances, axis=1)[:, :k])
    np.testing.assert_allclose(squared.numpy(), np.sort(distances, axis=1)[:, :k], rtol=1e-4, atol=1e-6)


def test_a_row_is_its_own_first_neighbour_and_equal_rows_are_at_0() -> None:
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)).repeat(3, 1)
    positions, squared = nearest(points, 4)
    assert positions[:, 0].tolist() == list(range(120))
    assert (squared[:, :3] == 0).all()
    assert (squared[:, 3] > 0).all()


@pytest.mark.parametrize(
    ("metric", "named"),
    [
        ("euclidean", "sqeuclidean"),
        ("manhattan", "cityblock"),
        ("cosine", "cosine"),
        ("correlation", "correlation"),
        ("hamming", "hamming"),
    ],
)
def test_every_metric_is_in_proportion_to_squared_distances_of_rows_spread_out(metric: Metric, named: str) -> None:
    cells = np.random.default_rng(0).integers(0, 5, (30, 9), dtype=np.int8)
    spread = spread_out(torch.from_numpy(cells), metric).numpy()
    ratio = (cdist(spread, spread, "sqeuclidean") + np.eye(30)) / (cdist(cells, cells, named) + np.eye(30))
    np.testing.assert_allclose(ratio[~np.eye(30, dtype=bool)], ratio[0, 1], rtol=1e-4)


@pytest.mark.parametrize(("min_dist", "a", "b"), [(0.0, 1.9328, 0.7905), (0.1, 1.5769, 0.8951), (0.25, 1.1214, 1.0575)])
def test_the_constants_of_the_curve_follow_from_min_dist(min_dist: float, a: float, b: float) -> None:
    np.testing.assert_allclose(membership_curve(min_dist), (a, b), atol=5e-4)


def test_the_loss_of_drawn_edges_is_on_average_that_of_every_pair() -> None:
    rng = np.random.default_rng(0)
    n, (a, b) = 40, membership_curve(0.1)
    points = rng.normal(size=(n, 3)).astype(np.float32)
    upper = np.triu(rng.random((n, n)) * (rng.random((n, n)) < 0.2), 1)
    memberships = upper + upper.T
    q = 1 / (1 + a * (cdist(points, points, "sqeuclidean") + FLOOR) ** b)
    pull = (memberships * -np.log(q)).sum() / memberships.sum()
    others = ~np.eye(n, dtype=bool)
    by_head = np.where(others, -np.log1p(-q), 0).sum(1) / (n - 1)
    push = PER_EDGE * (memberships.sum(1) * by_head).sum() / memberships.sum()

    edges, columns = GraphEdges(csr_matrix(memberships)), torch.from_numpy(points)
    found = []
    for _ in range(200):
        heads, tails = edges.draw(256, rng)
        weights = torch.from_numpy(edges.push_weights(heads, tails, 128))
        parts = cross_entropy(columns[heads], columns[tails], columns[tails[:128]], weights, MembershipCurve(a, b))
        found.append([part.item() for part in parts])
    np.testing.assert_allclose(np.mean(found, axis=0), (pull, push), rtol=0.01)


def test_the_gradient_is_finite_where_rows_coincide() -> None:
    columns = torch.zeros(8, 3, requires_grad=True)
    pull, push = cross_entropy(columns[:4], columns[4:], columns[4:6], torch.full((4, 2), 1 / 8), membership_curve(0.0))
    (pull + push).backward()
    assert columns.grad is not None
    assert torch.isfinite(columns.grad).all()
    assert math.isfinite(push.item())


@pytest.mark.slow
def test_of_many_points_most_neighbours_are_found_in_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    exact, squared = neighbours(points, 15)
    monkeypatch.setattr("numerai_lab.neural.neighbours.EXACT_POINTS", 1000)
    found, near = neighbours(points, 15)
    assert found.dtype == exact.dtype
    assert np.mean([len(np.intersect1d(a, b)) / 15 for a, b in zip(exact, found, strict=True)]) > 0.9
    assert (found[:, 0] == np.arange(3000)).all()
    np.testing.assert_allclose(near[:, :3], squared[:, :3], rtol=0.5, atol=1e-5)
    np.testing.assert_array_equal(neighbours(points, 15)[0], found)


@pytest.mark.parametrize("metric", ["manhattan", "hamming"])
def test_metrics_that_count_bins_round_other_values_to_them(metric: Metric) -> None:
    cells = torch.randint(0, 5, (20, 6), generator=torch.Generator().manual_seed(0))
    assert torch.equal(spread_out(cells + 0.3, metric), spread_out(cells, metric))
    assert torch.equal(spread_out(cells - 0.3, metric), spread_out(cells, metric))
