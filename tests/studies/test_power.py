"""What a run would resolve, before it is made."""

from pathlib import Path

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.metrics.power import Noise, eras_for, noise_of, resolution
from numerai_lab.studies.power import power, run_of
from tests.conftest import Quiet, make_config
from tests.metrics.test_significance import overlapping_noise


def test_many_eras_and_one_variant_give_28_standard_errors_and_each_part_shrinks_with_what_it_is_of() -> None:
    eras_only, both = Noise(0.02, float("nan")), Noise(0.02, 0.001)
    assert resolution(eras_only, 10_000, 1, 1, 4) == pytest.approx(2.80 * 0.02 / 100, rel=0.02)
    assert resolution(eras_only, 10_000, 3, 1, 4) == resolution(eras_only, 10_000, 1, 1, 4)
    # 1,000 seeds: √(2/1,000) of .001 beside .0002
    assert resolution(both, 10_000, 1000, 1, 4) == pytest.approx(2.80 * np.hypot(0.0002, 0.001 * np.sqrt(2 / 1000)), rel=0.02)
    assert resolution(both, 100, 2, 1, 4) > resolution(both, 100, 3, 1, 4) > resolution(both, 100, 5, 1, 4)
    assert resolution(eras_only, 100, 1, 20, 4) > resolution(eras_only, 100, 1, 1, 4)
    assert np.isnan(resolution(eras_only, 15, 1, 1, 4))


def test_the_eras_for_a_gain_are_the_fewest_that_resolve_it_and_none_beyond_ten_times_those_at_hand() -> None:
    noise = Noise(0.02, 0.0001)
    wanted = eras_for(0.003, noise, 100, 3, 6, 4)
    assert wanted is not None
    assert resolution(noise, wanted, 3, 6, 4) <= 0.003 < resolution(noise, wanted - 1, 3, 6, 4)
    assert eras_for(0.0005, noise, 100, 3, 6, 4) is None
    assert eras_for(0.003, Noise(0.02, 0.01), 100, 2, 6, 4) is None  # no number of eras sees through the noise of retraining


def test_noise_is_measured_from_scores_whose_noise_is_known() -> None:
    rng = np.random.default_rng(0)
    seeds = rng.normal(0, 0.01, (40, 2, 1))
    members = {i: 0.03 * overlapping_noise(rng, 2000, 2).T + seeds[i] for i in range(40)}
    noise = noise_of(members, 0, 4)
    assert noise.era == pytest.approx(0.03, rel=0.1)  # √(2 sides / 2 seeds)
    assert noise.seed == pytest.approx(0.01, rel=0.25)


def test_the_noise_comes_from_a_finished_run_of_the_config_whatever_its_seeds_else_from_a_pilot(tmp_path: Path) -> None:
    config = make_config(name="power", splits={}, augmenters={"noise": {"kind": "gaussian_noise"}})
    assert run_of(config, tmp_path) is None
    pilot = power(config, 0.002, Quiet())
    assert "a pilot (ridge" in pilot.lines[0]
    assert [row["seeds"] for row in pilot.rows] == [1, 2, 3, 5]
    assert all(0 < row["resolves"] < 1 for row in pilot.rows)
    assert pilot.rows[0]["eras_for_gain"] == "more than 10 ×"
    done = run(config, tmp_path, Quiet())
    other_seeds = config.model_copy(update={"seeds": [4, 5]})
    newest = run_of(other_seeds, tmp_path)
    assert newest is not None
    assert newest.path == done.path
    estimate = power(other_seeds, 0.002, Quiet(), newest)
    assert done.name in estimate.lines[0]
    assert "unknown (one seed)" in estimate.lines[0]
    assert [row["seeds"] for row in estimate.rows] == [1]
    assert estimate.lines[-1].startswith("what more seeds would resolve needs a run of two seeds or more")
    alone = run(make_config(name="alone", splits={}, variants={"baseline": {}}), tmp_path, Quiet())
    with pytest.raises(NlabError, match="one variant shows no difference"):
        power(config, 0.002, Quiet(), alone)
