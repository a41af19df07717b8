"""The training loop: killed and taken up again, stopped on held-out eras, repeatable, without a copy of the panel."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from numerai_lab.core.arrays import Array, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.generators.autoencoder import Autoencoder
from numerai_lab.neural.losses import barlow_twins, info_nce, vicreg
from numerai_lab.neural.networks import TILE, device_for, in_tiles, linear, repeatable
from numerai_lab.neural.rows import RowBatch, column_moments, draw, held_out, no_batch
from numerai_lab.neural.supervised import SiameseDistances
from numerai_lab.neural.training import TrainingObjective, TrainingSchedule, train
from tests.bench.test_umap_full import anonymous
from tests.conftest import NETWORK, TRAINING, make_panel

PLAN = TrainingSchedule(
    batch_size=64,
    eras_per_batch=4,
    max_steps=60,
    epochs=None,
    learning_rate=0.01,
    weight_decay=0.0,
    clip=5.0,
    held_out=0.2,
    held_out_eras="last",
    evaluate_every=10,
    patience=5,
)


class Killed(Exception):
    """Stands for the end of a process."""


def small(**changes: object) -> Autoencoder:
    return Autoencoder.model_validate({**NETWORK, **TRAINING, "max_steps": 60, **changes})


def test_progress_tells_the_losses() -> None:
    notes: list[str] = []
    small().fit(make_panel(), np.random.default_rng(0), FitContext(lambda done, total, note="": notes.append(note)))
    assert all(re.fullmatch(r"loss [-\d.e]+(, held out [-\d.e]+)?", note) for note in notes)
    assert len(set(notes)) > 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps() -> None:
    """What a step leaves behind must not pin the memory of its large tensors: it was a batch for each step."""
    panel = make_panel(12, 600)
    wide = replace(
        panel, features=np.random.default_rng(0).integers(0, 5, (len(panel.features), 3000), dtype=np.int8), n_raw=3000
    )
    held: list[int] = []
    encoder = small(max_steps=60, batch_size=1024, evaluate_every=1000)
    encoder.fit(wide, np.random.default_rng(0), FitContext(lambda *_: held.append(anonymous())))
    assert len(held) >= 60
    grown = np.median(held[-10:]) - np.median(held[10:20])  # it swings by some 60 MB from step to step
    assert grown < 150e6, f"{grown / 1e6:.0f} MB in 45 steps of 12 MB each"


@pytest.mark.parametrize("objective", ["swap", "masked"])
def test_a_fit_killed_between_checkpoints_and_taken_up_again_ends_with_the_same_bytes(objective: str) -> None:
    panel = make_panel()
    undisturbed = small(objective=objective).fit(panel, np.random.default_rng(0))
    array_cache: list[bytes] = []

    def keep(arrays: Mapping[str, Array]) -> None:
        array_cache.append(arrays_to_bytes(arrays))

    def dies(done: int, total: int, note: str = "") -> None:
        if done == 37:
            raise Killed

    with pytest.raises(Killed):
        small(objective=objective).fit(panel, np.random.default_rng(0), FitContext(dies, lambda: None, keep))
    assert len(array_cache) == 3  # after steps 10, 20 and 30
    seen: list[int] = []
    context = FitContext(lambda done, total, note="": seen.append(done), lambda: arrays_from_bytes(array_cache[-1]))
    resumed = small(objective=objective).fit(panel, np.random.default_rng(0), context)
    assert seen[0] == 31
    assert resumed.state().keys() == undisturbed.state().keys()
    for name, value in undisturbed.state().items():
        np.testing.assert_array_equal(resumed.state()[name], value)


def test_a_checkpoint_of_another_kind_of_device_is_begun_anew() -> None:
    panel, array_cache = make_panel(), list[dict[str, Array]]()
    begun = small(device="cpu").fit(
        panel, np.random.default_rng(0), FitContext(save_checkpoint=lambda arrays: array_cache.append(dict(arrays)))
    )
    foreign = array_cache[0] | {
        "device": np.array("cuda"),
        "noise": np.zeros(16, np.uint8),
    }  # as long as the state of a GPU's stream
    seen: list[int] = []
    context = FitContext(lambda done, total, note="": seen.append(done), lambda: foreign)
    again = small(device="cpu").fit(panel, np.random.default_rng(0), context)
    assert seen[0] == 1
    for name, value in begun.state().items():
        np.testing.assert_array_equal(again.state()[name], value)


def test_training_on_a_gpu_takes_torchs_deterministic_algorithms_and_leaves_the_setting_as_it_was() -> None:
    for device in ("cpu", "cuda"):
        with repeatable(torch.device(device)):
            assert torch.are_deterministic_algorithms_enabled() == (device == "cuda")
        assert not torch.are_deterministic_algorithms_enabled()


def siamese(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The loss of an encoder that does nothing, rows of both being one era."""
    batch = RowBatch(torch.cat([a, b]), torch.ones(2 * len(a)), ((0, 2 * len(a)),), torch.rand(2 * len(a), generator=seeded(3)))
    return SiameseDistances(torch.nn.Identity(), 1.0).loss(batch, seeded(4))  # type: ignore[arg-type]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("loss", [lambda a, b: info_nce(a, b, 0.1), vicreg, barlow_twins, siamese])
def test_losses_are_in_full_precision_whatever_the_networks_are_in(loss: Callable[..., torch.Tensor]) -> None:
    a, b = (torch.randn(256, 32, generator=seeded(seed)).requires_grad_() for seed in range(2))
    wanted = torch.autograd.grad(loss(a, b), (a, b))
    with torch.autocast("cpu", torch.bfloat16):  # a GPU's losses are the same code
        mixed = loss(a, b)
    found = torch.autograd.grad(mixed, (a, b))
    assert all(map(torch.equal, found, wanted))


def test_training_leaves_the_global_random_streams_alone() -> None:
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    small().fit(make_panel(), np.random.default_rng(0))
    assert torch.equal(torch_before, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_before, np.random.get_state()[1])  # noqa: NPY002


class StepNumber(TrainingObjective):
    """Its training loss is the number of the step, from 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def begin_step(self, step: int) -> None:
        self.step = step

    def loss(self, batch: RowBatch, noise: torch.Generator) -> torch.Tensor:
        return self.step + 0 * self.weight.sum()

    def validation_loss(self, batch: RowBatch, noise: torch.Generator) -> torch.Tensor:
        return 0 * self.weight.sum()


def test_the_curve_holds_the_mean_loss_since_the_point_before_also_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numerai_lab.neural.training.CHECKPOINT_SECONDS", 0.0)  # a checkpoint at every step
    kept: list[dict[str, Array]] = []

    def dies(done: int, total: int, note: str = "") -> None:
        if done == 37:
            raise Killed

    plan = replace(PLAN, patience=100)
    whole = train(StepNumber(), make_panel(), plan, np.random.default_rng(0), NO_CONTEXT)
    dying = FitContext(dies, lambda: None, lambda arrays: kept.append(dict(arrays)))
    with pytest.raises(Killed):
        train(StepNumber(), make_panel(), plan, np.random.default_rng(0), dying)
    going_on = FitContext(load_checkpoint=lambda: kept[-1])
    resumed = train(StepNumber(), make_panel(), plan, np.random.default_rng(0), going_on)
    assert len(kept) > 30
    np.testing.assert_array_equal(whole[:, 1], [np.nan, 4.5, 14.5, 24.5, 34.5, 44.5, 54.5])
    np.testing.assert_array_equal(resumed, whole)


class Drifting(TrainingObjective):
    """Its loss on held-out eras (whose features are 4) falls, then rises; `at` is the only weight."""

    def __init__(self, bottom: float, finite: bool = True) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.zeros(1))
        self.bottom, self.finite = bottom, finite

    def loss(self, batch: RowBatch, noise: torch.Generator) -> torch.Tensor:
        held = bool((batch.cells == 4).all())
        aim = self.bottom if held else 10.0
        return ((self.at - aim) ** 2).mean() if self.finite or not held else self.at.sum() * float("nan")


def marked() -> Panel:
    """Ten eras, the last two all 4."""
    panel = make_panel(n_eras=10)
    features = np.zeros_like(panel.features)
    features[320:] = 4
    return replace(panel, features=features)


def test_it_stops_when_held_out_eras_get_no_better_and_goes_back_to_the_best_weights() -> None:
    objective = Drifting(bottom=1.0)
    plan = replace(PLAN, max_steps=10_000, learning_rate=0.02, patience=3)
    curve = train(objective, marked(), plan, np.random.default_rng(0), NO_CONTEXT)
    best = int(curve[:, 2].argmin())
    assert len(curve) == best + 1 + 3
    assert curve[:, 0].tolist() == [10.0 * i for i in range(len(curve))]
    assert 0.8 < objective.at.item() < 1.2  # one look is 10 steps of .02
    assert ((objective.at.item() - 1) ** 2) == pytest.approx(curve[best, 2], rel=1e-5)


def test_a_loss_that_is_not_finite_is_a_failure_with_a_way_out() -> None:
    with pytest.raises(NlabFailure, match="a lower learning_rate may help"):
        train(Drifting(1.0, finite=False), marked(), PLAN, np.random.default_rng(0), NO_CONTEXT)


def test_passes_over_the_rows_bound_the_steps() -> None:
    assert replace(PLAN, max_steps=100, epochs=2.0).steps(640) == 20
    assert replace(PLAN, max_steps=5, epochs=2.0).steps(640) == 5
    assert PLAN.steps(640) == 60


def test_a_panel_without_a_batch_for_either_side_is_refused_as_training_refuses_it() -> None:
    panel = make_panel()
    assert panel.target is not None
    target = panel.target.copy()
    target[panel.rows(int(panel.eras[-1]))] = np.nan
    blind = replace(panel, target=target)
    last = panel.eras[-1]
    share = 1 / len(panel.eras)
    assert no_batch(panel, share, "last") == ""
    assert no_batch(blind, share, "last") == f"no era from {last} to {last} has two rows with a target; take one known there"
    assert no_batch(blind.without_target(), share, "last") == ""
    assert no_batch(panel.only([1]), share, "last").startswith("a network needs at least two eras")


def test_held_out_eras_are_the_last_or_spread_and_one_era_is_refused() -> None:
    panel = make_panel(n_eras=10)
    learned, kept = held_out(panel, 0.2, "last")
    assert kept.eras.tolist() == [9, 10]
    assert learned.eras.tolist() == list(range(1, 9))
    assert held_out(panel, 0.2, "spread")[1].eras.tolist() == [3, 7]
    for n_eras in (2, 7, 10):
        assert n_eras in held_out(panel.only(range(1, n_eras + 1)), 0.5, "spread")[0].eras
    with pytest.raises(NlabError, match="at least two eras"):
        held_out(panel.only([1]), 0.2, "last")


def test_eras_whose_targets_reach_into_the_held_out_ones_are_not_learned_from() -> None:
    panel = replace(make_panel(n_eras=40, n_rows=4), horizon_days=20)
    learned, kept = held_out(panel, 0.1, "last")
    assert (learned.eras[-1], kept.eras[0]) == (28, 37)  # the eight eras of a 20-day target's embargo lie between
    assert held_out(replace(panel, days_per_era=10), 0.1, "last")[0].eras[-1] == 32
    assert held_out(panel.without_target(), 0.1, "last")[0].eras[-1] == 36
    assert held_out(replace(panel, horizon_days=None), 0.1, "last")[0].eras[-1] == 36
    few, kept = held_out(panel.only(range(1, 11)), 0.1, "last")
    assert (few.eras.tolist(), kept.eras.tolist()) == ([1, 2, 3, 4, 5], [10])


def test_a_batch_holds_rows_of_as_many_eras_as_asked_each_row_at_most_once() -> None:
    panel = make_panel(n_eras=10, n_rows=40)
    numbered = replace(panel, features=np.arange(400, dtype=np.float32)[:, None], n_raw=1, top=1.0)
    batch = draw(numbered, 96, 4, np.random.default_rng(0))
    rows = batch.cells[:, 0].numpy().astype(int)
    assert len(set(rows)) == len(rows) == 96
    np.testing.assert_array_equal(rows // 40 + 1, batch.era.numpy())
    assert len(set(batch.era.tolist())) == 4
    assert batch.groups == ((0, 24), (24, 48), (48, 72), (72, 96))
    assert all(len(set(batch.era[first:end].tolist())) == 1 for first, end in batch.groups)
    assert len(draw(numbered, 96, 1, np.random.default_rng(0))) == 40  # no era has more


def test_every_row_is_drawn_equally_often_whatever_the_size_of_its_era() -> None:
    panel = make_panel(n_eras=2, n_rows=60)
    uneven = replace(panel, bounds=np.array([[0, 90], [90, 120]]), features=np.arange(120, dtype=np.float32)[:, None], n_raw=1)
    rng = np.random.default_rng(0)
    drawn = np.concatenate([draw(uneven, 10, 1, rng).cells[:, 0].numpy() for _ in range(6000)]).astype(int)
    counts = np.bincount(drawn, minlength=120)
    assert counts[:90].mean() == pytest.approx(500, rel=0.03)
    assert counts[90:].mean() == pytest.approx(500, rel=0.05)  # standard error 2 %


def test_column_moments_are_those_of_the_rows() -> None:
    panel = make_panel(n_eras=5)
    mean, deviation = column_moments(panel, np.random.default_rng(0))
    np.testing.assert_allclose(mean, panel.features.mean(0), atol=1e-12)
    np.testing.assert_allclose(deviation, panel.features.std(0), atol=1e-12)


def test_columns_of_a_row_do_not_depend_on_where_it_stands_in_a_tile() -> None:
    rng = np.random.default_rng(0)
    layer = linear(300, 64, torch.Generator())
    rows = rng.integers(0, 5, (2 * TILE + 1, 300)).astype(np.int8)
    tiled = in_tiles(lambda cells: layer(cells.float()), rows, 64, torch.device("cpu"))
    order = rng.permutation(len(rows))
    again = in_tiles(lambda cells: layer(cells.float()), rows[order], 64, torch.device("cpu"))
    np.testing.assert_array_equal(tiled[order], again)
    np.testing.assert_allclose(tiled, rows @ layer.weight.detach().numpy().T + layer.bias.detach().numpy(), atol=1e-4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_asking_for_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(NlabError, match="torch sees no GPU; say auto or cpu"):
        device_for("cuda")


def test_a_running_mean_of_the_weights_is_what_is_judged_and_kept_and_survives_a_kill() -> None:
    def learned(context: FitContext) -> tuple[float, np.ndarray]:
        objective = Drifting(bottom=1.0)
        curve = train(objective, marked(), replace(PLAN, learning_rate=0.05, ema=0.5), np.random.default_rng(0), context)
        return objective.at.item(), curve

    at, curve = learned(NO_CONTEXT)
    plain = train(Drifting(bottom=1.0), marked(), replace(PLAN, learning_rate=0.05), np.random.default_rng(0), NO_CONTEXT)
    assert curve[0, 2] == plain[0, 2]
    assert curve[1, 2] > plain[1, 2] + 0.01  # on the way to 1 the mean lags behind
    assert ((at - 1) ** 2) == pytest.approx(curve[:, 2].min(), rel=1e-5)
    array_cache: list[bytes] = []

    def dies(done: int, total: int, note: str = "") -> None:
        if done == 25:
            raise Killed

    with pytest.raises(Killed):
        learned(FitContext(dies, lambda: None, lambda arrays: array_cache.append(arrays_to_bytes(arrays))))
    again, curve_again = learned(FitContext(load_checkpoint=lambda: arrays_from_bytes(array_cache[-1])))
    assert again == at
    np.testing.assert_array_equal(curve_again, curve)
