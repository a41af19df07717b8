"""Summaries on series small enough to check by hand."""

import numpy as np
import pytest

from numerai_lab.metrics.summary import max_drawdown, max_drawdown_compound, sharpe, summarise


def test_drawdown_is_the_largest_fall_of_the_sum_and_the_path_starts_at_its_first_value() -> None:
    assert max_drawdown(np.array([0.1, -0.05, -0.1, 0.2, -0.02])) == pytest.approx(0.15)
    assert max_drawdown(np.array([-0.3, 0.1])) == 0.0


def test_compound_drawdown_is_relative_and_negative() -> None:
    assert max_drawdown_compound(np.array([0.5, -0.5, 0.1])) == pytest.approx(-0.5)


def test_sharpe_divides_by_the_population_standard_deviation() -> None:
    assert sharpe(np.array([1.0, 3.0])) == 2.0
    assert np.isnan(sharpe(np.array([1.0, 1.0])))
    assert np.isnan(sharpe(np.full(20, 0.1)))  # whose mean is not quite .1


def test_eras_without_a_score_are_left_out() -> None:
    assert summarise(np.array([np.nan, 1.0, 3.0]), "mean") == 2.0
    assert np.isnan(summarise(np.array([np.nan]), "mean"))
    assert summarise(np.array([np.nan, 1.0, -3.0, 2.0, 4.0]), "share_positive") == 0.75
