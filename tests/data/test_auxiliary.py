"""Auxiliary targets from files: where they are kept, how far they look ahead, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.inventory import inventory
from numerai_lab.data.reader import load, outline
from numerai_lab.experiment import run
from numerai_lab.fitting.plan import plan
from numerai_lab.fitting.run_facts import facts_now
from tests.conftest import Quiet, make_config
from tests.data.test_reader import ROWS, frame, loaded, refusal

OTHER = pl.Series([0.0, 1.0, None] * 3, dtype=pl.Float32)
SORTED = np.float32([np.nan, 1.0, 0.0, 1.0, np.nan, 0.0, np.nan, 1.0, 0.0])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_they_stand_beside_the_target_in_a_store_of_their_own(tmp_path: Path, suffix: str) -> None:
    alone = loaded(tmp_path, frame(target_x_60=OTHER), suffix)
    path = str(tmp_path / f"data{suffix}")
    both = load(Files(path=path, target="target_ender_20", auxiliary_targets=["target_x_60"]))
    assert alone.panel.auxiliary == {}
    assert (both.store, both.labels) == (alone.store, alone.labels)
    assert both.content.labels_of([1, 2]) == alone.content.labels_of([1, 2])
    assert both.content.auxiliary_of([1, 2]) != alone.content.auxiliary_of([1, 2])
    np.testing.assert_array_equal(both.panel.auxiliary["target_x_60"].values, SORTED)
    assert not load(Files(path=path, target="target_x_60")).new_stores  # as a target of its own it lies there already


def test_the_longest_horizon_counts_and_is_told(tmp_path: Path) -> None:
    table = frame(target_x_60=OTHER, target_y_20=OTHER)
    for names, reach in ((["target_y_20"], 20), (["target_y_20", "target_x_60"], 60)):
        data = loaded(tmp_path, table, auxiliary_targets=names)
        assert (data.horizon_days, data.panel.horizon_days, data.panel.reach_days) == (20, 20, reach)
        assert (
            outline(Files(path=str(tmp_path / "data.parquet"), target="target_ender_20", auxiliary_targets=names)).reach_days
            == reach
        )
        notes = ("embargo and purge are those of 60 days, which target_x_60 looks ahead; the target looks 20 ahead",)
        assert data.notes == (notes if reach == 60 else ())


def test_horizons_that_no_name_tells_are_those_of_the_config_or_all_unknown(tmp_path: Path) -> None:
    table = frame(target=OTHER, target_x=OTHER.reverse())
    unknown = loaded(tmp_path, table, target="target_x", auxiliary_targets=["target"])
    assert unknown.panel.reach_days is None
    given = loaded(tmp_path, table, target="target_x", auxiliary_targets=["target_ender_20", "target"], horizon_days=40)
    assert [each.horizon_days for each in given.panel.auxiliary.values()] == [20, 40]
    fewer = loaded(tmp_path, table, target="target_x", auxiliary_targets=["target"], horizon_days=40)
    assert given.content.auxiliary_of([1]) != fewer.content.auxiliary_of([1])


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {"auxiliary_targets": ["target_x_6"]},
            "data.auxiliary_targets: {path} has no column 'target_x_6'; did you mean 'target_x_60'?",
        ),
        (
            {"target": "target", "auxiliary_targets": ["target_ender_20"]},
            "data.auxiliary_targets: 'target_ender_20' equals 'target' in every row; leave it out",
        ),
        (
            {"auxiliary_targets": ["target_odd"]},
            "data.auxiliary_targets: the horizon of 'target_odd' is unknown (its name does not end in a number of days), and "
            "that of others is not; set data.horizon_days",
        ),
        (
            {"auxiliary_targets": ["target_words_20"]},
            "{path}: target 'target_words_20' holds 'high' for id 'c', not a number",
        ),
    ],
)
def test_what_no_run_could_use_is_one_sentence(tmp_path: Path, parameters: dict[str, Any], said: str) -> None:
    same = frame()["target_ender_20"]
    table = frame(target=same, target_x_60=OTHER, target_odd=OTHER.reverse(), target_words_20=["high"] * ROWS)
    for refused in (refusal(tmp_path, table, **parameters), _of_outline(tmp_path, parameters)):
        if refused:
            assert refused.startswith(said.format(path=tmp_path / "data.parquet"))


def _of_outline(folder: Path, parameters: dict[str, Any]) -> str:
    """What a plan says of the same files; empty where it does not notice."""
    try:
        outline(Files(path=str(folder / "data.parquet"), **{"target": "target_ender_20", **parameters}))
    except NlabError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["target_ender_60", "target_ender_60"], "data.auxiliary_targets: 'target_ender_60' is named twice"),
        (["target_ender_60", "target"], "data.auxiliary_targets: 'target' is the target itself; name others beside it"),
        ("target_ender_60", "data.auxiliary_targets: got 'target_ender_60', wanted a valid list"),
    ],
)
def test_a_config_names_each_once_and_not_the_target(names: Any, said: str) -> None:
    with pytest.raises(NlabError) as caught:
        make_config(data={"source": "synthetic", "size": "tiny", "auxiliary_targets": names})
    assert str(caught.value).splitlines()[1:] == [f"  {said}"]


def test_a_longer_horizon_lengthens_embargo_purge_and_folds_and_not_that_of_scores() -> None:
    overrides = ["data.size=tiny", "splits={}", "cv={folds: 2}", "generators={}", "variants={baseline: {}}"]
    plans = [
        plan(load_config(Path("configs/quickstart.yaml"), [*overrides, f"data.auxiliary_targets={names}"])[0])
        for names in ("[]", "[target_cyrusd_20]", "[target_cyrusd_60]")
    ]
    assert [each.splits.embargo_eras for each in plans] == [8, 8, 16]
    assert [each.outline.horizon_days for each in plans] == [20, 20, 20]
    assert "embargo  for 60 days, which an auxiliary target looks ahead" in plans[2].lines()
    facts = facts_now(load_config(Path("configs/quickstart.yaml"), [*overrides, "data.auxiliary_targets=[target_cyrusd_60]"])[0])
    splits, comparable, scoring = (facts[key] for key in ("splits", "comparable", "scoring"))
    assert isinstance(splits, dict)
    assert isinstance(comparable, dict)
    assert isinstance(scoring, dict)
    assert splits["embargo"] == list(plans[2].splits.embargo)
    assert (comparable["horizon (days)"], scoring["payout"]) == (20, {"corr": 0.75, "mmc": 2.25})


@pytest.mark.parametrize("where", ["splits", "cv"])
def test_an_embargo_that_is_long_enough_for_the_target_alone_is_refused(tmp_path: Path, where: str) -> None:
    sections: dict[str, dict[str, Any]] = {"splits": {}, "cv": {"folds": 2}}
    sections[where] = {**sections[where], "embargo": 8}
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_60"]}
    config = make_config(data=data, variants={"baseline": {}}, **sections)
    for attempt in (lambda: plan(config), lambda: run(config, tmp_path, Quiet())):
        with pytest.raises(NlabError, match=f"{where}.embargo: 8 eras, but a 60-day target needs 16"):
            attempt()


def test_data_info_tells_how_far_they_look_and_how_much_is_missing(tmp_path: Path) -> None:
    counts = inventory(loaded(tmp_path, frame(target_x_60=OTHER), auxiliary_targets=["target_x_60"]))
    assert counts.facts["auxiliary target_x_60"] == "60 days; missing 33.3%"


def test_a_run_in_which_nothing_learns_them_says_so(tmp_path: Path) -> None:
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_20"]}
    done = run(make_config(data=data, variants={"baseline": {}}), tmp_path, Quiet())
    assert "no generator or variant of this config learns auxiliary targets" in done.manifest["warnings"]
    assert done.manifest["data"]["auxiliary_targets"] == ["target_cyrusd_20"]
