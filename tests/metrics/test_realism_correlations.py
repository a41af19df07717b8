"""Correlations from moments are those of the rows, with a group left out too."""

import numpy as np
import pytest

from numerai_lab.metrics.realism_correlations import moments
from tests.metrics.test_realism import TRAIN


@pytest.mark.parametrize("without", [None, 0, 7])
def test_correlations_without_a_group_are_those_of_the_other_rows(without: int | None) -> None:
    rows = TRAIN.take(TRAIN.groups() != (-1 if without is None else without))
    direct = np.corrcoef(np.column_stack([rows.features, rows.target]), rowvar=False)
    pairs, target = moments(TRAIN).correlations(without)
    np.testing.assert_allclose(pairs, direct[:-1, :-1][np.triu_indices(42, 1)], atol=1e-12)
    np.testing.assert_allclose(target, direct[-1, :-1], atol=1e-12)


def test_a_constant_feature_correlates_with_nothing() -> None:
    features = TRAIN.features.astype(np.float32)
    features[:, 2] = 0.3
    found = moments(type(TRAIN)(features, TRAIN.target, TRAIN.era)).correlations()
    assert found[1][2] == 0
    assert np.isfinite(found[0]).all()
