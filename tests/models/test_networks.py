"""Networks on the training stream: beside a plain torch loop, killed and resumed, loaded with an encoder's weights."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.augmenters import Augmenter
from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import MLP
from numerai_lab.neural import training
from numerai_lab.neural.networks import generator_for
from numerai_lab.neural.predictors import Dropout, MLPNetwork, PredictionObjective, Trunk
from numerai_lab.neural.stream_batches import StreamBatches, input_moments
from numerai_lab.neural.training import OptimiserSettings, train_for
from tests.conftest import component, make_panel

KINDS = ("mlp", "tabm")
kinds = pytest.mark.parametrize("kind", KINDS)
PANEL = make_panel()
STEPS = OptimiserSettings(learning_rate=0.01, weight_decay=0.1, clip=5.0, evaluate_every=1)


def stream(panel: Panel = PANEL, **augmenters: object) -> TrainingStream:
    return TrainingStream(panel.only(range(1, 21)), ("raw",), panel.raw_names, 0, augmenters)  # type: ignore[arg-type]


def trained(kind: str, blocks: TrainingStream, context: FitContext = NO_CONTEXT, **parameters: Any) -> Any:
    return component(kind, **{"epochs": 6, **parameters}).fit(blocks, np.random.default_rng(0), context)


def corr(model: Any, era: int = 25, panel: Panel = PANEL) -> float:
    block = panel.block(era)
    return float(np.corrcoef(model.predict(block.matrix(["raw"])), block.target)[0, 1])  # type: ignore[arg-type]


class Killed(Exception):
    """Stands for the end of a process."""


def plain_losses(batches: StreamBatches, network: MLPNetwork, loss: str, n_steps: int) -> list[float]:
    """The losses of a loop as the tutorials of torch have it, on a network of the same weights."""
    layers: list[torch.nn.Module] = []
    for own in (*network.trunks[0].linears, network.heads[0]):  # type: ignore[union-attr, operator]
        layer = torch.nn.Linear(own.in_features, own.out_features)
        layer.load_state_dict(own.state_dict())
        layers += [layer, torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: (1 + math.cos(math.pi * step / n_steps)) / 2)
    losses = []
    for _ in range(n_steps):
        batch = batches.next()
        x, y = (batch.cells.float() / 4 - 0.5) * math.sqrt(8), batch.target
        p = net(x)[:, 0]
        squared = torch.nn.functional.mse_loss(p, y - 0.5)  # type: ignore[operator]
        value = squared if loss == "mse" else 1 - torch.corrcoef(torch.stack([p, y]))[0, 1]  # type: ignore[list-item]
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        losses.append(value.item())
    return losses


@pytest.mark.parametrize("loss", ["era_corr", "mse"])
def test_the_losses_are_those_of_a_plain_torch_loop_on_the_same_batches(loss: Any) -> None:
    blocks = stream(c=component("cutout"))
    network = MLPNetwork(input_moments(blocks, np.random.default_rng(0)), [16, 8], 1, generator_for(1))
    wanted = plain_losses(StreamBatches(blocks, 16, 0), network, loss, 60)
    objective = PredictionObjective(network, loss)
    curve = train_for(objective, StreamBatches(blocks, 16, 0), 60, STEPS, 0, NO_CONTEXT)
    np.testing.assert_allclose(curve[:, 1], wanted, rtol=0, atol=1e-5)
    assert wanted[-1] < 0.8 * wanted[0]


@kinds
@pytest.mark.parametrize("dies_at", [1, 20, 47, 120])
def test_a_training_killed_at_any_step_ends_with_the_same_bytes(kind: str, dies_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoints in the middle of an epoch too, which a clock decides on."""
    clock = iter(range(0, 100_000, 9))
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))  # type: ignore[attr-defined]
    blocks = stream(n=component("gaussian_noise", weight=0.5))
    whole = trained(kind, blocks).saved()
    checkpoints: list[bytes] = []

    def dies(done: int, total: int, note: str = "") -> None:
        if done == dies_at:
            raise Killed

    with pytest.raises(Killed):
        trained(kind, blocks, FitContext(dies, save_checkpoint=lambda arrays: checkpoints.append(arrays_to_bytes(arrays))))
    seen: list[int] = []
    context = FitContext(
        lambda done, total, note="": seen.append(done),
        load_checkpoint=lambda: arrays_from_bytes(checkpoints[-1]) if checkpoints else None,
    )
    assert trained(kind, blocks, context).saved() == whole
    assert dies_at - 8 <= seen[0] <= dies_at + 1
    assert seen[0] > 1 or dies_at < 8


@kinds
def test_checkpoints_are_written_at_the_ends_of_epochs_and_no_more_than_once_a_minute_in_between(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def note(arrays: Mapping[str, Array]) -> None:
        written.append(int(arrays["step"]))

    trained(kind, stream(), FitContext(save_checkpoint=note), epochs=3)
    assert written == [20, 40, 60]


@kinds
def test_a_loss_that_is_not_finite_is_a_failure_with_a_way_out(kind: str) -> None:
    huge = replace(PANEL, target=PANEL.target * np.float32(1e30))  # type: ignore[operator]
    with pytest.raises(NlabFailure, match=r"the loss is (nan|inf) after 20 steps; a lower learning_rate may help"):
        trained(kind, stream(huge), loss="mse")


@kinds
@pytest.mark.parametrize("loss", ["era_corr", "numerai_corr", "mse"])
def test_every_loss_learns_the_planted_signal(kind: str, loss: str) -> None:
    assert corr(trained(kind, stream(), loss=loss)) > 0.3


@kinds
def test_predictions_of_the_squared_error_are_on_the_scale_of_the_target(kind: str) -> None:
    model = trained(kind, stream(), loss="mse", epochs=20)
    predictions = model.predict(PANEL.block(25).matrix(["raw"]))
    assert predictions.mean() == pytest.approx(0.5, abs=0.1)
    assert 0.02 < predictions.std() < 0.25


@kinds
def test_a_penalty_on_exposure_makes_predictions_less_correlated_with_every_feature(kind: str) -> None:
    def exposure(weight: float) -> float:
        model = trained(kind, stream(), exposure_weight=weight)
        X = PANEL.block(25).matrix(["raw"])
        return float(np.mean(np.corrcoef(np.column_stack([model.predict(X), X]).T)[0, 1:] ** 2))

    assert exposure(20.0) < 0.5 * exposure(0.0)


@kinds
def test_a_penalty_on_exposure_leaves_generated_columns_alone(kind: str) -> None:
    """Where the only signal is a generated column, the penalty costs it nothing."""
    signal = (PANEL.target[:, None] + np.random.default_rng(0).normal(0, 0.2, (PANEL.n_rows, 1))).astype(np.float32)  # type: ignore[index]
    noise = np.random.default_rng(1).integers(0, 5, PANEL.features.shape).astype(np.int8)
    wide = replace(PANEL, features=noise).with_columns("g", signal)
    blocks = TrainingStream(wide.only(range(1, 21)), ("raw", "g"), (*wide.raw_names, "g_1"), 0)
    block = wide.block(25)
    X = block.matrix(["raw", "g"])
    penalised, free = (trained(kind, blocks, exposure_weight=weight) for weight in (20.0, 0.0))
    of_penalised, of_free = (np.corrcoef(model.predict(X), block.target)[0, 1] for model in (penalised, free))  # type: ignore[arg-type]
    assert of_penalised > 0.75 * of_free > 0.4
    assert penalised.importance().argmax() == 12


def beside(benchmark: np.ndarray) -> TrainingStream:
    """A stream whose panel holds another model's predictions."""
    blocks = stream(c=component("cutout", ratio=0.1))
    return replace(blocks, panel=replace(blocks.panel, extras={"b": benchmark.astype(np.float32)}))


@kinds
def test_a_penalty_on_likeness_makes_predictions_unlike_the_benchmark(kind: str) -> None:
    """The benchmark is one of two features that make the target. It is unknown in some rows, and in three eras as a whole."""
    known = PANEL.features[:, 0] / 4.0
    target = (known + PANEL.features[:, 7] / 4.0) / 2
    patchy = np.where((np.arange(PANEL.n_rows) % 5 == 0) | (np.arange(PANEL.n_rows) < 120), np.nan, known)
    blocks = beside(patchy)
    blocks = replace(blocks, panel=replace(blocks.panel, target=target.astype(np.float32)))
    X = PANEL.block(25).matrix(["raw"])

    def correlations(**parameters: Any) -> tuple[float, float]:
        predictions = trained(kind, blocks, **parameters).predict(X)
        rows = PANEL.rows(25)
        return tuple(np.corrcoef(np.stack([predictions, known[rows], target[rows]]))[0, 1:].tolist())

    (free, _), (penalised, learned) = correlations(), correlations(benchmark="b", benchmark_weight=3.0)
    assert abs(penalised) < 0.4 * free
    assert learned > 0.3


def test_a_benchmark_that_is_not_there_is_refused_before_the_run() -> None:
    model = MLP(benchmark="b", benchmark_weight=1.0)
    assert model.refusal(PANEL) == "benchmark: the data has no predictions 'b', only numerai_meta_model"
    unknown = replace(PANEL, extras={"b": np.full(PANEL.n_rows, np.nan, np.float32)})
    assert model.refusal(unknown) == "benchmark: b has no predictions in the training eras; take later ones"
    assert model.refusal(replace(PANEL, extras={"b": np.ones(PANEL.n_rows, np.float32)})) == ""
    for alone in ({"benchmark": "b"}, {"benchmark_weight": 1.0}):
        with pytest.raises(ValueError, match="give both or neither"):
            MLP.model_validate(alone)


@kinds
def test_members_differ_count_alike_and_their_mean_is_better_than_they_are(kind: str) -> None:
    panel = make_panel(n_eras=60)
    X, y = panel.features[20 * 40 :].astype(np.float32), panel.target[20 * 40 :]  # type: ignore[index]
    model = trained(kind, stream(panel), members=5)
    predictions = model.predict(X)
    network = model._restored_network(torch.device("cpu"))
    with torch.no_grad():
        members = ((network(network.standard(torch.from_numpy(X))) - network.level) / network.spread).numpy()
    np.testing.assert_allclose(members.mean(1), predictions, atol=1e-5)
    np.testing.assert_allclose(members.std(0), 1, atol=0.15)  # over eras that it has not seen
    assert np.corrcoef(predictions, y)[0, 1] > np.mean([np.corrcoef(member, y)[0, 1] for member in members.T]) + 0.003
    assert np.corrcoef(members.T)[np.triu_indices(5, 1)].max() < 0.99


@kinds
def test_rows_that_weigh_next_to_nothing_teach_next_to_nothing(kind: str) -> None:
    reverse = replace(PANEL, target=1 - PANEL.target)  # type: ignore[operator]

    class Reversed(Augmenter):
        """Every row again, with the opposite target."""

        def augment(self, block: Block, rng: np.random.Generator) -> Block:
            return reverse.block(block.era)

    assert corr(trained(kind, stream(r=Reversed(weight=1e-4)))) > 0.3
    assert corr(trained(kind, stream(r=Reversed(weight=100.0)))) < -0.3


@kinds
def test_a_prediction_does_not_depend_on_where_a_row_stands(kind: str) -> None:
    panel = make_panel(n_eras=12, n_features=300)
    blocks = TrainingStream(panel, ("raw",), panel.raw_names, 0)
    model = trained(kind, blocks, hidden=[64, 32], epochs=1)
    X = panel.features.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(model.predict(X[order]), model.predict(X)[order])


def test_dropout_drops_its_share_and_its_gradient_is_that_of_the_mask() -> None:
    trunk, x = Trunk([12, 512], generator_for(0)), torch.randn((40, 12), generator=generator_for(1))
    whole, dropped = trunk(x), trunk(x, Dropout(0.2, generator_for(2)))
    mask = (dropped > 0).float() / 0.8
    assert (mask[whole > 0] == 0).float().mean() == pytest.approx(0.2, abs=0.01)
    torch.testing.assert_close(dropped, whole * mask)
    wanted = torch.autograd.grad((trunk(x) * mask).square().sum(), list(trunk.parameters()))
    for gradient, value in zip(torch.autograd.grad(dropped.square().sum(), list(trunk.parameters())), wanted, strict=True):
        torch.testing.assert_close(gradient, value, rtol=1e-4, atol=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@kinds
def test_a_gpu_that_is_not_there_is_refused_before_the_run(kind: str) -> None:
    assert component(kind, device="cuda").refusal(PANEL) == "device: cuda is asked for, but torch sees no GPU; say auto or cpu"
    with pytest.raises(NlabError, match="torch sees no GPU"):
        trained(kind, stream(), device="cuda")


def test_widths_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted widths of 1 to 65536"):
        MLP(hidden=[16, 0])
