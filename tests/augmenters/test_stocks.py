"""What plain networks and an embedding make of planted factors: better than independent cells, and what each promises."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters.stocks import Dream, NoiseToStock, UNet
from numerai_lab.augmenters.umap_inverse import UMAPInverse, _within
from numerai_lab.core.panel import Block, Panel
from tests.conftest import make_panel

TINY = {"batch_size": 256, "max_steps": 300, "learning_rate": 5e-3}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def planted() -> Panel:
    return make_panel(n_eras=20, n_rows=200)


def correlations(blocks: list[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Between features, and of features with the target."""
    matrix = np.corrcoef(np.concatenate([np.column_stack([block.features, block.target]) for block in blocks]).T)
    return matrix[:-1, :-1][np.triu_indices(12, 1)], matrix[-1, :-1]


def alike(made: list[Block], panel: Panel) -> tuple[float, float]:
    """How well made correlations go with the real ones, over pairs of features and over features."""
    pairs = zip(correlations(made), correlations(list(panel.blocks())), strict=True)
    one, other = (float(np.corrcoef(found, real)[0, 1]) for found, real in pairs)
    return one, other


def exact(block: Block, shares: np.ndarray) -> bool:
    counts = np.array([np.bincount(column, minlength=5) for column in block.features.T])
    return bool(np.abs(counts - shares * len(block)).max() <= 1)


def test_a_network_that_gives_rows_back_turns_noise_into_rows_with_their_correlations(planted: Panel) -> None:
    fitted = NoiseToStock.model_validate({**TINY, "hidden": 16}).fit(planted, rng())  # a wide one lets more noise through
    made = [fitted.invent(i, 200, rng(i)) for i in range(10)]
    assert min(alike(made, planted)) > 0.8
    assert exact(made[0], fitted.feature_shares_)
    untrained = NoiseToStock.model_validate({**TINY, "hidden": 16, "max_steps": 1}).fit(planted, rng())
    assert max(alike([untrained.invent(i, 200, rng(i)) for i in range(10)], planted)) < 0.6


def test_dropout_stays_on_and_makes_other_rows_of_the_same_noise(planted: Panel) -> None:
    for dropout, same in ((0.0, True), (0.5, False)):
        tiny = {**TINY, "hidden": 16, "max_steps": 5, "dropout": dropout, "device": "cpu"}
        network = NoiseToStock.model_validate(tiny).fit(planted, rng())._ready()
        import torch

        shown = torch.zeros((3, 12))
        one, other = (network(shown, torch.Generator().manual_seed(i)) for i in range(2))
        assert torch.equal(one, other) == same


def test_a_dream_excites_the_network_more_moves_rows_a_little_and_keeps_the_target(planted: Panel) -> None:
    import torch

    fitted = Dream.model_validate({**TINY, "hidden": 32, "device": "cpu"}).fit(planted, rng())
    block = planted.block(3)
    made = fitted.augment(block, rng())
    network = fitted._ready()

    def excitement(features: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.net[:-1](torch.from_numpy(features.astype(np.float32) / 4 - 0.5)).mean(1).numpy()

    assert (excitement(made.features) > excitement(block.features)).mean() > 0.99
    moved = np.abs(made.features - block.features) / 4
    assert 0.01 < moved.mean() < 0.05  # five steps of .01, each of unit spread over the features
    assert made.features.min() >= 0
    assert made.features.max() <= 4
    assert made.target is block.target
    np.testing.assert_array_equal(fitted.augment(block.take(np.arange(200) < 50), rng()).features, made.features[:50])


def test_dreams_are_a_twentieth_of_the_rows() -> None:
    assert Dream().n_of(200) == 10


def test_a_unet_gives_rows_back_with_their_correlations_in_exact_bins(planted: Panel) -> None:
    fitted = UNet.model_validate({**TINY, "wide": 32, "narrow": 4}).fit(planted, rng())
    made = [fitted.augment(block, rng()) for block in planted.blocks()]
    assert min(alike(made, planted)) > 0.9
    assert exact(made[0], fitted.feature_shares_)
    assert made[0].target is not None
    np.testing.assert_array_equal(made[0].target, planted.block(1).target)
    same = np.mean([(one.features == real.features).mean() for one, real in zip(made, planted.blocks(), strict=True)])
    assert 0.3 < same < 0.95  # far more than the fifth of chance, and no copies


def test_the_head_of_a_unet_names_targets_that_go_with_the_real_ones(planted: Panel) -> None:
    fitted = UNet.model_validate({**TINY, "wide": 32, "narrow": 4, "target": "head"}).fit(planted, rng())
    made = [fitted.augment(block, rng()).target for block in planted.blocks()]
    assert np.corrcoef(np.concatenate(made), planted.target)[0, 1] > 0.4  # type: ignore[arg-type]  # of .7 that there is


def test_points_lie_evenly_within_the_hull() -> None:
    triangle = np.array([[0.0, 0], [1, 0], [0, 1], [0.1, 0.1]])
    points = _within(triangle, 4000, rng())
    assert (points >= 0).all()
    assert (points.sum(1) <= 1 + 1e-6).all()
    np.testing.assert_allclose(points.mean(0), 1 / 3, atol=0.02)


def test_rows_turned_back_from_an_embedding_have_correlations_of_the_right_sign(planted: Panel) -> None:
    settings = {"landmarks": 600, "pool": 300, "n_epochs": 100}
    fitted = UMAPInverse.model_validate(settings).fit(planted, rng())
    made = fitted.invent(0, 300, rng())
    assert alike([made], planted)[0] > 0.6
    assert exact(made, fitted.feature_shares_)


def test_landmarks_of_an_embedding_come_from_all_eras() -> None:
    panel = make_panel(60, 40)
    marked = replace(panel, target=np.repeat(panel.eras, 40).astype(np.float32))
    for n in (150, 1000):
        eras, counts = np.unique(UMAPInverse(landmarks=n)._landmarks(marked, np.random.default_rng(0))[:, -1], return_counts=True)
        assert eras.tolist() == panel.eras.tolist()
        assert counts.sum() == n
        assert counts.max() - counts.min() <= 1
