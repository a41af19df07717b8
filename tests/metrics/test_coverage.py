"""Eras of a handful of rows, and eras that predictions hardly cover, are scored for nobody."""

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.metrics.coverage import Coverage, too_wide_for_fnc


def counted(eras: dict[int, tuple[int, int, int]], least_rows: int = 20) -> Coverage:
    """era → rows, rows with a target, rows with a prediction of each of two columns."""
    coverage = Coverage(least_rows)
    for era, (n_rows, n_known, n_predicted) in eras.items():
        target, predictions = np.full(n_rows, np.nan, np.float32), np.full((n_rows, 2), np.nan)
        target[:n_known], predictions[:n_predicted, 0], predictions[:, 1] = 0.5, 0.1, 0.2
        coverage.add(era, target, predictions)
    return coverage


def test_an_era_needs_20_rows_with_a_target_and_a_prediction_for_80_percent_of_them() -> None:
    coverage = counted(
        {1: (20, 20, 20), 2: (19, 19, 19), 3: (500, 12, 500), 4: (100, 100, 80), 5: (100, 100, 79), 6: (24, 24, 20)}
    )
    assert coverage.scored == [1, 4, 6]
    assert coverage.lines() == [
        "2 eras are left out of all variants: fewer than 20 rows with a target (scoring.least_rows); the first is era 2",
        "1 era is left out of all variants: under 80% of the rows with a target have a prediction; the first is era 5",
    ]
    assert counted({1: (20, 20, 20)}).lines() == []


def test_where_every_era_is_small_it_says_how_to_score_them_all_the_same() -> None:
    with pytest.raises(NlabError, match="no era can be scored.*fewer than 20 rows.*largest has 12: set scoring.least_rows to 12"):
        counted({1: (12, 12, 12), 2: (8, 8, 8)}).lines()
    assert counted({1: (12, 12, 12), 2: (8, 8, 8)}, least_rows=12).scored == [1]
    with pytest.raises(NlabError, match="under 80% of the rows"):
        counted({1: (50, 50, 30)}).lines()


def test_eras_of_fewer_rows_than_features_are_counted() -> None:
    assert too_wide_for_fnc("all", 100, [102, 5000], 20) is None
    assert too_wide_for_fnc("all", 100, [12, 5000], 20) is None  # an era of 12 rows is not scored
    some, every = (too_wide_for_fnc("all", 3555, n_rows, 20) for n_rows in ([3556, 5000, 1500, 12], [3556, 1500]))
    assert some == (
        "fnc can't be computed for 2 of 3 scored eras: the 3,555 features of all explain every column of an era of at most "
        "3,556 rows, and these have 3,556 or fewer; scoring.fnc_features can name a smaller set"
    )
    assert (every or "").startswith("fnc can't be computed for any of the 2 scored eras: the 3,555 features of all explain")
