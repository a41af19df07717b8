"""What the curves of a run's plots are made of."""

import numpy as np
import polars as pl
import pytest

from numerai_lab.report.plots import improvement


def test_an_era_without_a_score_adds_nothing_to_the_improvement() -> None:
    eras = pl.DataFrame(
        {
            "variant": ["baseline"] * 3 + ["other"] * 3,
            "era": [1, 2, 3] * 2,
            "corr": [0.05, 0.05, 0.05, 0.05, np.nan, 0.07],
        }
    )
    at, values = improvement(eras, "baseline")["other"]
    assert list(at) == [1, 2, 3]
    assert values == pytest.approx([0.0, 0.0, 0.02])
