"""The verdict, the interval and the adjusted p beside it say the same, whatever the scores are."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from numerai_lab.metrics.changes import Judging, changes
from numerai_lab.metrics.verdict import verdict_of

kinds = st.sampled_from(["plain", "copy", "twin", "constant", "gain", "harm", "holes", "short", "empty"])


def series(kind: str, base: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n_eras = base.shape[1]
    corr = base + 0.01 * rng.normal(size=base.shape)
    few = rng.integers(0, n_eras, 3)
    if kind in ("copy", "twin"):
        corr = base.copy()
    if kind == "twin":
        corr[:, few] += 0.01
    if kind == "constant":
        corr = base + 0.001
    if kind in ("gain", "harm"):
        corr += 0.02 if kind == "gain" else -0.02
    if kind == "holes":
        corr[:, few] = np.nan
    if kind == "short":
        corr[:, 10:] = np.nan
    if kind == "empty":
        corr[:] = np.nan
    nothing = np.full_like(corr, np.nan)
    names = ("fnc", "max_feature_exposure", "mmc", "bmc", "bmc_last200", "payout_proxy")
    return {"corr": corr, **dict.fromkeys(names, nothing)}


@settings(max_examples=25, deadline=None)
@given(st.lists(kinds, min_size=1, max_size=6), st.integers(1, 3), st.integers(12, 70), st.integers(0, 10**6))
def test_no_verdict_contradicts_the_interval_or_the_p_beside_it(members: list[str], n_seeds: int, n_eras: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.normal(0.02, 0.03, (n_seeds, n_eras))
    table = {"reference": series("copy", base, rng), **{i: series(kind, base, rng) for i, kind in enumerate(members)}}
    rows = changes(table, "reference", Judging(4))
    for i, kind in enumerate(members):
        row = rows[i]
        value, low, high, p, alone = (
            float(str(row[f"delta_corr_mean{end}"])) for end in ("", "_sim_low", "_sim_high", "_p_adjusted", "_p")
        )
        assert not np.isinf([value, low, high, p, alone]).any()
        assert row["verdict"] == verdict_of(value, low, high)
        if math.isnan(low):
            assert row["verdict"] == "too few eras"
            continue
        assert low <= value <= high
        assert (p < 0.05) == (low > 0 or high < 0) == (row["verdict"] in ("better", "worse"))
        assert p >= alone - 1e-12
        assert kind not in ("short", "empty")
        assert (row["verdict"] == "same") == (kind == "copy")
