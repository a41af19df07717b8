"""A file passes if and only if numerai-tools lets it pass, and what is wrong with it is a sentence."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numerai_tools.submissions import validate_submission_numerai

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.submission_file import check_submission, read_submission

LIVE = [f"n{i:03d}" for i in range(30)]
PLAIN = np.linspace(0.1, 0.9, 30)


def changed(row: int, value: float) -> np.ndarray:
    values = PLAIN.copy()
    values[row] = value
    return values


CASES: dict[str, tuple[list[str], np.ndarray]] = {
    "plain": (LIVE, PLAIN),
    "shuffled": (LIVE[::-1], PLAIN),
    "0 and 1": (LIVE, np.linspace(0, 1, 30)),
    "just below 0": (LIVE, changed(0, -5e-9)),
    "below 0": (LIVE, changed(0, -1e-7)),
    "just above 1": (LIVE, changed(0, 1.000009)),
    "above 1": (LIVE, changed(0, 1.0001)),
    "both just outside": (LIVE, np.concatenate([[-5e-9, 1.000009], PLAIN[2:]])),
    "constant": (LIVE, np.full(30, 0.5)),
    "sd 5e-9": (LIVE, 0.5 + 5e-9 * np.tile([-1.0, 1.0], 15)),
    "sd 1e-7": (LIVE, 0.5 + 1e-7 * np.tile([-1.0, 1.0], 15)),
    "NaN": (LIVE, changed(3, np.nan)),
    "infinite": (LIVE, changed(3, np.inf)),
    "one id less": (LIVE[1:], PLAIN[1:]),
    "more ids": ([*LIVE, "x"], np.append(PLAIN, 0.5)),
    "more ids with NaN": ([*LIVE, "x"], np.append(PLAIN, np.nan)),
    "an id twice": ([*LIVE, LIVE[0]], np.append(PLAIN, 0.5)),
    "an id twice for another": ([LIVE[1], *LIVE[1:]], PLAIN),
    "another id twice": ([*LIVE, "x", "x"], np.append(PLAIN, [0.5, 0.5])),
    "other ids": ([f"m{i}" for i in range(30)], PLAIN),
}


@pytest.mark.parametrize("name", CASES)
def test_the_verdict_is_that_of_numerai_tools(name: str) -> None:
    ids, values = CASES[name]
    assert ours(ids, values) == theirs(ids, values)


def test_the_verdict_is_that_of_numerai_tools_on_random_files() -> None:
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(300):
        ids, values = list(CASES)[rng.integers(len(CASES))], rng.uniform(-0.01, 1.01, size=30)
        ids, values = (
            list(CASES[ids][0])[:30],
            np.clip(values, *rng.choice([[0, 1], [-1e-9, 1], [-1, 2]])) * rng.choice([1, 1e-9]),
        )
        values = values if len(ids) == 30 else values[: len(ids)]
        verdicts.append(ours(ids, values))
        assert verdicts[-1] == theirs(ids, values), (ids, values)
    assert {True, False} == set(verdicts)


def ours(ids: list[str], values: np.ndarray) -> bool:
    try:
        check_submission(pl.DataFrame({"id": ids, "prediction": values}), "file", LIVE)
    except NlabError:
        return False
    return True


def theirs(ids: list[str], values: np.ndarray) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            validate_submission_numerai(pd.Series(LIVE), pd.DataFrame({"id": ids, "prediction": values}))
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't be read as CSV"),
        ("prediction,id\n.1,a\n.2,b\n", "has the columns 'prediction, id', wanted exactly 'id, prediction'"),
        ("id,prediction,era\na,.1,1\nb,.2,1\n", "wanted exactly 'id, prediction'"),
        ("id,prediction\na,.1\nb\n", "predictions are missing"),
        ("id,prediction\na,x\nb,y\n", "prediction holds text"),
        ("id,prediction\na,.1\na,.2\n", "1 ids are there twice, such as 'a'"),
        ("id,prediction\na,.1\nb,\n", "1 predictions are missing"),
        ("id,prediction\n,.1\nb,.2\n", "1 rows have no id"),
        ("id,prediction\n1,.5\n2,.5\n", "all predictions are the same"),
        ("id,prediction\na,-1\nb,3\n", "predictions reach from -1 to 3, wanted 0 to 1"),
        ("id,prediction\n", "prediction holds text|has 0 rows"),
        ("id,prediction\na,.1\n", "has 1 rows of predictions"),
    ],
)
def test_what_is_wrong_is_told_without_knowing_live_ids(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "file.csv"
    path.write_text(text)
    with pytest.raises(NlabError, match=message):
        read_submission(path)


def test_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    (tmp_path / "file.csv").write_text("id,prediction\n007,.1\n7,.2\n")
    assert read_submission(tmp_path / "file.csv").rows["id"].to_list() == ["007", "7"]


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(NlabError, match="there is no such file; `nlab live RUN --out"):
            read_submission(path)
