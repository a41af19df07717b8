"""TabM's network: beside its authors' package, and beside a loop over members that share nothing but values."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.core.progress import NO_CONTEXT
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.neural.era_losses import era_corr
from numerai_lab.neural.networks import generator_for
from numerai_lab.neural.predictors import Dropout, PredictionObjective
from numerai_lab.neural.stream_batches import StreamBatches
from numerai_lab.neural.tabm import TabMNetwork
from numerai_lab.neural.training import OptimiserSettings, train_for
from tests.conftest import make_panel

PANEL = make_panel()
MOMENTS = np.full(12, 2.0), np.full(12, math.sqrt(2))


def network(*hidden: int, members: int = 5, drawn: bool = True) -> TabMNetwork:
    """A network; drawn: with r, s and biases that differ between members, as after training."""
    built = TabMNetwork(MOMENTS, hidden, members, generator_for(1))
    if drawn:
        with torch.no_grad():
            for layer in built.trunk:
                for values in (layer.r, layer.s, layer.bias):
                    values.normal_(1, 0.3, generator=generator_for(2))
    return built


def rows(n: int = 50) -> torch.Tensor:
    return torch.randn((n, 12), generator=generator_for(3))


def test_every_member_is_a_plain_network_with_its_own_scaled_weights() -> None:
    built, x = network(16, 8), rows()
    outputs = built(x)
    assert outputs.shape == (50, 5)
    for i in range(5):
        hidden = x
        for layer in built.trunk:
            hidden = ((hidden * layer.r[i]) @ layer.weight.T * layer.s[i] + layer.bias[i]).relu()
        wanted = hidden @ built.head_weight[i, 0] + built.head_bias[i, 0]
        torch.testing.assert_close(outputs[:, i], wanted, atol=1e-5, rtol=1e-5)


def test_members_begin_with_shared_weights_and_biases_and_random_signs_of_the_inputs() -> None:
    first, second = network(16, 8, drawn=False).trunk
    assert set(first.r.detach().unique().tolist()) == {-1.0, 1.0}
    assert 0.25 < (first.r == 1).float().mean() < 0.75
    assert not torch.equal(first.r[0], first.r[1])
    for values in (first.s, second.r, second.s):
        assert (values == 1).all()
    for layer in (first, second):
        assert (layer.bias == layer.bias[0]).all()
    other = TabMNetwork(MOMENTS, [16, 8], 5, generator_for(9))
    assert not torch.equal(other.trunk[0].r, first.r)


def original(built: TabMNetwork) -> Any:
    """The network of its authors' package with the same weights."""
    tabm = pytest.importorskip("tabm", reason="pip install tabm")
    sizes = {"n_blocks": len(built.trunk), "d_block": len(built.trunk[0].weight), "k": len(built.level)}
    theirs = tabm.TabM.make(n_num_features=12, d_out=1, dropout=0.0, **sizes)
    with torch.no_grad():
        for own, block in zip(built.trunk, theirs.backbone.blocks, strict=True):
            for name in ("weight", "r", "s", "bias"):
                getattr(block[0], name).copy_(getattr(own, name))
        theirs.output.weight.copy_(built.head_weight.transpose(1, 2))
        theirs.output.bias.copy_(built.head_bias)
    return theirs


def test_outputs_and_gradients_are_those_of_the_authors_package() -> None:
    built, x, target = network(16, 16, 16), rows(), torch.randn(50, generator=generator_for(4))
    theirs = original(built)
    torch.testing.assert_close(built(x), theirs(x)[:, :, 0], atol=1e-5, rtol=1e-5)
    for outputs in (built(x), theirs(x)[:, :, 0]):
        era_corr(outputs, target).mean().backward()  # type: ignore[no-untyped-call]
    for own, block in zip(built.trunk, theirs.backbone.blocks, strict=True):
        for name in ("weight", "r", "s", "bias"):
            torch.testing.assert_close(getattr(own, name).grad, getattr(block[0], name).grad, atol=1e-6, rtol=1e-4)


def test_its_training_has_the_losses_of_the_authors_network_on_the_same_batches() -> None:
    """Squared errors: a correlation gives the bias of a unit that is active in all rows no gradient but rounding errors, and Adam
    makes whole steps of these."""
    blocks = TrainingStream(PANEL.only(range(1, 21)), ("raw",), PANEL.raw_names, 0)
    built = network(16, 16, drawn=False)
    theirs, batches = original(built), StreamBatches(blocks, 16, 0)
    optimiser = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    wanted = []
    for step in range(60):
        batch = batches.next()
        optimiser.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / 60)) / 2
        optimiser.zero_grad()
        outputs = theirs((batch.cells.float() / 4 - 0.5) * math.sqrt(8))[:, :, 0]
        loss = (outputs - (batch.target - 0.5)[:, None]).square().mean()  # type: ignore[operator, index]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 5.0)
        optimiser.step()
        wanted.append(loss.item())
    steps = OptimiserSettings(learning_rate=0.01, weight_decay=0.1, clip=5.0, evaluate_every=1)
    objective = PredictionObjective(built, "mse")
    curve = train_for(objective, StreamBatches(blocks, 16, 0), 60, steps, 0, NO_CONTEXT)
    np.testing.assert_allclose(curve[:, 1], wanted, rtol=0, atol=1e-5)
    assert np.mean(wanted[-20:]) < np.mean(wanted[:20])


def test_dropout_differs_between_members_and_is_off_in_predictions() -> None:
    built, x = network(256, drawn=False), rows().abs()
    whole, dropped = (built.hidden(x, dropout) for dropout in (None, Dropout(0.5, generator_for(0))))
    alive = whole > 0
    assert ((dropped == 0) & alive).sum() / alive.sum() == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(dropped[dropped > 0], 2 * whole[dropped > 0])
    assert not torch.equal(dropped[0] == 0, dropped[1] == 0)
    assert torch.equal(built.predicted(x), built.predicted(x))
