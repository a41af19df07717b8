"""`make simulate`: what the statistics promise, on simulated tournaments and real runs. Numbers: tests/bench/RESULTS.md."""

import os
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.metrics.changes import Judging, changes
from numerai_lab.metrics.multiplicity import confidence_set
from numerai_lab.metrics.significance import luck
from tests.metrics.test_retraining import runs
from tests.metrics.test_significance import overlapping_noise
from tests.simulate.retrained import WORLDS, called_different, per_era
from tests.simulate.tournaments import family_error, found_at_resolution, found_beside_twin

pytestmark = pytest.mark.simulate
RESAMPLES = 2000


@pytest.mark.parametrize("n_eras", [60, 200])
def test_family_error_with_twins_is_at_most_6_percent(n_eras: int) -> None:
    share = family_error(500, RESAMPLES, n_eras)
    print(f"\nfamily-wise error, 20 variants of which 2 twins, {n_eras} eras, 500 tournaments: {share:.1%}")
    assert share <= 0.06


@pytest.mark.parametrize("n_differing", [1, 2, 3, 4])
def test_a_gain_of_8_errors_is_found_beside_a_twin(n_differing: int) -> None:
    share = found_beside_twin(300, RESAMPLES, n_differing)
    print(f"\ngain of 8 SE beside a twin that differs in {n_differing} of 60 eras, 300 tournaments: found in {share:.1%}")
    assert share >= 0.95


@pytest.mark.parametrize(("n_eras", "n_variants"), [(60, 1), (60, 6), (300, 1), (300, 6), (60, 20)])
def test_a_gain_of_the_stated_resolution_is_called_better_in_75_to_85_percent(n_eras: int, n_variants: int) -> None:
    share = found_at_resolution(300, RESAMPLES, n_eras, n_variants)
    print(f"\ngain of the stated resolution, {n_eras} eras, {n_variants} variants, 300 tournaments: better in {share:.1%}")
    assert 0.75 <= share <= 0.85


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("between", [0.0, 1.0, 3.0])
def test_with_seeds_size_and_power_hold_too(seeds: int, between: float) -> None:
    rng, wrong, hits = np.random.default_rng(seeds), 0, 0
    for _ in range(300):
        members = runs(rng, 7, seeds, 100, between)
        rows = changes(members, 0, Judging(4, statistics=(("corr", "mean"),)))
        wrong += any(rows[i]["verdict"] in ("better", "worse") for i in range(1, 7))
        gain = float(str(rows[1]["delta_corr_mean_resolution"]))
        hits += float(str(rows[1]["delta_corr_mean_sim_low"])) + gain > 0
    print(f"\n{seeds} seeds, {between} era errors apart: one of 6 called different in {wrong / 3:.1f} %, power {hits / 3:.1f} %")
    assert wrong <= 18
    # Where retraining adds nothing, the variance between seeds is era noise counted twice: the resolution is a little too wide.
    assert 225 <= hits <= (255 if between else 270)


@pytest.mark.parametrize("n_eras", [60, 200])
@pytest.mark.parametrize("apart", [1.0, 0.03])
def test_the_confidence_set_leaves_out_one_of_two_equal_models_in_at_most_6_percent(n_eras: int, apart: float) -> None:
    rng, out = np.random.default_rng(n_eras), 0
    for _ in range(500):
        one, two = overlapping_noise(rng, n_eras, 2).T
        out += not all(confidence_set(np.column_stack([one, (1 - apart) * one + apart * two]), 4))
    print(f"\nconfidence set of two equal models, {n_eras} eras, {apart:.0%} apart, 500 times: one left out in {out / 5:.1f} %")
    assert out <= 30


@pytest.mark.parametrize(("n_eras", "overlap"), [(60, 4), (200, 4), (600, 4), (200, 12)])
def test_the_luck_band_is_left_anywhere_in_at_most_6_percent(n_eras: int, overlap: int) -> None:
    noise = overlapping_noise(np.random.default_rng(n_eras + overlap), n_eras, 500, overlap)
    share = (np.abs(np.cumsum(noise, axis=0)) > luck(noise, overlap)).any(0).mean()
    print(f"\nluck band, {n_eras} eras, targets of {overlap} eras, 500 histories: left in {share:.1%}")
    assert share <= 0.06


def test_the_same_config_under_other_seeds_is_called_different_in_at_most_6_percent_of_200_real_pairs(tmp_path: Path) -> None:
    folder = Path(os.environ.get("SIMULATED", tmp_path))  # keeps per-era tables, so that nothing is trained twice
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [pair for number in range(WORLDS) for pair in called_different(per_era(folder, number))]
    different, by_eras = (sum(flags) for flags in zip(*pairs, strict=True))
    print(f"\n{len(pairs)} pairs of real runs of one config: {different} called different, {by_eras} by era noise alone")
    assert different <= 0.06 * len(pairs)
    assert by_eras > 0.1 * len(pairs)
