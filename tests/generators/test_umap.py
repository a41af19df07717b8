"""UMAP: neighbours stay together, columns come from transform, landmarks are spread evenly."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.generators.landmarks import landmarks
from numerai_lab.generators.umap_exact import UMAPExact
from tests.conftest import make_panel


def blobs(n_rows: int, seed: int) -> tuple[Block, np.ndarray]:
    """Five far clusters of binned rows."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).integers(0, 5, (5, 30))
    label = rng.integers(0, 5, n_rows)
    moved = centres[label] + rng.integers(-1, 2, (n_rows, 30)) * (rng.random((n_rows, 30)) < 0.2)
    return Block(1, np.clip(moved, 0, 4).astype(np.int8), 4.0), label


def as_panel(block: Block) -> Panel:
    base = make_panel(n_eras=1, n_rows=len(block), n_features=block.features.shape[1])
    return replace(base, features=block.features)


def purity(points: np.ndarray, label: np.ndarray) -> float:
    """Share of the 15 nearest neighbours that have a row's own label."""
    distances = ((points[:, None] - points[None]) ** 2).sum(-1)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :15]
    return float((label[nearest] == label[:, None]).mean())


def test_blobs_keep_their_neighbours_on_rows_that_were_not_fitted() -> None:
    train, _ = blobs(600, seed=1)
    held_out, label = blobs(400, seed=2)
    fitted = UMAPExact(n_components=2, landmarks=600).fit(as_panel(train), np.random.default_rng(0))
    assert purity(fitted.transform(held_out), label) > 0.99


def test_columns_of_fitted_rows_come_from_transform_not_from_the_layout() -> None:
    block, _ = blobs(300, seed=1)
    fitted = UMAPExact(n_components=2, landmarks=300, n_epochs=30).fit(as_panel(block), np.random.default_rng(0))
    assert len(fitted.landmarks_) == 300
    np.testing.assert_array_equal(fitted.landmarks_, block.unit())
    assert not np.array_equal(fitted.transform(block), fitted.embedding_)


def test_landmarks_are_drawn_evenly_from_the_eras() -> None:
    panel = make_panel(n_eras=10, n_rows=40)
    marked = replace(panel, features=np.repeat(np.arange(10), 40)[:, None].astype(np.float32), n_raw=1, top=1.0)
    sample = landmarks(marked, 100, np.random.default_rng(0))
    assert np.bincount(sample[:, 0].astype(int)).tolist() == [10] * 10


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(NlabError, match="n_neighbors 15 needs more"):
        UMAPExact().fit(make_panel(n_eras=1, n_rows=10), np.random.default_rng(0))
