"""PCA, PaCMAP and parametric UMAP: what 12 columns keep of the neighbourhoods of 20,000 rows × 780 bins that they are fitted on.

Two worlds: features that are linear in 8 factors, and `clusters`, whose features show eight hidden clusters. PaCMAP comes with
`pip install pacmap faiss-cpu`, which nothing else needs; without it its row is left out. Run with `make bench-embeddings`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from numerai_lab.core.panel import Panel
from numerai_lab.data.world import World
from numerai_lab.data.world_size import Size
from numerai_lab.data.worlds import WORLDS, WorldDescription
from numerai_lab.data.worlds import Block as FeatureBlock
from numerai_lab.generators import Generator
from numerai_lab.generators.linear import PCA
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.neural.neighbours import nearest
from tests.bench.embedding import neighbours_kept
from tests.conftest import make_panel

ROWS, P, D, K = 20_000, 780, 12, 15
LINEAR = WorldDescription((FeatureBlock("factor", 160, 0.5),))


@dataclass(frozen=True)
class Shown:
    """Rows of a world, and the cluster of each."""

    panel: Panel
    cluster: np.ndarray


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shown(description: WorldDescription, n_eras: int) -> Shown:
    """20,000 rows × 780 features, in so many eras: the fewer, the fewer neighbours of a stock are itself in other weeks."""
    n_rows = ROWS // n_eras
    world = World(Size.even(n_eras, n_rows, 0, P), 0, description)
    eras = [era for era in world.eras() if era.number <= n_eras]
    features = np.concatenate([world.features.bins(era.number, era.state) for era in eras])
    starts = np.arange(n_eras) * n_rows
    panel = replace(
        make_panel(n_eras, 2), features=features, n_raw=P, bounds=np.column_stack([starts, starts + n_rows]), target=None
    )
    return Shown(panel, np.concatenate([era.state.cluster for era in eras]))


def by_generator(generator: Generator) -> Callable[[Panel], np.ndarray]:
    def columns(panel: Panel) -> np.ndarray:
        fitted = generator.fresh().fit(panel, np.random.default_rng(0))
        return np.concatenate([fitted.transform(block) for block in panel.blocks()])

    return columns


def by_pacmap(panel: Panel) -> np.ndarray:
    import pacmap

    reducer = pacmap.PaCMAP(n_components=D, random_state=0)
    return np.asarray(reducer.fit_transform(panel.features.astype(np.float32)), np.float32)


WAYS: dict[str, Callable[[Panel], np.ndarray]] = {
    "pca": by_generator(PCA(n_components=D)),
    **({"pacmap": by_pacmap} if find_spec("pacmap") else {}),
    "umap": by_generator(UMAPParametric(n_components=D, landmarks=ROWS)),
}


def same_cluster(columns: np.ndarray, cluster: np.ndarray) -> float:
    """The share of the 15 nearest neighbours by these columns that are of the row's own hidden cluster."""
    positions, _ = nearest(torch.from_numpy(np.ascontiguousarray(columns)), K)
    return float((cluster[positions.numpy()] == cluster[:, None]).mean())


def measured(description: WorldDescription, n_eras: int) -> dict[str, tuple[float, float]]:
    """Share of the 15 nearest neighbours kept, and of those by columns that are of the own cluster, by way; printed."""
    rows = shown(description, n_eras)
    columns, seconds = {}, {}
    for name, way in WAYS.items():
        start = time.process_time()
        columns[name] = way(rows.panel)
        seconds[name] = time.process_time() - start
    kept = neighbours_kept(rows.panel.features, list(columns.values()))[:, 1]
    shares = {name: same_cluster(made, rows.cluster) for name, made in columns.items()}
    raw = same_cluster(rows.panel.features.astype(np.float32), rows.cluster)
    for name, share in zip(columns, kept, strict=True):
        print(f"  {name}: 15-NN kept {share:.3f}, of the own cluster {shares[name]:.3f} (raw {raw:.3f}); {seconds[name]:.0f} s")
    return {name: (float(share), shares[name]) for name, share in zip(columns, kept, strict=True)}


def test_linear_factors_are_kept_by_pca() -> None:
    print("\n20,000 × 780 linear in 8 factors, ten eras, to 12 columns")
    found = measured(LINEAR, 10)
    assert all(found["pca"][0] > kept for name, (kept, _) in found.items() if name != "pca")


def test_clusters_are_shown_by_umap_and_pca_alike() -> None:
    print("\n20,000 × 780 of the world clusters, one era, to 12 columns")
    shares = {name: share for name, (_, share) in measured(WORLDS["clusters"], 1).items()}
    assert min(shares["pca"], shares["umap"]) > 0.999
    assert shares["umap"] >= shares.get("pacmap", 0)
