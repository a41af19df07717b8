"""supervised_autoencoder and siamese: what they find where there is something, and that they remember no noise."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.generators import Generator
from numerai_lab.generators.supervised import Siamese, SupervisedAutoencoder, _groups
from numerai_lab.neural.networks import Encoder, generator_for
from numerai_lab.neural.rows import RowBatch, draw
from numerai_lab.neural.supervised import SiameseDistances, SupervisedAutoencoding, SupervisedShape
from tests.conftest import make_config, make_panel
from tests.fitting.test_fit_plan import corr, fitted_in, with_targets

TRAIN = tuple(range(1, 21))
SPLITS = Splits(TRAIN, (21, 22), tuple(range(23, 26)), tuple(range(28, 31)), 2, 2)
QUICKLY: dict[str, Any] = {"batch_size": 256, "max_steps": 150, "evaluate_every": 50, "learning_rate": 3e-3, "device": "cpu"}
MEMORISING = QUICKLY | {"max_steps": 300, "evaluate_every": 300}
"""Judged only where training ends, with targets far from where networks start: early stopping keeps what was memorised."""
PLAIN = {"hidden": [128, 64], "dropout": [0.0, 0.0], "dropout_input": 0.0, "dropout_auxiliary": 0.0}

PLAN_OF_ONE = PLAIN | {"batch_size": 64, "max_steps": 30, "evaluate_every": 30, "eras_per_batch": 1, "device": "cpu"}


@cache
def world() -> Panel:
    return make_panel(30, 120)


def noise(seed: int, panel: Panel | None = None) -> Panel:
    """Targets that nothing tells, all near 3."""
    drawn = with_targets(panel or world(), seed)
    assert drawn.target is not None
    return replace(drawn, target=drawn.target + np.float32(2.5))


def columns(generator: Generator, panel: Panel) -> Float32:
    generator.fit(panel.only(TRAIN), np.random.default_rng(0))
    return np.concatenate([generator.transform(block) for block in panel.blocks()])


def shape(**changes: Any) -> SupervisedShape:
    sizes = SupervisedShape(12, 4.0, 6, (16, 8), 0.0, 0.0, 0.0, 0.0, (0.0, 0.0))
    return replace(sizes, **changes)


def test_folded_layers_say_what_the_network_says() -> None:
    net = SupervisedAutoencoding(shape(), generator_for(0))
    batches = [draw(world(), 200, 4, np.random.default_rng(i)) for i in range(20)]
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for batch in batches:  # so that norms have something to say
        optimiser.zero_grad()
        net.loss(batch, generator_for(0)).backward()
        optimiser.step()
    net.eval()
    generator = SupervisedAutoencoder(n_components=6, hidden=[16, 8], dropout=[0.1, 0.1])
    generator.encoding_weights_, generator.encoding_biases_ = net.encoding()
    for i, (weights, biases) in enumerate(net.prediction()):
        setattr(generator, f"weights_{i}_", weights)
        setattr(generator, f"biases_{i}_", biases)
    block = world().block(25)
    with torch.no_grad():
        wanted = net(torch.from_numpy(np.array(block.features)), generator_for(0))[3][:, 0].numpy()
    np.testing.assert_allclose(generator.transform(block)[:, 0], wanted, rtol=0, atol=2e-5)
    assert wanted.std() > 0.01


def test_noise_and_dropout_are_on_while_training_and_off_afterwards() -> None:
    net = SupervisedAutoencoding(shape(noise=0.5, drops=(0.5, 0.5)), generator_for(0))
    batch = draw(world(), 64, 1, np.random.default_rng(0))
    losses = {mode: {net.train(mode).loss(batch, generator_for(seed)).item() for seed in range(3)} for mode in (True, False)}
    assert (len(losses[True]), len(losses[False])) == (3, 1)


def test_early_stopping_goes_by_the_prediction_alone() -> None:
    net = SupervisedAutoencoding(shape(), generator_for(0)).eval()
    batch = draw(world(), 64, 1, np.random.default_rng(0))
    assert batch.target is not None
    predicted = net(batch.cells, generator_for(0))[3][:, 0]
    assert net.validation_loss(batch, generator_for(0)).item() == pytest.approx(
        (predicted + 0.5 - batch.target).square().mean().item(), rel=1e-5
    )
    assert net.loss(batch, generator_for(0)).item() > net.validation_loss(batch, generator_for(0)).item()


def test_siamese_loss_is_the_mean_over_pairs_of_an_era() -> None:
    encoder = Encoder((np.zeros(3), np.ones(3)), [3, 2], generator_for(0))
    cells, target = (
        torch.tensor([[0, 1, 2], [4, 0, 1], [2, 2, 2], [1, 1, 0], [3, 0, 0]]),
        torch.tensor([0.0, 1.0, 0.5, 0.25, 0.5]),
    )
    batch = RowBatch(cells, torch.tensor([1, 1, 1, 2, 2]), ((0, 3), (3, 5)), target)
    z = encoder(cells.float()).detach().numpy()
    pairs = [(0, 1), (0, 2), (1, 2), (3, 4)]
    errors = [(np.linalg.norm(z[i] - z[j]) - 2 * abs(float(target[i] - target[j]))) ** 2 for i, j in pairs]
    weights = [2, 2, 2, 2]
    wanted = np.average(errors, weights=weights)
    assert SiameseDistances(encoder, 2.0).loss(batch, generator_for(0)).item() == pytest.approx(wanted, rel=1e-4)


def test_rows_without_a_target_are_never_drawn_and_take_no_place_in_a_batch() -> None:
    panel = world()
    assert panel.target is not None
    target = panel.target.copy()
    target[::3] = np.nan
    batch = draw(replace(panel, target=target), 210, 3, np.random.default_rng(0))
    assert batch.target is not None
    assert torch.isfinite(batch.target).all()
    assert batch.groups == ((0, 70), (70, 140), (140, 210))
    assert len(batch.cells) == len(batch.target) == len(batch.era) == 210
    assert draw(panel.without_target(), 60, 3, np.random.default_rng(0)).target is None


def test_eras_are_drawn_by_their_known_rows_and_never_for_a_single_one() -> None:
    panel = make_panel(4, 40)
    assert panel.target is not None
    target = panel.target.copy()
    target[2:40], target[41:80], target[100:120] = np.nan, np.nan, np.nan  # 2, 1, 20 and 40 rows are known
    shown, rng = replace(panel, target=target), np.random.default_rng(0)
    times = np.bincount([int(draw(shown, 64, 1, rng).era[0]) for _ in range(600)], minlength=5) / 600
    np.testing.assert_allclose(times[1:], np.array([2, 0, 20, 40]) / 62, rtol=0, atol=0.07)
    fitted = SupervisedAutoencoder.model_validate(PLAN_OF_ONE).fit(shown, np.random.default_rng(0))
    assert np.isfinite(fitted.transform(panel.block(2))).all()
    with pytest.raises(NlabError, match="no era from 2 to 2 has two rows with a target"):
        draw(shown.only([2]), 64, 1, rng)


def test_five_groups_have_the_proportions_of_numerai_and_keep_its_bins_whole() -> None:
    assert np.bincount(_groups(np.random.default_rng(0).normal(size=1000))).tolist() == [50, 200, 500, 200, 50]
    bins = np.repeat([0, 0.25, 0.5, 0.75, 1], [50, 200, 500, 200, 50])
    np.testing.assert_array_equal(_groups(bins), bins * 4)


def test_a_prediction_holds_on_eras_that_were_not_learned_from() -> None:
    told = columns(
        SupervisedAutoencoder.model_validate(QUICKLY | {"n_components": 8, "hidden": [32, 16], "dropout": [0.1, 0.1]}), world()
    )
    assert corr(told, world(), tuple(range(23, 31)))[0] > 0.45  # the planted signal itself correlates .65 with the bins


def test_distances_rise_and_fall_with_the_target_on_eras_that_were_not_learned_from() -> None:
    far = columns(Siamese.model_validate(QUICKLY | {"n_components": 4, "hidden": 32}), world())
    held = tuple(range(23, 31))
    from_lowest, from_highest = corr(far, world(), held)[0], corr(far[:, ::-1], world(), held)[0]
    assert from_lowest > 0.3
    assert from_highest < -0.3


def test_the_place_in_the_embedding_is_the_target_up_to_a_turn() -> None:
    panel = world()
    z = columns(Siamese.model_validate(QUICKLY | {"emit": "latent", "scheme": "early", "n_components": 4, "hidden": 32}), panel)
    assert panel.target is not None
    rows = slice(panel.rows(23).start, None)
    apart = np.linalg.norm(z[rows][:-1] - z[rows][1:], axis=1)
    assert np.corrcoef(apart, np.abs(np.diff(panel.target[rows])))[0, 1] > 0.2


@pytest.mark.parametrize(
    "generator",
    [
        SupervisedAutoencoder.model_validate(MEMORISING | PLAIN | {"n_components": 16}),
        pytest.param(Siamese.model_validate(MEMORISING | {"hidden": 128, "scale": 10.0}), marks=pytest.mark.slow),
    ],
    ids=["supervised_autoencoder", "siamese"],
)
def test_columns_of_a_cross_fit_know_nothing_of_noise_and_without_it_they_would(tmp_path: Path, generator: Generator) -> None:
    panel = noise(5)
    cheating = columns(generator.fresh(), panel)
    assert corr(cheating, panel, TRAIN)[0] > 0.05
    honest, n = corr(fitted_in(generator, panel, tmp_path, SPLITS).columns, panel, TRAIN)
    assert abs(honest) <= 2 / np.sqrt(n)


def probed(z: Float32, panel: Panel, eras: tuple[int, ...]) -> tuple[float, int]:
    """Correlation with the target of a linear probe of columns, learned on every other row and asked of the rest."""
    assert panel.target is not None
    rows = np.concatenate([np.arange(panel.rows(era).start, panel.rows(era).stop) for era in eras])
    x, y = np.column_stack([z[rows], np.ones(len(rows))]).astype(np.float64), panel.target[rows].astype(np.float64)
    weights = np.linalg.lstsq(x[::2], y[::2], rcond=None)[0]
    return float(np.corrcoef(x[1::2] @ weights, y[1::2])[0, 1]), len(rows) // 2


def test_latents_remember_noise_on_their_own_rows_and_nothing_on_those_left_to_models(tmp_path: Path) -> None:
    panel = noise(6, make_panel(30, 60, 60))
    parameters = MEMORISING | PLAIN | {"max_steps": 200, "hidden": [8], "dropout": [0.0], "n_components": 16}
    latent = SupervisedAutoencoder.model_validate(parameters | {"emit": "latent", "scheme": "early"})
    fit = fitted_in(latent, panel, tmp_path, SPLITS)
    early, left = tuple(range(1, 11)), tuple(range(13, 21))
    own = np.concatenate([fit.fits.generators[0].columns_for(block) for block in panel.blocks()])
    assert probed(own, panel, early)[0] > 0.05
    honest, n = probed(fit.columns, panel, left)
    assert abs(honest) <= 2 / np.sqrt(n)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "supervised_autoencoder", "emit": "latent"}, "generators.g: its columns mean another thing in every fit"),
        ({"kind": "siamese", "emit": "latent"}, "generators.g: its columns mean another thing in every fit"),
        ({"kind": "supervised_autoencoder", "hidden": [8]}, "generators.g: hidden has 1 widths > 0, so dropout wants as many"),
        ({"kind": "siamese", "fit_on": "all"}, "generators.g.fit_on: got 'all', wanted 'train'"),
    ],
)
def test_a_config_that_could_not_be_honest_is_one_sentence(values: dict[str, Any], said: str) -> None:
    with pytest.raises(NlabError) as caught:
        make_config(generators={"g": values})
    assert said in str(caught.value)


def test_a_config_with_an_early_generator_gets_a_baseline_of_the_same_eras() -> None:
    config = make_config(generators={"g": {"kind": "siamese", "emit": "latent", "scheme": "early", "n_components": 3}})
    after = {name: variant.after for name, variant in config.variants.items() if variant.after}
    assert list(after) == ["baseline_after_g", "raw+placebo_after_g", "raw+untrained_after_g", "untrained_only_after_g"]
    assert all(names == ["g"] for names in after.values())
    plain = make_config(generators={"g": {"kind": "siamese"}})
    assert list(plain.variants) == ["baseline", "g_only", "raw+g", "untrained_only", "raw+placebo", "raw+untrained"]
