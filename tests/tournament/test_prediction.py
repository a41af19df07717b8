"""Predictions for rows of other files: order, eras, what is refused, and what is said."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from numerai_lab.api import Results
from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.tournament.live import predict_file
from numerai_lab.tournament.prediction import predictor_of
from tests.conftest import Quiet, make_config, quick, reseal


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose variants need whole eras, the number of the era, further features, and several seeds."""
    config = make_config(
        seeds=[1, 2],
        data={"source": "synthetic", "size": "tiny", "feature_set": "small"},
        generators={"noise": quick("random_columns"), "density": quick("local_density")},
        model=quick("xgboost"),
        variants={
            "baseline": {},
            "noisy": {"features": ["raw", "noise", "density"]},
            "mix": {"ensemble": ["baseline", "noisy"], "neutralize": {"features": "fncv3_features"}},
        },
    )
    return run(config, tmp_path_factory.mktemp("runs"), Quiet())


@pytest.fixture(scope="module")
def results(done: Run) -> Results:
    return Results(done.path, done.manifest, done)


@pytest.fixture(scope="module")
def rows(done: Run, results: Results) -> pd.DataFrame:
    """Two eras of validation, ids as the index."""
    frame = pd.read_parquet(results.config.data.files().tables[1])
    return frame[frame["era"].isin(["0082", "0090"])]


def test_any_order_of_rows_and_columns_predicts_as_the_run_did(results: Results, rows: pd.DataFrame) -> None:
    shuffled = rows.sample(frac=1.0, random_state=3)
    shapes = {
        "reversed columns": rows[rows.columns[::-1]],
        "shuffled rows": shuffled,
        "id as a column": shuffled.reset_index(),
        "further columns": rows.assign(feature_new=1, text="a", target=np.nan),
        "polars": pl.from_pandas(rows.reset_index()),
        "one era": rows[rows["era"] == "0090"],
        "integers as eras": rows.assign(era=rows["era"].astype(int)),
        "quarters": rows.assign(**{name: rows[name].astype("float32") / 4 for name in rows if name.startswith("feature")}),
    }
    for shape, frame in shapes.items():
        predicted = results.predict(frame, "mix", raw=True)
        ids = frame["id"].to_list() if "id" in frame.columns else frame.index
        assert [*predicted.index] == [*ids], shape
        for seed in (1, 2):
            recorded = results.predictions.set_index("id").loc[predicted.index, f"mix@{seed}"]
            np.testing.assert_array_equal(predicted[f"mix@{seed}"], recorded, shape)


def test_ranks_are_of_each_era_alone_and_averaged_over_seeds(results: Results, rows: pd.DataFrame) -> None:
    both, later = results.predict(rows, "noisy"), results.predict(rows[rows["era"] == "0090"], "noisy")
    pd.testing.assert_frame_equal(both.loc[later.index], later)
    raw = results.predict(rows[rows["era"] == "0090"], "noisy", raw=True)
    mean = ((raw.rank() - 0.5) / len(raw)).mean(axis=1)
    np.testing.assert_allclose(later["prediction"], (mean.rank() - 0.5) / len(mean), atol=1e-12)


def test_rows_without_an_era_are_live_and_those_marked_x_too(results: Results, rows: pd.DataFrame) -> None:
    one = rows[rows["era"] == "0090"]
    live, marked = results.predict(one.drop(columns="era"), "noisy"), results.predict(one.assign(era="X"), "noisy")
    pd.testing.assert_frame_equal(live, marked)
    pd.testing.assert_frame_equal(results.predict(one.assign(era="0101"), "noisy"), live)
    assert (live["prediction"] != results.predict(one, "noisy")["prediction"]).any()  # noise depends on the era


def test_a_variant_needs_no_features_but_its_own(results: Results, rows: pd.DataFrame) -> None:
    own = [name for name in rows if not name.startswith("feature") or name in results.config.data.files().feature_sets["small"]]
    assert len(own) < len(rows.columns)
    results.predict(rows[own], "baseline")
    with pytest.raises(NlabError, match=r"^the DataFrame: lacks \d+ of \d+ features that the models read, such as 'feature_"):
        results.predict(rows[own], "mix")


def test_missing_cells_become_the_middle_bin_and_are_counted(done: Run, rows: pd.DataFrame, tmp_path: Path) -> None:
    name = predictor_of(done, "baseline").facts.features[0]
    gone, middle = rows.copy(), rows.copy()
    gone[name] = gone[name].astype("float32")
    gone.iloc[:3, gone.columns.get_loc(name)] = np.nan
    middle.iloc[:3, middle.columns.get_loc(name)] = 2
    written = []
    for i, frame in enumerate((gone, middle)):
        frame.to_parquet(tmp_path / f"{i}.parquet")
        written.append(predict_file(done.path, tmp_path / f"{i}.parquet", tmp_path / f"{i}.csv", Quiet(), "baseline"))
    assert (tmp_path / "0.csv").read_text() == (tmp_path / "1.csv").read_text()
    assert [part.facts["missing cells"] for part in written] == ["3, set to the middle bin", "0"]


def twice(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows.iloc[:1]])


def changed(rows: pd.DataFrame, **columns: Any) -> pd.DataFrame:
    first = next(name for name in rows if name.startswith("feature"))
    return rows.assign(**{first if key == "feature" else key: value for key, value in columns.items()})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (twice, r"the DataFrame: id '\w+' stands twice in era \d+"),
        (lambda rows: twice(rows).assign(era="X"), r"id '\w+' stands twice"),
        (lambda rows: changed(rows, feature=0.3), "1 of 42 features, such as feature_.*, hold fractions, and the models read"),
        (lambda rows: changed(rows, feature=7), r"holds 7.* in row 1 .*, wanted bins 0 to 4"),
        (lambda rows: changed(rows, feature="a"), r"holds 'a' in row 1"),
        (lambda rows: rows.assign(**{name: 2 for name in rows if name.startswith("feature")}), "predicts the same for all"),
        (lambda rows: rows.iloc[:0], "holds no rows"),
        (lambda rows: rows.assign(era="2020-01-03"), "its eras are dates, such as '2020-01-03', and those of the run"),
        (lambda rows: rows.assign(era=["X"] + ["0101"] * (len(rows) - 1)), "holds live rows and era 101, which the run"),
        (lambda rows: rows.assign(era="soon"), "era 'soon' is not a number"),
        (lambda rows: rows.reset_index(drop=True), "has no column 'id'"),
    ],
)
def test_what_can_not_be_predicted_is_refused_in_a_sentence(results: Results, rows: pd.DataFrame, change: Any, says: str) -> None:
    with pytest.raises(NlabError, match=says) as refused:
        results.predict(change(rows), "baseline")
    assert len(str(refused.value).splitlines()) == 1
    assert "/" not in str(refused.value).split(" ")[0]


def test_the_file_is_whole_or_absent_and_in_the_place_of_nothing_else(done: Run, rows: pd.DataFrame, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    rows.to_csv(source)
    before = source.read_bytes()
    for out, says in (
        (source, "is the input"),
        (done.path / "p.csv", "is inside the input"),
        (tmp_path / "p.parquet", "is no .csv"),
        (tmp_path / "other.csv", "is there already, and is no file of predictions"),
    ):
        (tmp_path / "other.csv").write_text("a,b\n1,2\n")
        with pytest.raises(NlabError, match=says):
            predict_file(done.path, source, out, Quiet(), "baseline")
    bad = tmp_path / "bad.csv"
    twice(rows).to_csv(bad)
    with pytest.raises(NlabError, match="stands twice"):
        predict_file(done.path, bad, tmp_path / "p.csv", Quiet(), "baseline")
    assert source.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"rows.csv", "other.csv", "bad.csv"}
    for _ in range(2):  # a file of predictions may be replaced
        predict_file(done.path, source, tmp_path / "p.csv", Quiet(), "baseline")
    written = pl.read_csv(tmp_path / "p.csv")
    assert written.columns == ["id", "prediction"]
    assert written["id"].to_list() == [*rows.index]


@pytest.mark.parametrize("table", [None, "rows.parquet", np.zeros((3, 3)), pl.LazyFrame({"id": ["a"]})], ids=type)
def test_what_is_no_dataframe_is_named(results: Results, table: Any) -> None:
    with pytest.raises(NlabError, match=r"^rows: \w+ is no table; wanted a DataFrame of pandas or polars"):
        results.predict(table)


def test_a_dataframe_of_objects_is_refused_in_a_sentence(results: Results, rows: pd.DataFrame) -> None:
    odd = pl.from_pandas(rows.reset_index()).with_columns(pl.Series("odd", [object()] * len(rows), dtype=pl.Object))
    with pytest.raises(NlabError, match="the DataFrame can't be read as a table"):
        results.predict(odd)


def test_a_pipe_in_the_place_of_the_output_is_refused(done: Run, rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.to_parquet(tmp_path / "rows.parquet")
    os.mkfifo(tmp_path / "out.csv")
    with pytest.raises(NlabError, match="is there already, and is no file of predictions"):
        predict_file(done.path, tmp_path / "rows.parquet", tmp_path / "out.csv", Quiet(), "baseline")


def test_a_model_of_other_features_fails_in_a_sentence(done: Run, rows: pd.DataFrame, results: Results) -> None:
    path, manifest = done.path / "models/baseline@1.json", (done.path / "manifest.json").read_text()
    content = path.read_bytes()
    try:
        path.write_bytes((done.path / "models/noisy@1.json").read_bytes())
        reseal(done.path)
        other = read_run(done.path)
        with pytest.raises(NlabError, match="the model of baseline can't predict its features") as refused:
            Results(done.path, other.manifest, other).predict(rows, "baseline")
        assert len(str(refused.value).splitlines()) == 1
    finally:
        path.write_bytes(content)
        (done.path / "manifest.json").write_text(manifest)


def test_ids_that_repeat_from_era_to_era_are_told_apart(results: Results, rows: pd.DataFrame) -> None:
    n_rows = rows["era"].value_counts().min()
    tickers = rows.groupby("era").head(n_rows).assign(id=[f"T{i}" for i in range(n_rows)] * 2).reset_index(drop=True)
    predicted = results.predict(tickers, "baseline")
    assert [*predicted.columns] == ["era", "prediction"]
    assert [*predicted["era"]] == [*tickers["era"].str.lstrip("0")]


def test_the_best_variant_by_validation_speaks_if_none_is_named(done: Run) -> None:
    predictor = predictor_of(done, None)
    means = done.scores.filter(pl.col("split") == "val", pl.col("variant") != "noisy")
    assert predictor.variant == means.sort("corr_mean")["variant"][-1]
    assert "has the highest mean corr over validation" in predictor.remarks[0]
    assert "SYNTHETIC" in predictor.remarks[-1]
    with pytest.raises(NlabError, match="no variant 'mixx'; did you mean 'mix'"):
        predictor_of(done, "mixx")


def test_a_damaged_model_is_no_prediction(done: Run, rows: pd.DataFrame, results: Results) -> None:
    path = done.path / "models/baseline@1.json"
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b"1", b"2", 1))
        with pytest.raises(NlabError, match="damaged run folder"):
            Results(done.path, done.manifest, read_run(done.path)).predict(rows, "baseline")
    finally:
        path.write_bytes(content)


def test_eras_that_were_trained_on_are_named(done: Run, results: Results, rows: pd.DataFrame, tmp_path: Path) -> None:
    seen = pd.read_parquet(results.config.data.files().tables[0])
    both = pd.concat([seen[seen["era"] == "0010"], rows])
    both.to_parquet(tmp_path / "rows.parquet")
    written = predict_file(done.path, tmp_path / "rows.parquet", tmp_path / "out.csv", Quiet(), "baseline")
    assert written.remarks[-1].startswith("1 of 3 eras are training eras of the run")
    assert written.facts["rows"].endswith("(3 eras, 10 to 90)")
