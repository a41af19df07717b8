"""The realism report finds out generators that cheat, and lets other real eras pass."""

import numpy as np
import pytest

from numerai_lab.core.panel import Panel
from numerai_lab.metrics.realism import Realism, realism
from numerai_lab.metrics.realism_measures import REALISM_MEASURES
from numerai_lab.metrics.row_sample import RowSample
from tests.conftest import make_panel


def sample(panel: Panel, eras: range) -> RowSample:
    blocks = [panel.block(era) for era in eras]
    targets = [block.target for block in blocks if block.target is not None]
    features = np.concatenate([block.features for block in blocks])
    return RowSample(features, np.concatenate(targets), np.repeat(list(eras), [len(block) for block in blocks]))


PANEL = make_panel(n_eras=60, n_rows=100, n_features=42)
TRAIN, HELD, OTHER = (sample(PANEL, eras) for eras in (range(1, 21), range(21, 41), range(41, 61)))


def judged(made: RowSample) -> Realism:
    return realism(TRAIN, HELD, made, 0)


def copied(changed: int) -> RowSample:
    """Training rows drawn with replacement, each with so many cells changed."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(TRAIN), size=2000)
    features = TRAIN.features[rows]
    for row, cells in zip(features, rng.permuted(np.tile(np.arange(42), (2000, 1)), axis=1)[:, :changed], strict=True):
        row[cells] = (row[cells] + 1) % 5
    return RowSample(features, TRAIN.target[rows], np.repeat(np.arange(20), 100))


def shuffled() -> RowSample:
    """Training rows whose columns were shuffled apart."""
    rng = np.random.default_rng(0)
    return RowSample(np.stack([rng.permutation(column) for column in TRAIN.features.T], axis=1), TRAIN.target, TRAIN.era)


@pytest.fixture(scope="module")
def real() -> Realism:
    return judged(OTHER)


def test_other_real_eras_pass_for_real(real: Realism) -> None:
    assert 0.5 < real["corr_ratio"].value < 2
    assert 0.5 < real["target_corr_ratio"].value < 2
    assert abs(real["auc"].value - 0.5) < 0.05
    assert 0.9 < real["memorised"].value < 1.1
    assert real["tstr"].value > 0.7 * real["tstr"].real > 0.1
    assert real["bins_max"].value < 0.06
    assert real["bins_covered"].value == 1
    assert real["copies"].value == real["near_copies"].value == real["copies"].real == real["near_copies"].real == 0


@pytest.mark.parametrize("name", ["bins_mean", "pairs", "corr", "density", "coverage", "utility", "membership", "tstr"])
def test_real_eras_are_near_their_floor_and_the_interval_is_about_the_value(real: Realism, name: str) -> None:
    found = real[name]
    assert found.low < found.value < found.high
    assert found.low - 0.02 < found.real < found.high + 0.02


def test_density_and_coverage_of_real_rows_are_what_theory_expects(real: Realism) -> None:
    assert abs(real["density"].value - 1) < 0.1
    assert abs(real["coverage"].value - (1 - 0.5**5)) < 0.02


@pytest.mark.parametrize("changed", [0, 1, 3])
def test_copies_are_exposed_though_all_else_looks_real(changed: int) -> None:
    found = judged(copied(changed))
    assert found["copies"].value == (1 if changed == 0 else 0)
    assert found["near_copies"].value == 1
    assert found["memorised"].high < 0.5
    assert found["membership"].low > found["membership"].real + 0.2
    assert found["corr_ratio"].value < 3
    assert found["utility"].value > 0.9 * found["utility"].real
    assert found["pairs"].value > found["pairs"].real - 0.02


def test_rows_with_four_cells_changed_are_no_near_copies() -> None:
    assert judged(copied(4))["near_copies"].value == 0


def test_copies_are_looked_for_among_all_training_rows() -> None:
    copies = RowSample(OTHER.features, OTHER.target, OTHER.era)
    blocks = iter([TRAIN.features, OTHER.features[:1500]])
    found = realism(TRAIN, HELD, copies, 0, blocks)
    assert found["copies"].value == found["near_copies"].value == 0.75
    assert found["copies"].low < 0.75 < found["copies"].high
    assert found["memorised"].value > 0.9  # which sees the sample alone


def test_independent_marginals_are_exposed_by_all_that_looks_at_more_than_one_column() -> None:
    found = judged(shuffled())
    assert found["bins_max"].value == 0  # by proportions alone it would pass
    assert found["corr_ratio"].low > 5
    assert found["auc"].low > 0.8
    assert found["pairs"].high < found["pairs"].real - 0.05
    assert found["density"].high < 0.2 * found["density"].real
    assert found["coverage"].high < 0.2 * found["coverage"].real
    assert found["utility"].high < 0.1 * found["utility"].real
    assert found["tstr"].value < 0.3 * found["tstr"].real
    assert found["copies"].value == 0
    assert found["membership"].low < found["membership"].real + 0.05


def test_eras_unlike_the_training_eras_are_not_taken_for_memory() -> None:
    """Every era has a centre of its own, so rows of an era lie close together."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.integers(0, 3, (60, 42)), 100, axis=0)
    near = [(centres + rng.integers(0, 3, centres.shape)).astype(np.int8) for _ in range(2)]
    train, fresh = (RowSample(features[:2000], TRAIN.target, TRAIN.era) for features in near)
    held = RowSample(near[0][2000:4000], HELD.target, HELD.era)
    found = realism(train, held, fresh, 0)
    assert found["membership"].value == pytest.approx(found["membership"].real, abs=0.02)
    assert found["membership"].real == pytest.approx(0.5, abs=0.04)
    assert realism(train, held, train, 0)["membership"].low > 0.95
    other = realism(train, held, RowSample(near[0][4000:], OTHER.target, OTHER.era), 0)
    assert other["coverage"].high > other["coverage"].real > 0.8


def test_rows_of_one_corner_have_density_and_no_coverage() -> None:
    corner = np.argsort(TRAIN.features.sum(1))[:200]
    found = judged(RowSample(np.tile(TRAIN.features[corner], (10, 1)), np.tile(TRAIN.target[corner], 10), TRAIN.era))
    assert found["coverage"].high < 0.5 * found["coverage"].real


def test_ratios_do_not_depend_on_how_many_rows_were_made() -> None:
    panel = make_panel(n_eras=90, n_rows=300, n_features=30)
    train, held, other = (sample(panel, eras) for eras in (range(1, 31), range(31, 61), range(61, 91)))
    for n in (300, 900, 9000):
        summary = realism(train, held, other.take(np.arange(n)), 0)
        assert summary.eras == n // 300
        assert 0.7 < summary["corr_ratio"].value < 1.4
        assert 0.5 < summary["target_corr_ratio"].value < 2
        assert 0.4 < summary["auc"].value < 0.65
        assert abs(summary["coverage"].value - summary["coverage"].real) < 0.05
        assert n > 300 or np.isnan(summary["diversity"].value)


def test_eras_that_are_all_the_same_have_no_diversity() -> None:
    panel = make_panel(n_eras=40, n_rows=400)
    turned = np.repeat(np.arange(40) % 2 == 0, 400)
    assert panel.target is not None
    varied = sample(panel, range(1, 41))
    varied = RowSample(varied.features, np.where(turned, 1 - varied.target, varied.target).astype(np.float32), varied.era)
    same = RowSample(varied.features, panel.target, varied.era)
    assert realism(varied, varied, same, 0)["diversity"].high < 0.3
    assert realism(varied, varied, varied, 0)["diversity"].value == 1


def test_proportions_are_given_for_every_feature() -> None:
    features = TRAIN.features.copy()
    features[:, 3] = 4
    found = judged(RowSample(features, TRAIN.target, TRAIN.era))
    np.testing.assert_allclose(found.proportions.sum(1), 1)
    assert found.proportions[3].tolist() == [0, 0, 0, 0, 1]
    assert found["bins_max"].value > 0.7
    assert found["bins_covered"].value == pytest.approx(1 - 0.8 / 42)


def test_every_measure_is_there_and_the_same_seed_gives_the_same_numbers(real: Realism) -> None:
    again = judged(OTHER)
    assert {*real.measures} == {*REALISM_MEASURES}
    for name, measure in real.measures.items():
        np.testing.assert_equal(vars(again[name]), vars(measure))


def test_a_single_row_an_era_a_single_era_and_a_single_feature_give_no_error() -> None:
    for made in (OTHER.take(np.arange(20) * 100), OTHER.take(np.arange(100)), OTHER.take(np.arange(3))):
        assert np.isfinite(judged(made)["coverage"].value)
    one = [rows.with_columns(np.array([0])) for rows in (TRAIN, HELD, OTHER)]
    found = realism(*one, 0)
    assert found["copies"].value == found["copies"].real == 1  # there are five rows in all
    assert np.isnan(found["near_copies"].value)
    assert np.isnan(found["utility"].value)


def test_wide_rows_are_judged_by_some_of_their_columns_in_bounded_time() -> None:
    rng = np.random.default_rng(0)
    wide = [rng.integers(0, 5, (300, 3000)).astype(np.int8) for _ in range(3)]
    target, era = np.tile(np.float32([0, 0.25, 0.5, 0.75, 1]), 60), np.repeat(np.arange(6), 50)
    found = realism(*(RowSample(features, target, era) for features in wide), 0)
    assert found.proportions.shape == (3000, 5)
    assert found["near_copies"].value == 0


def test_continuous_features_are_judged_by_tenths_of_their_range() -> None:
    panel = make_panel(n_eras=30, n_rows=100, binned=False)
    train, held, other = (sample(panel, eras) for eras in (range(1, 11), range(11, 21), range(21, 31)))
    found = realism(train, held, other, 0)
    assert found.proportions.shape == (12, 10)
    assert found["pairs"].value == pytest.approx(found["pairs"].real, abs=0.05)
    assert realism(train, held, train, 0)["copies"].value == 1
