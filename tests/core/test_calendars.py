"""No training row's target reaches a scored row, whatever the calendar: over random ones, from files to splits."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import CrossValidation, make_folds
from numerai_lab.core.split_config import SplitsConfig
from numerai_lab.core.splits import Splits, make_splits
from numerai_lab.data.files import Files
from numerai_lab.data.reader import outline
from numerai_lab.data.source import Outline
from numerai_lab.fitting.fit_plan import generator_fits
from tests.conftest import component

Days = NDArray[np.datetime64]
STEPS = {"weekly": 5, "monthly": 5, "daily": 1, "fortnightly": 10}
"""days_per_era by kind of calendar."""
SIZES = {"weekly": (120, 220), "monthly": (40, 90), "daily": (330, 520), "fortnightly": (70, 120)}


def calendar(kind: str, n_eras: int, seed: int) -> Days:
    """Distinct dates in rising order, with holidays, shifted days and gaps."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("2007-01-01") + int(rng.integers(0, 3000))
    start = np.busday_offset(start, 0, "forward")
    if kind == "monthly":
        months = start.astype("datetime64[M]") + np.arange(n_eras)
        days = np.busday_offset((months + 1).astype("datetime64[D]"), -1, "backward")
    elif kind == "daily":
        days = np.busday_offset(start, np.arange(n_eras))
    else:
        monday = np.busday_offset(start, 0, "forward", weekmask="Mon")
        usual, apart = int(rng.integers(0, 5)), 7 * STEPS[kind] // 5
        moved = np.where(rng.random(n_eras) < 0.15, rng.integers(0, 5, n_eras), usual)  # to any other weekday
        days = monday + np.arange(n_eras) * apart + moved
    kept = rng.random(n_eras) > 0.05
    first = int(rng.integers(0, n_eras))
    kept[first : first + int(rng.integers(0, n_eras // 8))] = False
    return np.asarray(days[kept])


def written(days: Days, notation: str) -> pl.Series:
    dates = pl.Series("era", days).cast(pl.Date)
    if notation == "integers":
        return dates.dt.strftime("%Y%m%d").cast(pl.Int64)
    if notation == "text":
        return dates.dt.strftime("%Y-%m-%d")
    return dates if notation == "dates" else dates.cast(pl.Datetime("us")).dt.replace_time_zone("Europe/London")


def outlined(folder: Path, days: Days, notation: str, horizon: int, days_per_era: int) -> Outline:
    eras = written(days, notation)
    names = [f"n{i:04d}{row}" for i in range(len(days)) for row in "ab"]
    columns = {"id": names, "era": pl.concat([eras, eras]).sort(), "feature_x": [0, 4] * len(days)}
    pl.DataFrame({**columns, "target_x": [0.25, 0.75] * len(days)}).write_parquet(folder / "data.parquet")
    path = str(folder / "data.parquet")
    return outline(Files(path=path, target="target_x", horizon_days=horizon, days_per_era=days_per_era))


def pairs(splits: Splits) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    yield splits.train, splits.scored
    yield splits.val1, splits.val2
    for parameters in ({"scheme": "cross_fit", "blocks": 3}, {"scheme": "early", "share": 0.4}):
        generator = component("supervised_autoencoder", **parameters)
        try:
            parts = generator_fits(generator, splits, "generators.x")
        except NlabError:
            continue
        for part in parts:
            yield part.fitted_on, tuple(era for era in part.serves if era not in splits.embargo)


def overlapping(found: Outline, one: tuple[int, ...], other: tuple[int, ...], horizon: int) -> list[str]:
    """Pairs of dates of which one lies in the other's target window [date, date + horizon business days]."""
    mine, theirs = (np.array([found.table.dates[era] for era in eras], "datetime64[D]") for eras in (one, other))
    ends, their_ends = (np.busday_offset(days, horizon, "forward") for days in (mine, theirs))
    inside = (mine[:, None] <= theirs) & (theirs <= ends[:, None]) | (theirs <= mine[:, None]) & (mine[:, None] <= their_ends)
    return [f"{mine[i]} {theirs[j]}" for i, j in np.argwhere(inside)[:3]]


@pytest.mark.parametrize("kind", STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_training_targets_window_holds_a_scored_date(tmp_path: Path, kind: str, data: Any) -> None:
    n_eras, seed = data.draw(st.integers(*SIZES[kind])), data.draw(st.integers(0, 2**32 - 1))
    notation = data.draw(st.sampled_from(["integers", "text", "dates", "datetimes"]))
    horizon, share = data.draw(st.sampled_from([1, 5, 20, 33, 60])), data.draw(st.integers(30, 60))
    days = calendar(kind, n_eras, seed)
    planned = outlined(tmp_path, days, notation, horizon, STEPS[kind])
    assert list(planned.table.dates.values()) == days.astype(str).tolist()
    try:
        splits = make_splits(SplitsConfig(train=f"{share}%"), planned.table, planned.reach_days)
    except NlabError as error:
        assert "no era with a known target is left" in str(error)
        assume(False)
    for scheme in ("expanding", "blocked"):
        try:
            folds = make_folds(
                CrossValidation(folds=2, scheme=scheme), splits.train, planned.reach_days, planned.table.days_per_era
            )
        except NlabError:
            continue
        for fold in folds:
            assert overlapping(planned, fold.train, fold.val1, horizon) == []
    for one, other in pairs(splits):
        assert overlapping(planned, one, other, horizon) == []
