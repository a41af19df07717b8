"""Files of predictions as others write them: every column is scored, named as something else, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from numerai_lab.config.loading import load_part
from numerai_lab.core.errors import NlabError
from numerai_lab.report.comparison import compare
from numerai_lab.runs.output_files import Tables, write_scores
from numerai_lab.studies.rescore import Scored, score_predictions
from tests.conftest import Quiet

N_ERAS, N_ROWS = 40, 24


def tournament(ids: list[str] | None = None, eras: list[Any] | None = None) -> pl.DataFrame:
    """Eras of a few rows, without data_type; a target that the feature tells a little of."""
    rng = np.random.default_rng(0)
    n = N_ERAS * N_ROWS
    bins = rng.integers(0, 5, n).astype(np.int8)
    return pl.DataFrame(
        {
            "id": ids or [f"{i:06d}" for i in range(n)],
            "era": eras or [f"{i // N_ROWS + 1:04d}" for i in range(n)],
            "feature_x": bins,
            "target_a_20": pl.Series(np.clip(np.round(bins / 4 + rng.normal(0, 0.3, n), 2) * 4 // 1 / 4, 0, 1), dtype=pl.Float32),
        }
    )


def scored(folder: Path, data: pl.DataFrame, predictions: pl.DataFrame | pd.DataFrame, suffix: str, **how: Any) -> Scored:
    data.write_parquet(folder / "data.parquet")
    path = folder / f"predictions{suffix}"
    if isinstance(predictions, pd.DataFrame):
        predictions.to_parquet(path, **how) if suffix == ".parquet" else predictions.to_csv(path, **how)
    else:
        predictions.write_parquet(path, **how) if suffix == ".parquet" else predictions.write_csv(path, **how)
    settings = ["data.source=files", f"data.path={folder / 'data.parquet'}", "data.target=target_a_20", "splits.train=50%"]
    return score_predictions(path, load_part(None, settings, ("data", "splits", "scoring")), Quiet())


def guesses(data: pl.DataFrame) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    one, two = (rng.normal(size=len(data)) + data["target_a_20"].to_numpy() for _ in range(2))
    return data.select("id", "era", one=pl.Series(one), two=pl.Series(two))


def corr(found: Scored) -> list[tuple[str, float]]:
    rows = found.scores.filter(split="val").select("variant", "corr_mean").rows()
    return [(name, round(value, 9)) for name, value in rows]


def refusal(folder: Path, data: pl.DataFrame, predictions: pl.DataFrame, suffix: str = ".csv") -> str:
    with pytest.raises(NlabError) as caught:
        scored(folder, data, predictions, suffix)
    return str(caught.value)


def test_every_format_of_one_table_gets_the_same_scores(tmp_path: Path) -> None:
    data = tournament()
    table = guesses(data)
    wanted = corr(scored(tmp_path, data, table, ".parquet"))
    assert [name for name, _ in wanted] == ["one", "two"]
    assert corr(scored(tmp_path, data, table, ".csv")) == wanted
    assert corr(scored(tmp_path, data, table, ".csv", separator=";")) == wanted
    assert corr(scored(tmp_path, data, table, ".csv", separator="\t", quote_style="always")) == wanted
    assert corr(scored(tmp_path, data, table.with_columns(pl.col("era").cast(pl.Int64)), ".csv")) == wanted
    assert corr(scored(tmp_path, data, table.drop("era"), ".csv")) == wanted


def test_a_model_without_values_in_the_first_rows_is_a_model(tmp_path: Path) -> None:
    data = tournament()
    late = guesses(data).with_columns(two=pl.when(pl.col("era") > "0030").then("two"))
    rescored = scored(tmp_path, data, late, ".csv")
    assert [name for name, _ in corr(rescored)] == ["one", "two"]
    assert corr(rescored) == corr(scored(tmp_path, data, late, ".parquet"))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_index_that_pandas_wrote_is_no_model(tmp_path: Path, suffix: str) -> None:
    data = tournament()
    clean = guesses(data).to_pandas()
    wanted = corr(scored(tmp_path, data, guesses(data), suffix))
    shuffled = clean.sample(frac=1, random_state=0)
    named = shuffled.rename_axis("row") if suffix == ".parquet" else shuffled.reset_index(names="Unnamed: 0").set_index("id")
    for table in (shuffled, clean.set_index("id"), named):
        assert corr(scored(tmp_path, data, table, suffix)) == wanted
    with pytest.raises(NlabError, match="numbers the rows"):
        scored(tmp_path, data, shuffled.drop(columns="id"), suffix)


def test_columns_that_are_no_predictions_are_named(tmp_path: Path) -> None:
    data = tournament()
    rescored = scored(tmp_path, data, data.join(guesses(data).drop("era"), on="id"), ".csv")
    assert [name for name, _ in corr(rescored)] == ["one", "two"]
    assert "columns that are no predictions: feature_x, target_a_20" in rescored.head


@pytest.mark.parametrize("value", ["high", "0,5", "inf", "TRUE"])
def test_a_prediction_that_is_no_number_is_named_with_column_row_and_value(tmp_path: Path, value: str) -> None:
    data = tournament()
    text = guesses(data).with_columns(
        two=pl.when(pl.int_range(pl.len()) == 6).then(pl.lit(value)).otherwise(pl.col("two").cast(str))
    )
    message = refusal(tmp_path, data, text)
    assert f"column 'two' holds {value!r} in row 7, which is no finite number" in message
    assert ("write decimals with a point" in message) is (value == "0,5")


def test_a_column_that_holds_no_number_at_all_is_refused(tmp_path: Path) -> None:
    data = tournament()
    assert "column 'two' holds no number" in refusal(tmp_path, data, guesses(data).with_columns(two=pl.lit("NA")))
    flag = guesses(data).with_columns(two=pl.col("two") > 0)
    assert "column 'two' holds Boolean, not numbers" in refusal(tmp_path, data, flag, ".parquet")


@pytest.mark.parametrize("first", [1, 1_000_000, 100_000_000])
def test_ids_that_repeat_are_told_apart_by_eras_of_any_number_of_digits(tmp_path: Path, first: int) -> None:
    ids = [f"c{i % N_ROWS}" for i in range(N_ERAS * N_ROWS)]
    plain, shifted = (tournament(ids, [start + i // N_ROWS for i in range(N_ERAS * N_ROWS)]) for start in (1, first))
    wanted = corr(scored(tmp_path, plain, guesses(plain), ".parquet"))
    assert corr(scored(tmp_path, shifted, guesses(shifted).sample(fraction=1, shuffle=True, seed=3), ".csv")) == wanted
    assert "give the file a column `era`" in refusal(tmp_path, shifted, guesses(shifted).drop("era"))
    assert "stands 2 times" in refusal(tmp_path, shifted, pl.concat([guesses(shifted), guesses(shifted)[:1]]))


def test_live_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    data = tournament()
    live = guesses(data)[:5].with_columns(id=pl.lit("live") + pl.col("id"), era=pl.lit("X"))
    rescored = scored(tmp_path, data, pl.concat([guesses(data), live]), ".csv")
    assert "5 live rows are left out" in rescored.head
    assert corr(rescored) == corr(scored(tmp_path, data, guesses(data), ".csv"))


def test_what_matches_little_says_which_data_it_was_held_against(tmp_path: Path) -> None:
    data = tournament()
    other = guesses(data).with_columns(id=pl.lit("z") + pl.col("id"))
    assert "(data.parquet (" in refusal(tmp_path, data, other)


def test_a_file_of_validation_rows_alone_is_scored_in_two_halves(tmp_path: Path) -> None:
    data = tournament().with_columns(data_type=pl.lit("validation")).rename({"target_a_20": "target_mine"})
    data.write_parquet(tmp_path / "data.parquet")
    guesses(tournament()).write_parquet(tmp_path / "predictions.parquet")
    source = ["data.source=files", f"data.path={tmp_path / 'data.parquet'}", "data.target=target_mine"]
    config = load_part(None, source, ("data", "splits", "scoring"))
    scores = score_predictions(tmp_path / "predictions.parquet", config, Quiet())
    assert dict(scores.eras.group_by("split").agg(pl.col("era").n_unique()).iter_rows()) == {"val1": 20, "val2": 20}
    assert "no era of the data trains: all 40 eras with a known target are scored, in two halves" in scores.head


def test_what_is_written_of_two_files_is_compared_as_two_runs_are(tmp_path: Path) -> None:
    for number in (1, 2):
        table = guesses(tournament()).with_columns(pl.col("one") * number + pl.col("two") * (number - 1))
        scores = scored(tmp_path, tournament(), table, ".parquet")
        write_scores(tmp_path / f"out{number}", Tables(scores.scores, scores.eras), "", scores.facts)
    compared = compare([tmp_path / "out1", tmp_path / "out2"], reference="out1/one")
    assert compared.skipped == ()
    (group,) = compared.groups
    by_name = {(row["run"], row["variant"]): row for row in group.table.filter(split="val").to_dicts()}
    assert by_name["out2", "two"]["corr_mean"] == by_name["out1", "two"]["corr_mean"]
    assert by_name["out2", "one"]["corr_mean"] > by_name["out1", "one"]["corr_mean"]
    with pytest.raises(NlabError, match="exists already"):
        write_scores(tmp_path / "out1", Tables(scores.scores, scores.eras), "", scores.facts)
