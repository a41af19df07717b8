"""Weights of eras where the training eras differ in a planted way, and the sums that they are computed from."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters.block_dro import BlockDRO
from numerai_lab.augmenters.ddg_da import DDGDA, _Task
from numerai_lab.augmenters.linear_proxy import EraRelations
from numerai_lab.core.arrays import Float64
from numerai_lab.core.panel import Panel
from tests.conftest import make_panel

N_ERAS, N_ROWS = 48, 60


def planted(signs: list[float], noise: float = 1.0, seed: int = 0) -> Panel:
    """An era's target follows its first feature with this sign, under noise."""
    rng = np.random.default_rng(seed)
    panel = make_panel(len(signs), N_ROWS, n_features=6)
    signal = (panel.features[:, 0] - 2.0) * np.repeat(signs, N_ROWS)
    return replace(panel, target=(signal / 8 + 0.5 + noise * rng.normal(size=len(signal)) / 8).astype(np.float32))


def by_era(weigher: BlockDRO | DDGDA, panel: Panel) -> Float64:
    """The weight of each era."""
    fitted = weigher.fit(panel, np.random.default_rng(0))
    return np.array([fitted.weigh(era, N_ROWS) for era in panel.eras.tolist()])


@pytest.mark.parametrize("bad", [0, 3, 7])
def test_block_dro_puts_weight_on_the_planted_bad_block(bad: int) -> None:
    signs = np.ones(N_ERAS)
    signs[6 * bad : 6 * bad + 6] = -1
    weights = by_era(BlockDRO(blocks=8), planted(signs.tolist()))
    blocks = weights.reshape(8, 6)
    assert (blocks == blocks[:, :1]).all()
    assert blocks[:, 0].argmax() == bad
    assert blocks[bad, 0] > 2 * np.delete(blocks[:, 0], bad).max()


def test_block_dro_weighs_blocks_of_one_relation_almost_alike() -> None:
    weights = by_era(BlockDRO(blocks=8), planted([1.0] * N_ERAS))
    assert weights.max() < 3 * weights.min()  # the noise of eight blocks moves them


def test_block_dro_takes_the_step_of_the_formula() -> None:
    panel = planted([1.0] * 8 + [-0.5] * 4)
    relations = EraRelations.of(panel, 64)
    groups = np.array_split(np.arange(12), 3)
    blocks = relations.over(groups)
    losses = relations.losses(blocks.coefficients(np.ones(3), 0.01))
    error = np.sqrt(np.mean([losses[group].var(ddof=1) / 4 for group in groups]))
    shares = np.exp(0.3 * np.array([losses[group].mean() for group in groups]) / error)
    weights = by_era(BlockDRO(blocks=3, steps=1, step_size=0.3), panel)
    np.testing.assert_allclose(weights[::4], 3 * shares / shares.sum())


@pytest.mark.parametrize("last", [1.0, -1.0])
def test_ddg_da_weighs_the_eras_more_whose_relation_is_that_of_the_last_ones(last: float) -> None:
    regimes = np.repeat([last, -last, last, -last, last], [20, 14, 24, 18, 14])
    weights = by_era(DDGDA(segment=2, history=3, gap=2), planted(regimes.tolist()))
    assert weights[regimes == last].mean() > 1.5 * weights[regimes != last].mean()
    assert weights.max() < 4 * weights.min() * (1 + 1e-9)  # most, 2, to either side


def test_ddg_da_weighs_the_eras_more_that_a_rhythm_of_the_past_announces() -> None:
    regimes = np.repeat([1.0, -1, 1, -1, 1], [10, 10, 10, 10, 8])  # the next turn is due two eras after the last one
    weights = by_era(DDGDA(segment=2, history=3, gap=2), planted(regimes.tolist()))
    assert weights[regimes == -1].mean() > 1.5 * weights[regimes == 1].mean()


def test_ddg_da_weighs_eras_of_one_relation_almost_alike() -> None:
    weights = by_era(DDGDA(segment=2, history=3, gap=2), planted([1.0] * N_ERAS, noise=0.1))
    assert weights.max() < 1.5 * weights.min()


def test_a_task_of_ddg_da_knows_the_segments_that_end_the_gap_before_its_test() -> None:
    segments, explained = EraRelations.of(planted([1.0] * 14), 64), np.random.default_rng(0).normal(size=(14, 14))
    tasks = DDGDA(history=3)._tasks(segments, explained, 2)
    assert [(task.test, task.past.shape) for task in tasks] == [(test, (test - 2, 3)) for test in range(6, 14)]
    for task in tasks:
        hidden = explained.copy()
        hidden[task.test - 2 :], hidden[:, task.test - 2 :] = np.nan, np.nan
        (again,) = [other for other in DDGDA(history=3)._tasks(segments, hidden, 2) if other.test == task.test]
        np.testing.assert_array_equal(again.past, task.past)


def test_the_loss_of_a_task_sees_no_segment_of_the_gap_before_its_test() -> None:
    panel = planted(np.random.default_rng(0).choice([-1.0, 1.0], N_ERAS).tolist())
    relations = EraRelations.of(panel, 64)
    theta, past = np.array([0.3, -0.2]), np.random.default_rng(1).normal(size=(20, 2))
    plain = _Task(relations, past, 24).loss(theta, 2.0, 0.01)
    grams, crosses = relations.grams.copy(), relations.crosses.copy()
    grams[20:24], crosses[20:24] = np.nan, np.nan
    hidden = _Task(EraRelations(relations.eras, grams, crosses), past, 24).loss(theta, 2.0, 0.01)
    assert plain[0] == hidden[0]


def test_the_gradient_of_a_task_is_that_of_its_loss() -> None:
    panel = planted(np.random.default_rng(0).choice([-1.0, 1.0], 24).tolist())
    task = _Task(EraRelations.of(panel, 64), np.random.default_rng(1).normal(size=(20, 3)), 22)
    theta, step = np.array([0.3, -0.2, 0.5]), 1e-5
    ends = [[task.loss(theta + sign * step * unit, 2.0, 0.1)[0] for sign in (1, -1)] for unit in np.eye(3)]
    numeric = [(up - down) / (2 * step) for up, down in ends]
    np.testing.assert_allclose(task.loss(theta, 2.0, 0.1)[1], numeric, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("n_inputs", [64, 3])
def test_losses_of_eras_are_the_squared_errors_of_the_linear_model(n_inputs: int) -> None:
    panel = make_panel(n_eras=4)
    relations = EraRelations.of(panel, n_inputs)
    coefficients = relations.coefficients(np.array([1.0, 2, 0, 0]), 0.1)
    x = [block.unit() - block.unit().mean(0) for block in panel.blocks()]
    y = [block.target - block.target.mean() for block in panel.blocks()]  # type: ignore[union-attr]
    if n_inputs < 12:
        pooled = sum(part.T.astype(np.float64) @ part for part in x)
        axes = np.linalg.eigh(pooled)[1][:, ::-1][:, :n_inputs]
        x = [part @ axes for part in x]
        coefficients = coefficients * np.sign(relations.crosses[0] * (x[0].T @ y[0]))
    wanted = [((b - a @ coefficients) ** 2).mean() / b.var() for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(relations.losses(relations.coefficients(np.array([1.0, 2, 0, 0]), 0.1)), wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ("weigher", "message"),
    [
        (BlockDRO(blocks=9), "block_dro: 9 blocks of two eras or more need 18 eras with two known targets, got 12; take fewer"),
        (DDGDA(gap=1), "ddg_da: two tasks need 40 eras with two known targets, got 12; take a smaller segment or history"),
        (DDGDA(), "ddg_da: the target's horizon is unknown; set gap"),
    ],
)
def test_too_few_eras_or_an_unknown_horizon_are_one_sentence(weigher: BlockDRO | DDGDA, message: str) -> None:
    assert weigher.refusal(make_panel(n_eras=12)).startswith(message)
