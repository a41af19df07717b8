"""What the curves of a run's plots are made of."""

import numpy as np
import polars as pl
import pytest

from numerai_lab.report.plots import drawn, improvement


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


@pytest.mark.filterwarnings("error")
def test_many_variants_and_long_names_leave_room_for_their_curves() -> None:
    for n, name in ((60, "variant"), (2, "a_very_long_name_of_a_variant_" * 8)):
        names = [f"{name}{i}" for i in range(n)]
        svg = drawn(dict.fromkeys(names, ([1, 2, 3], np.zeros(3))), "corr", names, None)
        assert all(f"{name[:30]}" in svg for name in names)
