"""The augmentation curve rises with rows that teach, and falls with rows that mislead."""

from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.metrics.augmentation_curve import CurvePoint, augmentation_curve
from numerai_lab.metrics.row_sample import RowSample
from tests.conftest import make_panel
from tests.metrics.test_realism import sample

PANEL = make_panel(n_eras=60, n_rows=50)
TRAIN, HELD, OTHER = (sample(PANEL, eras) for eras in (range(1, 11), range(11, 31), range(31, 61)))


def curve(invented: RowSample) -> list[CurvePoint]:
    return augmentation_curve(TRAIN, HELD, invented, 0)


def test_more_rows_of_the_same_law_raise_corr() -> None:
    points = curve(OTHER)
    assert [(point.share, point.real_rows, point.invented_rows) for point in points] == [
        (0, 500, 0),
        (0.25, 500, 125),
        (0.5, 500, 250),
        (1, 500, 500),
        (2, 500, 1000),
    ]
    assert points[0].change == points[0].change_low == points[0].change_high == 0
    assert points[-1].change_low > 0
    assert points[-1].corr - points[0].corr == pytest.approx(points[-1].change)
    assert all(point.corr_low < point.corr < point.corr_high for point in points)


def test_rows_whose_targets_are_turned_lower_it() -> None:
    points = curve(replace(OTHER, target=1 - OTHER.target))
    assert points[-1].change_high < -0.1


def test_few_invented_rows_are_compared_with_few_real_ones() -> None:
    assert curve(OTHER.take(np.arange(200)))[-1].real_rows == 100


def test_the_same_seed_gives_the_same_curve_and_draws_are_averaged() -> None:
    assert curve(OTHER) == curve(OTHER)
    single = augmentation_curve(TRAIN, HELD, OTHER.take(np.arange(500)), 0, (0.0, 1.0), draws=1)
    assert [point.share for point in single] == [0, 1]
    assert single[0].corr != curve(OTHER)[0].corr


def test_rows_without_meaning_are_not_found_to_help() -> None:
    """Trees of few rows differ by chance; the interval holds that too."""
    rng = np.random.default_rng(0)
    noise = [replace(TRAIN, target=rng.permutation(TRAIN.target)) for _ in range(2)]
    helped = []
    for seed in range(30):
        rows = replace(OTHER, target=rng.permutation(OTHER.target), features=rng.permutation(OTHER.features))
        (_, point) = augmentation_curve(noise[0], noise[1], rows, seed, (0.0, 1.0))
        helped.append(point.change_low > 0)
    assert sum(helped) <= 3
