"""Autoencoders find planted factors; the placebo is the same encoder untrained; what is kept is what was trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from numerai_lab.generators.autoencoder import Autoencoder, RandomEncoder
from numerai_lab.neural.denoising import MaskedModelling, SwapDenoising, bins
from numerai_lab.neural.networks import Encoder, Stack, generator_for, relu_net
from numerai_lab.neural.rows import column_moments, draw
from tests.conftest import NETWORK, TRAINING, make_panel
from tests.generators import planted


@pytest.mark.parametrize("objective", ["swap", "masked"])
def test_planted_factors_are_found_far_better_than_by_an_untrained_encoder(objective: str) -> None:
    r2 = planted.probe(Autoencoder.model_validate({**planted.SHAPE, **planted.TRAINING, "objective": objective}))
    assert r2.factors >= planted.untrained().factors + 0.2
    assert r2.factors >= 0.85  # measured .90; factor analysis .925
    assert r2.least_deviation > 0.05
    assert r2.effective_rank >= planted.N_FACTORS


def test_the_deep_stack_emits_every_hidden_activation() -> None:
    panel = make_panel()
    model = Autoencoder.model_validate({**NETWORK, **TRAINING, "emit": "deep_stack", "n_layers": 3})
    fitted = model.fit(panel, np.random.default_rng(0))
    block = panel.block(20)
    values = fitted.transform(block)
    assert values.shape == (40, 48)
    assert len(set(fitted.names_out())) == 48
    hidden = block.features.astype(np.float32)
    for i in range(3):
        state = fitted.state()
        hidden = np.maximum(hidden @ state[f"weights_{i}_"].T + state[f"biases_{i}_"], 0)
        np.testing.assert_allclose(values[:, 16 * i : 16 * i + 16], hidden, atol=1e-4)


def test_kept_layers_equal_the_trained_encoder_with_its_standardisation() -> None:
    panel = make_panel()
    rng = np.random.default_rng(0)
    encoder = Encoder(column_moments(panel, rng), [12, 16, 3], generator_for(0))
    cells = torch.from_numpy(panel.block(20).features)
    wanted = encoder(cells).detach().numpy()
    stack = Stack(encoder.stack(), torch.device("cpu"))
    np.testing.assert_allclose(stack(cells.float()).numpy(), wanted, atol=1e-5)
    standard = encoder.standard(torch.from_numpy(panel.features)).numpy()
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(standard.std(0), 1, atol=1e-5)


def test_a_constant_feature_takes_no_part() -> None:
    panel = make_panel()
    panel.features[:, 4] = 2
    encoder = Encoder(column_moments(panel, np.random.default_rng(0)), [12, 3], generator_for(0))
    assert (encoder.stack()[0][0][:, 4] == 0).all()
    assert (encoder.standard(torch.from_numpy(panel.features))[:, 4] == 0).all()


def test_the_untrained_start_carries_a_rows_spread_through_the_layers() -> None:
    net = relu_net([100, 256, 256, 32], generator_for(0))
    given = torch.randn(500, 100, generator=generator_for(1))
    assert net[:4](given).square().mean().item() == pytest.approx(1, abs=0.15)  # He's start keeps the second moment


def test_bins_are_the_cells_or_fifths_of_continuous_ones() -> None:
    assert bins(torch.tensor([0, 2, 4], dtype=torch.int8)).tolist() == [0, 2, 4]
    assert bins(torch.tensor([0.0, 0.19, 0.2, 0.5, 0.99, 1.0])).tolist() == [0, 0, 1, 2, 4, 4]


def test_masked_modelling_starts_at_ln_5_a_cell_and_cannot_see_what_it_must_tell() -> None:
    panel = make_panel(n_rows=200)
    rng = np.random.default_rng(0)
    encoder = Encoder(column_moments(panel, rng), [12, 16, 3], generator_for(0))
    batch = draw(panel, 512, 4, rng)
    all_masked = MaskedModelling(encoder, [16], 0.99999, generator_for(1))
    all_masked.share = 1.0
    shuffled = replace(batch, cells=torch.from_numpy(rng.permuted(batch.cells.numpy(), axis=0)))
    told = [all_masked.loss(each, generator_for(0)).item() for each in (batch, shuffled)]
    assert told[0] == pytest.approx(told[1], rel=1e-6)  # with every cell masked it says the same of every row
    loss = MaskedModelling(encoder, [16], 0.15, generator_for(1)).loss(batch, generator_for(0)).item()
    assert loss == pytest.approx(np.log(5), abs=0.3)


def test_swap_denoising_is_scored_on_the_cells_before_they_were_swapped() -> None:
    panel = make_panel(n_rows=200)
    rng = np.random.default_rng(0)
    encoder = Encoder(column_moments(panel, rng), [12, 12], generator_for(0))
    objective = SwapDenoising(encoder, [], 0.25, generator_for(1))
    with torch.no_grad():  # relu(x + 9) - 9 is the identity: what is left of the error is that of swapped cells
        encoder.net[0].weight.copy_(torch.eye(12))
        encoder.net[0].bias.fill_(9)
        objective.decoder[1][0].weight.copy_(torch.eye(12))
        objective.decoder[1][0].bias.fill_(-9)
    loss = objective.loss(draw(panel, 1024, 8, rng), generator_for(0)).item()
    assert loss == pytest.approx(0.25 * 2, rel=0.1)  # two independent draws of variance 1 differ by 2


def test_the_placebo_learns_nothing_but_each_features_mean_and_deviation() -> None:
    panel = make_panel()
    shuffled = make_panel()
    for column in shuffled.features.T:
        np.random.default_rng(0).shuffle(column)
    one, other = (RandomEncoder().fit(p, np.random.default_rng(0)).state() for p in (panel, shuffled))
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], atol=1e-6)
