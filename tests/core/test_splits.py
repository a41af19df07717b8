"""Embargo, halves and ranges: no era on two sides, none too near."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numerai_lab.core.era_ranges import parse_era_range
from numerai_lab.core.errors import NlabError
from numerai_lab.core.split_config import Embargo, SplitsConfig
from numerai_lab.core.splits import EraTable, Splits, embargo_for, make_splits
from tests.conftest import make_config


def table(n_train: int, n_validation: int, unresolved: int = 0) -> EraTable:
    n = n_train + n_validation
    kinds = ("train",) * n_train + ("validation",) * n_validation
    return EraTable(tuple(range(1, n + 1)), kinds, tuple(i < n - unresolved for i in range(n)))


def complaint(config: SplitsConfig, eras: EraTable, horizon: int | None = 20) -> str:
    with pytest.raises(NlabError) as caught:
        make_splits(config, eras, horizon)
    return str(caught.value)


def test_automatic_splits_leave_8_eras_before_val1_and_before_val2_for_a_20_day_target() -> None:
    splits = make_splits(SplitsConfig(), table(60, 40), 20)
    assert splits.train == tuple(range(1, 61))
    assert splits.val1 == tuple(range(69, 81))
    assert splits.val2 == tuple(range(89, 101))
    assert splits.embargo == (*range(61, 69), *range(81, 89))
    assert splits.leak == ""


def test_a_60_day_target_takes_16() -> None:
    splits = make_splits(SplitsConfig(), table(60, 80), 60)
    assert splits.val1[0] == 60 + 16 + 1
    assert splits.val2[0] - splits.val1[-1] - 1 == 16


@pytest.mark.parametrize("stride", [2, 4, 7])
def test_a_stride_takes_every_kth_training_era_and_leaves_validation_where_it_is(stride: int) -> None:
    whole = make_splits(SplitsConfig(holdout=10), table(60, 60), 20)
    thinned = make_splits(SplitsConfig(holdout=10, era_stride=stride), table(60, 60), 20)
    assert thinned.train == tuple(range(1, 61, stride))
    assert replace(thinned, train=whole.train) == whole


def test_eras_without_a_target_are_not_scored() -> None:
    splits = make_splits(SplitsConfig(), table(60, 40, unresolved=4), 20)
    assert splits.val2[-1] == 96


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([20, 60]), st.integers(0, 12))
def test_automatic_splits_never_overlap_and_keep_their_distance(
    n_train: int, n_validation: int, horizon: int, unresolved: int
) -> None:
    eras = table(n_train, n_validation, min(unresolved, n_validation - 1))
    gap = embargo_for(horizon)
    try:
        splits = make_splits(SplitsConfig(), eras, horizon)
    except NlabError:
        assert n_validation - unresolved <= 2 * gap + 2
        return
    assert splits.val1[0] - splits.train[-1] > gap
    assert splits.val2[0] - splits.val1[-1] > gap
    assert abs(len(splits.val1) - len(splits.val2)) <= 1
    everything = [*splits.train, *splits.embargo, *splits.val1, *splits.val2]
    assert len(set(everything)) == len(everything)


def test_explicit_ranges_one_era_too_near_are_refused_with_the_first_allowed_era() -> None:
    near = SplitsConfig(train="1-60", val1="68-80", val2="89-100")
    assert "start it at era 69 or later" in complaint(near, table(60, 40))
    assert make_splits(SplitsConfig(train="1-60", val1="69-80", val2="89-100"), table(60, 40), 20).val1[0] == 69


def test_overlaps_and_wrong_order_are_refused() -> None:
    message = complaint(SplitsConfig(train="1-60", val1="50-70", val2="65-90"), table(60, 40))
    assert "splits.val1" in message
    assert "splits.val2" in message


def test_a_number_may_raise_the_embargo_but_lowering_it_must_be_said_and_is_stamped() -> None:
    assert make_splits(SplitsConfig(embargo=10), table(60, 60), 20).val1[0] == 71
    assert "allow_leak: true" in complaint(SplitsConfig(embargo=3), table(60, 60))
    lowered = SplitsConfig.model_validate({"embargo": {"eras": 3, "allow_leak": True}})
    assert make_splits(lowered, table(60, 60), 20).leak == "LEAK: embargo 3 < 8"


def test_an_unknown_horizon_asks_for_a_number() -> None:
    assert "data.horizon_days" in complaint(SplitsConfig(), table(60, 40), horizon=None)
    assert make_splits(SplitsConfig(embargo=5), table(60, 40), None).leak == ""


def test_without_data_type_a_share_trains() -> None:
    eras = EraTable(tuple(range(1, 101)), ("",) * 100, (True,) * 100)
    assert "60%" in complaint(SplitsConfig(), eras)
    assert make_splits(SplitsConfig(train="60%"), eras, 20).train == tuple(range(1, 61))


@pytest.mark.parametrize("percent", [28, 29, 57, 58])
def test_a_share_of_100_eras_is_that_many_eras(percent: int) -> None:
    eras = EraTable(tuple(range(1, 101)), ("",) * 100, (True,) * 100)
    assert len(make_splits(SplitsConfig(train=f"{percent}%"), eras, 5).train) == percent


def test_an_embargo_is_the_horizon_and_20_business_days_more_in_eras() -> None:
    assert [embargo_for(days) for days in (5, 20, 33, 60)] == [5, 8, 11, 16]
    assert [embargo_for(days, 1) for days in (20, 60)] == [40, 80]
    assert [embargo_for(days, 21) for days in (20, 60)] == [2, 4]


def test_daily_eras_leave_out_40_before_val1_and_before_val2() -> None:
    splits = make_splits(SplitsConfig(), replace(table(100, 200), days_per_era=1), 20)
    assert splits.val1[0] == 100 + 40 + 1
    assert splits.val2[0] - splits.val1[-1] - 1 == splits.required_eras == 40
    message = complaint(SplitsConfig(embargo=8), replace(table(100, 200), days_per_era=1))
    assert "splits.embargo: 8 eras, but a 20-day target needs 40" in message


MONTHLY = EraTable(
    (1, 5, 10, 14, 18, 23, 27, 31),
    ("",) * 8,
    (True,) * 8,
    dict(zip((1, 5, 10, 14, 18, 23, 27, 31), [f"2020-{month:02d}-28" for month in range(1, 9)], strict=True)),
)


@pytest.mark.parametrize(
    "text", ["20200128-20200328", "2020-01-01..2020-03-28", "2020-01-28-2020-03-31", "2020/1/1 .. 2020/4/1", "1-10"]
)
def test_a_range_of_dated_eras_is_given_by_dates_or_by_week_numbers(text: str) -> None:
    config = SplitsConfig(
        train=text, val1="20200601-20200630", val2="20200801-20200831", embargo=Embargo(eras=7, allow_leak=True)
    )
    splits = make_splits(config, MONTHLY, 20)
    assert (splits.train, splits.val1, splits.val2) == ((1, 5, 10), (23,), (31,))


def test_what_is_wrong_with_dated_splits_is_said_in_dates() -> None:
    near = SplitsConfig(train="1-10", val1="20200401-20200430", val2="20200801-20200831")
    message = complaint(near, MONTHLY)
    assert "splits.val1: starts 3 eras after train ends (era 20200328), the embargo is 8; start it at era 20200628" in message
    assert "(eras 20200128-20200828 have one)" in complaint(SplitsConfig(train="2019-01-01..2019-02-01"), MONTHLY)


def test_dates_for_eras_that_are_numbers_are_refused() -> None:
    message = complaint(SplitsConfig(train="2020-01-03..2020-12-25"), table(60, 40))
    assert "splits.train: '2020-01-03..2020-12-25' is a range of dates, and eras of this data are numbers (eras 1-100" in message


def test_eras_are_counted_by_number_not_by_place() -> None:
    every_fourth = EraTable(tuple(range(1, 401, 4)), ("train",) * 60 + ("validation",) * 40, (True,) * 100)
    splits = make_splits(SplitsConfig(), every_fourth, 20)
    assert splits.val1[0] - splits.train[-1] > 8
    assert len(splits.val1) > 15


def test_ranges_are_of_numbers_or_of_dates() -> None:
    assert parse_era_range("579-880") == (579, 880)
    assert (
        parse_era_range("2020-01-03..2020-12-25")
        == parse_era_range("2020/1/3-2020/12/25")
        == (date(2020, 1, 3), date(2020, 12, 25))
    )


@pytest.mark.parametrize(
    "text", ["2020-12-25..2020-01-03", "2020-01-03..52", "2020-13-01..2020-14-01", "1", "5-3", "a-b", "1-2-3", ""]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a range"):
        parse_era_range(text)


@pytest.mark.parametrize("holdout", ["20%", 40, "161-200"])
def test_a_holdout_comes_off_the_end_and_val_is_halved_before_its_embargo(holdout: int | str) -> None:
    splits = make_splits(SplitsConfig(holdout=holdout), table(60, 140), 20)
    assert splits.holdout == tuple(range(161, 201))
    assert splits.val2[-1] == 152  # eras 153 to 160 are the embargo before the holdout
    assert (splits.val1[0], len(splits.val1)) == (69, len(splits.val2))
    assert splits.scored == (*splits.val1, *splits.val2)
    assert not {*range(153, 201)} & {*splits.train, *splits.validation}


def test_a_share_held_out_is_of_the_eras_with_a_known_target() -> None:
    assert make_splits(SplitsConfig(holdout="20%"), table(60, 140, unresolved=20), 20).holdout == tuple(range(145, 181))


@given(st.integers(30, 200), st.integers(1, 60), st.sampled_from([20, 60]), st.integers(1, 5))
def test_no_era_before_a_holdout_is_nearer_than_the_embargo(n_validation: int, n_held_out: int, horizon: int, step: int) -> None:
    n = 60 + n_validation
    kinds = ("train",) * 60 + ("validation",) * n_validation
    eras = EraTable(tuple(range(1, n * step + 1, step)), kinds, (True,) * n)
    try:
        splits = make_splits(SplitsConfig(holdout=n_held_out), eras, horizon)
    except NlabError:
        assert n_validation - n_held_out <= (3 * embargo_for(horizon)) // step + 6
        return
    assert len(splits.holdout) == n_held_out
    assert splits.holdout[0] - max(*splits.train, *splits.validation) > embargo_for(horizon)


def test_explicit_ranges_that_reach_a_holdout_or_its_embargo_are_refused() -> None:
    near = SplitsConfig(train="1-60", val1="69-80", val2="89-155", holdout="161-200")
    assert "splits.holdout: starts 5 eras after val2 ends (era 155), the embargo is 8; start it at era 164 or later" in complaint(
        near, table(60, 140)
    )
    inside = SplitsConfig(train="1-60", val1="69-80", val2="89-170", holdout="20%")
    assert "splits.holdout: eras 161-200 overlap val2: eras 89-170" in complaint(inside, table(60, 140))
    assert "splits.holdout: eras 51-200 overlap train" in complaint(SplitsConfig(holdout=150), table(60, 140))
    assert "the holdout begins at 71" in complaint(SplitsConfig(holdout=130), table(60, 140))
    assert "splits.holdout: '300-400' names no era with a known target" in complaint(
        SplitsConfig(holdout="300-400"), table(60, 140)
    )


@pytest.mark.parametrize("holdout", [0, -3, True, 1.5, "0%", "100%", "last", [1, 2]])
def test_what_is_no_holdout_is_one_sentence(holdout: object) -> None:
    with pytest.raises(NlabError) as caught:
        make_config(splits={"holdout": holdout})
    (problem,) = str(caught.value).splitlines()[1:]
    assert problem.startswith(f"  splits.holdout: got {holdout!r}, wanted a share of the eras (`20%`)")


def test_a_leak_is_stamped_by_the_eras_that_lie_between_not_by_what_the_embargo_says() -> None:
    lowered = {"embargo": {"eras": 2, "allow_leak": True}, "train": "1-60"}
    far = SplitsConfig.model_validate({**lowered, "val1": "69-80", "val2": "89-110"})
    near = SplitsConfig.model_validate({**lowered, "val1": "69-80", "val2": "84-110"})
    assert (make_splits(far, table(60, 60), 20).distance, make_splits(far, table(60, 60), 20).leak) == (8, "")
    assert (make_splits(near, table(60, 60), 20).distance, make_splits(near, table(60, 60), 20).leak) == (
        3,
        "LEAK: embargo 3 < 8",
    )


def test_the_distance_of_a_block_counts_training_eras_on_both_sides() -> None:
    inside = Splits(tuple(range(1, 11)) + tuple(range(24, 40)), (), tuple(range(16, 21)), (), 3, 8)
    assert (inside.distance, inside.leak) == (3, "LEAK: embargo 3 < 8")
