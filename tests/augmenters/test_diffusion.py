"""The sampler against a denoiser that is known, and the diffusion augmenter on planted eras."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from numerai_lab.augmenters import diffusion
from numerai_lab.augmenters.bins import Marginals
from numerai_lab.augmenters.diffusion import Diffusion
from numerai_lab.augmenters.latent import Pooled, fit_latent
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.neural import sampling
from numerai_lab.neural.diffusion import Denoiser, DenoiserShape
from numerai_lab.neural.sampling import Denoise, RowSet, heun, noise_levels, passes, start
from tests.conftest import make_panel

TINY = {"hidden": 16, "n_layers": 1, "batch_size": 256, "max_steps": 400, "learning_rate": 1e-2, "ema": 0.98}
COVARIANCE = torch.tensor([[1.0, 0.6, 0.0], [0.6, 0.5, -0.2], [0.0, -0.2, 0.3]], dtype=torch.float64) / 4


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def known_denoiser(x: torch.Tensor, level: float) -> torch.Tensor:
    """The expected value of a normal variable of covariance COVARIANCE, seen through noise."""
    return x @ torch.linalg.solve(COVARIANCE + level**2 * torch.eye(3, dtype=torch.float64), COVARIANCE)


def euler(denoise: Denoise, x: torch.Tensor, levels: list[float]) -> torch.Tensor:
    """The solver of first order: a call of the denoiser a step."""
    for now, after in itertools.pairwise(levels):
        x = x + (after - now) * (x - denoise(x, now)) / now
    return x


def errors(solver: object, steps: list[int]) -> list[float]:
    """Distances of samples from where an exact solution would have brought the same noise."""
    noise = start((400, 3), 80.0, 0, torch.device("cpu")).double()
    values, vectors = torch.linalg.eigh(COVARIANCE)
    exact = (noise @ vectors * (values / (values + 80.0**2)).sqrt()) @ vectors.T
    return [float((solver(known_denoiser, noise, noise_levels(n)) - exact).norm() / exact.norm()) for n in steps]  # type: ignore[operator]


def test_noise_levels_fall_from_80_to_two_thousandths_and_end_without_noise() -> None:
    levels = noise_levels(18)
    assert levels[0] == pytest.approx(80)
    assert levels[-2] == pytest.approx(0.002)
    assert levels[-1] == 0
    assert len(levels) == 19
    roots = np.diff(np.array(levels[:-1]) ** (1 / 7))
    np.testing.assert_allclose(roots, roots[0])


def test_eighteen_heun_steps_give_the_covariance_of_a_known_law_within_three_percent() -> None:
    noise = start((200_000, 3), 80.0, 0, torch.device("cpu")).double()
    made = heun(known_denoiser, noise, noise_levels(18)).numpy()
    assert np.linalg.norm(np.cov(made.T) - COVARIANCE.numpy()) < 0.03 * np.linalg.norm(COVARIANCE.numpy())


def test_heun_beats_euler_and_its_error_falls_with_the_square_of_the_steps() -> None:
    steps = [18, 36, 72, 144]
    second, first = errors(heun, steps), errors(euler, steps)
    print(
        "\nsteps  Euler    Heun", *(f"{n:5d}  {e:.5f}  {h:.6f}" for n, e, h in zip(steps, first, second, strict=True)), sep="\n"
    )
    assert second[0] < first[0] / 4
    orders = np.log2(np.array(second[:-1]) / second[1:])
    assert (orders > 1.7).all()
    assert (np.log2(np.array(first[:-1]) / first[1:]) < 1.3).all()


@pytest.mark.parametrize("heads", [0, 2])
def test_a_denoiser_changes_nothing_where_there_is_no_noise(heads: int) -> None:
    init = torch.Generator().manual_seed(0)
    network = Denoiser(DenoiserShape(5, 3, 16, 2, heads), init)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, generator=init)
    x = torch.randn((2, 7, 5), generator=init)
    predicted = network(x, torch.full((1, 1, 1), 1e-8), torch.zeros(4))
    torch.testing.assert_close(predicted, x, atol=1e-3, rtol=0)
    assert (network(x, torch.full((1, 1, 1), 2.0), torch.zeros(4)) - x).abs().max() > 0.5


def test_rows_of_a_set_see_each_other_and_lone_rows_do_not() -> None:
    init = torch.Generator().manual_seed(0)
    for heads, moved in ((0, False), (2, True)):
        network = Denoiser(DenoiserShape(5, 3, 16, 2, heads), init)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=init)
        x = torch.randn((1, 7, 5), generator=init)
        other = x.clone()
        other[0, 6] += 3
        level = torch.ones((1, 1, 1))
        difference = (network(x, level, torch.zeros(4)) - network(other, level, torch.zeros(4)))[0, :6].abs().max()
        assert bool(difference > 1e-3) == moved


def test_ranked_columns_take_their_shares_to_the_row_and_keep_their_order() -> None:
    marginals = Marginals(np.tile(np.arange(5.0), (2, 1)), np.array([[0.2] * 5, [0.05, 0.2, 0.5, 0.2, 0.05]]))
    values = rng().normal(size=(1000, 2)).astype(np.float32)
    bins = marginals.ranked(values, np.dtype(np.int8))
    assert bins.dtype == np.int8
    assert [np.bincount(column).tolist() for column in bins.T] == [[200] * 5, [50, 200, 500, 200, 50]]
    for i in range(2):
        assert (np.diff(bins[np.argsort(values[:, i]), i]) >= 0).all()


def test_rows_decoded_from_their_own_factors_keep_their_correlations_with_each_other_and_the_target() -> None:
    panel = make_panel(n_eras=20, n_rows=1000)
    block = Block(0, panel.features, panel.top, panel.target)
    marginals = Marginals(np.tile(np.arange(5.0), (12, 1)), np.full((12, 5), 0.2))
    latent = fit_latent(panel, Pooled.of(panel), marginals, 4, rng())
    assert panel.target is not None
    y = panel.target - panel.target.mean()
    codes = latent.of(block)
    np.testing.assert_allclose(codes.std(0), 0.5, atol=0.06)  # one of the four is not there
    made = marginals.ranked(latent.values(codes, y, rng()), np.dtype(np.int8))
    real, found = (np.corrcoef(np.column_stack([x, panel.target]).T) for x in (panel.features, made))
    assert np.abs(found - real)[:-1, :-1].max() < 0.05
    assert np.polyfit(real[-1, :-1], found[-1, :-1], 1)[0] == pytest.approx(1, abs=0.06)
    assert (made == panel.features).mean() < 0.6  # rows are drawn anew


def relation(block: Block) -> np.ndarray:
    return np.corrcoef(np.column_stack([block.features, block.target]).T)[-1, :-1]


def regimes() -> Panel:
    """Eras whose relation with the target is turned round in every second block of five."""
    panel = make_panel(n_eras=20, n_rows=200, n_features=6)
    assert panel.target is not None
    turned = np.repeat(np.arange(20) // 5 % 2 == 1, 200)
    return replace(panel, target=np.where(turned, 1 - panel.target, panel.target).astype(np.float32))


@pytest.mark.parametrize("condition", [pytest.param("descriptor", marks=pytest.mark.slow), "era"])
def test_two_planted_regimes_turn_the_relation_round_as_told(condition: str) -> None:
    panel = regimes()
    fitted = Diffusion.model_validate({**TINY, "condition": condition}).fit(panel, rng())
    real = np.array([relation(block) for block in panel.blocks()])
    axis = np.linalg.svd(real)[2][0]
    places = range(20) if condition == "era" else fitted.descriptors_
    made = np.array([relation(fitted.draw(place, 400, rng(i))) for i, place in enumerate(places)])  # type: ignore[arg-type]
    learned = np.ones(20, bool)
    learned[[4, 14]] = condition != "era"  # an era held out of training has no vector of its own
    assert (np.sign(made @ axis) == np.sign(real @ axis))[learned].all()
    assert np.abs(made @ axis).mean() > 0.6 * np.abs(real @ axis).mean()


def test_new_eras_are_like_those_that_were_learned_from_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = Diffusion.model_validate({**TINY, "condition": "era", "max_steps": 20}).fit(regimes(), rng())
    taken: list[int] = []
    monkeypatch.setattr(Diffusion, "draw", lambda self, place, n_rows, rng: taken.append(int(place)))
    for number in range(36):
        fitted.invent(number, 10, rng())
    assert sorted(taken) == sorted(2 * [era for era in range(20) if era not in (4, 14)])


def test_new_eras_have_exact_counts_and_follow_each_other_as_the_real_ones_do() -> None:
    fitted = Diffusion.model_validate(TINY).fit(regimes(), rng())
    assert fitted.inertia_[0] > 0.5
    made = fitted.invent(0, 999, rng())
    assert np.abs(np.stack([np.bincount(column, minlength=5) for column in made.features.T]) / 999 - 0.2).max() < 0.01
    counts = np.diff([0, *np.rint(np.cumsum(fitted.target_shares_) * 999)])
    np.testing.assert_array_equal(np.bincount((made.target * 4).astype(int)), counts)  # type: ignore[operator]


@pytest.mark.slow
def test_sets_and_rows_both_learn_correlations() -> None:
    panel = make_panel(n_eras=20, n_rows=200, n_features=6)
    real = np.corrcoef(panel.features.T)
    for structure in ("rows", "set"):
        settings = {**TINY, "structure": structure, "eras_per_batch": 4, "condition": "none"}
        fitted = Diffusion.model_validate(settings).fit(panel, rng())
        made = np.corrcoef(np.concatenate([fitted.invent(i, 400, rng(i)).features for i in range(10)]).T)
        upper = np.triu_indices(6, 1)
        assert np.sqrt(((made - real)[upper] ** 2).mean()) < 0.25 * np.sqrt((real[upper] ** 2).mean())


def test_two_eras_are_too_few() -> None:
    with pytest.raises(NlabError, match="at least 3 eras"):
        Diffusion().fit(make_panel().only([1, 2]), rng())


def test_a_denoiser_reads_the_array_names_of_older_runs() -> None:
    from numerai_lab.neural.diffusion import array_name

    assert array_name("conditioning.weight") == "network_told.weight_"
    assert array_name("first.bias") == "network_first.bias_"


@pytest.mark.parametrize("structure", ["rows", "set"])
def test_eras_sampled_together_as_on_a_gpu_are_those_sampled_alone(structure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**TINY, "structure": structure, "eras_per_batch": 4, "guidance": 1.5}
    fitted = Diffusion.model_validate(settings).fit(make_panel(), np.random.default_rng(0))
    numbers, n_rows = [2, 0, 5], [150, 40, 151]
    alone = [fitted.invent(*era, rng(era[0])) for era in zip(numbers, n_rows, strict=True)]
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(sampling, "heun", lambda denoise, x, levels: seen.append(tuple(x.shape)) or heun(denoise, x, levels))
    monkeypatch.setattr(diffusion, "most_rows", lambda device: 310)
    together = fitted.invent_together(numbers, n_rows, [rng(number) for number in numbers])
    assert [len(block) for block in together] == n_rows
    for one, other in zip(alone, together, strict=True):
        assert (one.features == other.features).mean() > 0.99
        assert (one.target == other.target).mean() > 0.99  # type: ignore[union-attr]
    assert max(sets * rows for sets, rows, _ in seen) <= 310
    assert max(sets for sets, _, _ in seen) > 1


def test_a_pass_holds_no_more_rows_than_allowed_and_sets_of_one_size_unless_they_are_filled_up() -> None:
    sizes = [5, 3, 5, 3, 5, 9, 3]
    sets = [RowSet(torch.zeros(1), size, 0) for size in sizes]
    assert list(passes(sets, 10, padded=False)) == [[1, 3, 6], [0, 2], [4], [5]]
    assert list(passes(sets, 10, padded=True)) == [[0, 1], [2, 3], [4], [5], [6]]
    assert list(passes(sets, 1, padded=True)) == [[i] for i in range(7)]
