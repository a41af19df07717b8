"""Self-supervised encoders: they find planted factors, do not collapse, and learn nothing where there is nothing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from numerai_lab.config.kinds import component_of
from numerai_lab.core.panel import Panel
from numerai_lab.generators.contrastive import ContrastiveBase, Scarf, SubTab
from numerai_lab.generators.linear import FactorAnalysis
from numerai_lab.neural.contrastive import CellReplacement, EncoderFrame, RandomProjectorsObjective, SubTabObjective
from numerai_lab.neural.losses import barlow_twins, info_nce, sim_siam, vicreg
from numerai_lab.neural.networks import Encoder, generator_for
from numerai_lab.neural.rows import column_moments, draw
from tests.conftest import NETWORK, TRAINING, make_panel
from tests.generators import planted

METHODS = list(Scarf.algorithms())
LONG = ("simsiam", "vicreg", "subtab", "barlow")
"""Methods whose proof takes as long as that of all others together."""


def model(method: str, **changes: object) -> ContrastiveBase:
    return contrastive(**planted.SHAPE, **{**planted.TRAINING, "method": method, **changes})


def contrastive(**parameters: object) -> ContrastiveBase:
    component = component_of(Scarf, parameters)
    assert isinstance(component, ContrastiveBase)
    return component


@pytest.mark.parametrize(
    "method", [pytest.param(method, marks=pytest.mark.slow) if method in LONG else method for method in METHODS]
)
def test_planted_factors_are_found_far_better_than_by_an_untrained_encoder_and_nothing_collapses(method: str) -> None:
    """Effective rank is exp of the entropy of the singular values' shares: 1 after a collapse, 12 if all columns weigh the same.

    It does not count factors. Six unequal directions alone stay below 6 (vicreg's first six, 1 : .92 : .77 : .77 : .41 : .15,
    give 5.3), six weak ones beside them lift it (to 6.8), and an untrained encoder has 11.2: what was found, R² says.
    SimSiam alone has no term that spreads its columns: four directions of six stand out, and over five seeds it had 5.3 to
    6.0, no more after 800 steps; the others had 6.5 and more.
    """
    r2 = planted.probe(model(method))
    assert r2.factors >= planted.untrained().factors + 0.2
    assert r2.least_deviation > 0.05
    assert r2.effective_rank >= (5 if method == "simsiam" else planted.N_FACTORS)


@pytest.mark.parametrize("method", ["vicreg", pytest.param("barlow", marks=pytest.mark.slow)])
def test_a_product_of_two_factors_is_told_better_than_by_factor_scores(method: str) -> None:
    linear = planted.probe(FactorAnalysis(n_components=planted.N_FACTORS, unusual=False))
    r2 = planted.probe(model(method))
    assert abs(linear.product) < 0.01
    assert r2.product >= linear.product + 0.05
    assert r2.product >= planted.untrained().product + 0.03


@pytest.mark.parametrize("method", METHODS)
def test_held_out_loss_falls(method: str) -> None:
    fitted = contrastive(**NETWORK, **{**TRAINING, "max_steps": 60}, method=method)
    curve = fitted.fit(make_panel(), np.random.default_rng(0)).curve_
    assert np.nanmin(curve[1:, 2]) < curve[0, 2] - 0.02 * abs(curve[0, 2])


def noise_panel() -> Panel:
    panel = make_panel(n_eras=20, n_rows=300, n_features=60)
    return replace(panel, features=np.random.default_rng(0).integers(0, 5, panel.features.shape).astype(np.int8))


@pytest.mark.parametrize("method", ["scarf", "era"])
def test_info_nce_starts_near_ln_rows_and_stays_there_on_held_out_rows_if_views_share_nothing(method: str) -> None:
    alone = model(method, corruption=1.0, temperature=1.0, max_steps=1).fit(noise_panel(), np.random.default_rng(0))
    assert alone.curve_[0, 2] == pytest.approx(np.log(256), abs=0.02)
    blind = model(method, corruption=1.0, max_steps=100, patience=50).fit(noise_panel(), np.random.default_rng(0))
    # A temperature of .1 magnifies the chance cosines of the start: ln 256 + .66. Training can only forget them.
    assert blind.curve_[0, 2] == pytest.approx(np.log(256), abs=0.75)
    assert blind.curve_[-1, 2] == pytest.approx(np.log(256), abs=0.1)
    assert blind.curve_[:, 2].min() > np.log(256) - 0.02
    # On planted factors the same loss ends far lower: the test above can tell.
    seeing = model(method, max_steps=100).fit(planted.world()[0], np.random.default_rng(0))
    assert seeing.curve_[:, 2].min() < np.log(256) - 1


def test_batches_of_the_era_method_come_from_one_era_and_others_from_several() -> None:
    assert model("era")._batch_eras() == 1
    assert model("scarf")._batch_eras() == 4


def test_info_nce_is_the_cross_entropy_of_finding_ones_own_among_the_era() -> None:
    axes = torch.eye(4)
    assert info_nce(axes, axes, 0.1).item() == pytest.approx(np.log(np.exp(10) + 3) - 10, abs=1e-6)
    assert info_nce(axes, torch.ones(4, 4), 0.1).item() == pytest.approx(np.log(4), abs=1e-6)
    eras = torch.tensor([0, 0, 1, 1])
    assert info_nce(axes, torch.ones(4, 4), 0.1, eras).item() == pytest.approx(np.log(2), abs=1e-6)
    assert info_nce(axes, 7 * axes, 0.1).item() == pytest.approx(info_nce(axes, axes, 0.1).item(), abs=1e-6)


def test_vicreg_and_barlow_twins_equal_their_definitions() -> None:
    a, b = torch.randn(50, 3, generator=generator_for(0)), torch.randn(50, 3, generator=generator_for(1))
    x, y = a.numpy().astype(float), b.numpy().astype(float)
    spread = sum(np.maximum(1 - np.sqrt(z.var(0, ddof=1) + 1e-4), 0).mean() / 2 for z in (x, y))
    off = ~np.eye(3, dtype=bool)
    covariance = sum((np.cov(z.T)[off] ** 2).sum() / 3 for z in (x, y))
    assert vicreg(a, b).item() == pytest.approx(25 * ((x - y) ** 2).mean() + 25 * spread + covariance, rel=1e-4)
    cross = np.corrcoef(x.T, y.T)[:3, 3:]
    assert barlow_twins(a, b).item() == pytest.approx(
        ((1 - np.diag(cross)) ** 2).sum() + 5e-3 * (cross[off] ** 2).sum(), rel=1e-3
    )


def test_sim_siam_sends_no_gradient_through_the_target() -> None:
    predicted, target = (torch.randn(5, 3, generator=generator_for(i)).requires_grad_() for i in (0, 1))
    sim_siam(predicted, target).backward()
    assert predicted.grad is not None
    assert target.grad is None
    assert sim_siam(target, target).item() == pytest.approx(-1)


def frame(panel: Panel, n_in: int) -> EncoderFrame:
    encoder = Encoder(column_moments(panel, np.random.default_rng(0)), [n_in, 16, 3], generator_for(0))
    return EncoderFrame(encoder, 3, 12, 16, generator_for(1))


def test_random_projectors_are_not_trained() -> None:
    panel = make_panel()
    objective = RandomProjectorsObjective(frame(panel, 12))
    objective.loss(draw(panel, 64, 4, np.random.default_rng(0)), generator_for(0)).backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in objective.projectors.parameters())
    assert all(parameter.grad is not None for parameter in objective.encoder.parameters())


def test_subsets_are_of_one_size_cover_all_columns_and_overlap_with_their_neighbours_as_asked() -> None:
    subsets = SubTab()._subsets(160, np.random.default_rng(0))
    assert subsets.shape == (4, 70)  # 160 / 4 × 1.75
    assert set(subsets.ravel()) == set(range(160))
    assert [len(set(a) & set(b)) for a, b in itertools.pairwise(subsets)] == [40, 40, 40]
    assert SubTab(overlap=0.0)._subsets(160, np.random.default_rng(0)).shape == (4, 40)
    for n_columns, n_subsets, overlap in itertools.product((7, 42, 101), (2, 4, 7), (0.0, 0.1)):
        generator = SubTab(subsets=n_subsets, overlap=overlap)
        assert set(generator._subsets(n_columns, np.random.default_rng(0)).ravel()) == set(range(n_columns))


def test_subtab_emits_the_mean_over_subsets_of_the_trained_encoder() -> None:
    panel = make_panel()
    fitted = SubTab.model_validate({**NETWORK, **TRAINING}).fit(panel, np.random.default_rng(0))
    x, state = panel.block(20).features.astype(np.float64), fitted.state()
    wanted = np.zeros((40, 3))
    for i, columns in enumerate(fitted.subsets_):
        hidden = np.maximum(x[:, columns] @ state["weights_0_"][i].T + state["biases_0_"][i], 0)
        hidden = np.maximum(hidden @ state["weights_1_"].T + state["biases_1_"], 0)
        wanted += (hidden @ state["weights_2_"].T + state["biases_2_"]) / 4
    np.testing.assert_allclose(fitted.transform(panel.block(20)), wanted, atol=1e-4)


def test_each_subset_is_read_with_its_own_columns_standardised() -> None:
    panel = make_panel()
    subsets = np.array([[0, 1, 2], [7, 8, 9]])
    encoder = SubTabObjective(frame(panel, 3), CellReplacement(0.15, "era"), subsets).encoder
    cells = torch.from_numpy(panel.block(20).features)
    for columns in subsets:
        wanted = encoder.net(encoder.standard(cells)[:, columns])
        weights, biases = encoder.stack(columns)[0]
        first = encoder.net[0](encoder.standard(cells)[:, columns])
        np.testing.assert_allclose(cells[:, columns].numpy() @ weights.T + biases, first.detach().numpy(), atol=1e-5)
        assert wanted.shape == (40, 3)
