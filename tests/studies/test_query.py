"""SQL over run folders: right values, damaged folders as rows, and no way to any other file."""

import json
import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from numerai_lab.cli.app import app
from numerai_lab.core.errors import NlabError
from numerai_lab.docs.pages import source
from numerai_lab.runs.query_schema import COLUMNS, SCHEMA, TABLES
from numerai_lab.studies.query import query
from tests.many_runs import make_runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_runs(folder, 3, n_eras=20)
    (folder / "20260102-000000_x-failed").mkdir()
    (folder / "20260102-000000_x-failed" / "failed.txt").write_text("Traceback\nValueError: no\n")
    (folder / "notes").mkdir()
    return folder


def test_variants_and_per_era_agree_with_the_files(runs: Path) -> None:
    table = query("SELECT run, variant, corr, delta_corr, verdict FROM variants ORDER BY run, variant", runs)
    assert len(table) == 9
    scores = pl.read_csv(runs / "20260101-000001_run" / "scores.csv", infer_schema_length=None)
    row = scores.row(by_predicate=(pl.col("variant") == "raw+pca") & (pl.col("split") == "val"), named=True)
    assert table.row(by_predicate=(pl.col("run") == "20260101-000001_run") & (pl.col("variant") == "raw+pca")) == (
        *("20260101-000001_run", "raw+pca", row["corr_mean"], row["delta_corr_mean"], row["verdict"]),
    )
    means = query("SELECT avg(corr) AS corr FROM per_era WHERE run = '20260101-000001_run' AND variant = 'raw+pca'", runs)
    assert means["corr"][0] == pytest.approx(row["corr_mean"])


def test_tables_of_runs_with_other_columns_and_types_are_joined(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    changed, same = (tmp_path / "runs" / f"20260101-00000{n}_run" for n in (0, 1))
    scores = pl.read_csv(changed / "scores.csv", infer_schema_length=None)
    scores.with_columns(further=pl.lit(7), notes=pl.lit('two\nlines, "quoted"')).write_csv(changed / "scores.csv")
    eras = pl.read_parquet(changed / "per_era.parquet")
    eras.with_columns(pl.col("corr").cast(pl.String), further=pl.lit(True)).write_parquet(changed / "per_era.parquet")
    found = query("SELECT run, count(further) AS n, min(notes) AS notes FROM scores GROUP BY run ORDER BY run", tmp_path / "runs")
    assert found["n"].to_list() == [9, 0, 0]
    assert found["notes"][0] == 'two\nlines, "quoted"'
    found = query(
        "SELECT run, count(further) AS n, sum(CAST(corr AS DOUBLE)) AS corr FROM per_era GROUP BY run ORDER BY run",
        tmp_path / "runs",
    )
    assert found["n"].to_list() == [len(eras), 0, 0]
    sums = [pl.read_parquet(path / "per_era.parquet")["corr"].cast(pl.Float64).sum() for path in (changed, same)]
    assert found["corr"].to_list()[:2] == pytest.approx(sums)


@pytest.mark.parametrize(
    ("odd", "problem"),
    [
        (pl.lit([1.5]), "column corr holds .*list"),
        (pl.lit(timedelta(1)), "column corr holds duration"),
        (pl.lit(b"\xff"), "column corr holds .*binary"),
        (pl.lit(date(2020, 1, 3)), "column corr holds date"),
        (pl.lit(1.5).cast(pl.Decimal(10, 2)), "column corr holds decimal"),
        (pl.lit(True), ""),
        (pl.lit("x").cast(pl.Categorical), ""),
        (pl.lit(None), ""),
    ],
)
@pytest.mark.parametrize("n_rows", [0, 5])
def test_columns_of_odd_types_are_text_or_a_damaged_run(
    odd: pl.Expr, problem: str, n_rows: int, runs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    path = folder / "20260101-000000_run" / "per_era.parquet"
    pl.read_parquet(path).head(n_rows).with_columns(corr=odd).write_parquet(path)
    found = query("SELECT run, max(CAST(corr AS VARCHAR)) AS corr FROM per_era GROUP BY run ORDER BY run", folder)
    assert found["run"].to_list() == [f"20260101-00000{n}_run" for n in range(1 if problem or not n_rows else 0, 3)]
    row = query("SELECT status, problem, (SELECT count(corr) FROM per_era) AS n FROM runs ORDER BY run", folder).row(0)
    assert row[0] == ("damaged" if problem else "finished")
    assert re.search(problem, row[1])


@pytest.mark.parametrize("table_format", ["table", "csv", "json"])
@pytest.mark.parametrize(
    "value",
    [
        *(
            "[1, 2]",
            "{'a': 1}",
            "MAP {1: 'a'}",
            "uuid()",
            "INTERVAL 1 YEAR",
            "'\\xFF'::BLOB",
            "TIME '10:00'",
            "2::HUGEINT ** 100",
        ),
        *(
            "DATE '2020-01-01'",
            "TIMESTAMP '2020-01-01 10:00'",
            "1.5::DECIMAL(10, 2)",
            "true",
            "NULL",
            "170141183460469231731687303715884105727",
        ),
    ],
)
def test_any_value_is_shown_in_every_format(
    value: str, table_format: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app(
        ["query", f"SELECT {value} AS v", "--runs-dir", str(runs), "--format", table_format],
        prog_name="nlab",
        standalone_mode=False,
    )
    assert capsys.readouterr().out.strip()


def test_values_that_no_column_holds_are_text_or_a_sentence(runs: Path) -> None:
    found = query("SELECT '300000-01-01'::DATE AS day UNION ALL SELECT DATE '2020-01-01'", runs)
    assert sorted(found["day"].to_list()) == ["2020-01-01", "300000-01-01"]
    with pytest.raises(NlabError, match="query: a value is none of Python's"):
        query("SELECT INTERVAL 100000000 YEAR AS x", runs)


def test_settings_tell_runs_apart_by_the_key_that_differs(runs: Path) -> None:
    sql = "SELECT key FROM settings GROUP BY key HAVING count(DISTINCT value) > 1"
    assert query(sql, runs)["key"].to_list() == ["model.learning_rate"]
    joined = "SELECT value FROM settings JOIN runs USING (run) WHERE key = 'model.learning_rate' ORDER BY run"
    assert query(joined, runs)["value"].to_list() == ["0.01", "0.0101", "0.0102"]


def test_failed_and_damaged_folders_are_rows_that_say_why(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    damaged, wrong = (tmp_path / "runs" / f"20260101-00000{n}_run" for n in (0, 1))
    (damaged / "scores.csv").write_text("a\n1\n")
    manifest = json.loads((wrong / "manifest.json").read_text())
    (wrong / "manifest.json").write_text(json.dumps(manifest | {"stages": 3}))
    rows = query(
        "SELECT run, status, problem FROM runs WHERE run NOT IN (SELECT run FROM scores) ORDER BY run", tmp_path / "runs"
    )
    assert rows["status"].to_list()[-1] == "failed"
    assert rows["problem"].to_list()[-1] == "ValueError: no"
    assert "manifest.json" in str(rows.filter(run=wrong.name)["problem"][0])
    assert query("SELECT count(DISTINCT run) AS n FROM variants", tmp_path / "runs")["n"][0] == 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('HERE/there.csv')",
        "SELECT * FROM 'HERE/there.csv'",
        "COPY runs TO 'HERE/stolen.csv'",
        "ATTACH 'HERE/other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM nothing",
        "SELEC 1",
        "",
        "SELECT run, run FROM runs",
    ],
)
def test_other_files_and_wrong_queries_are_refused_in_a_sentence(sql: str, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("secret\n1\n")
    with pytest.raises(NlabError, match="^query: ") as error:
        query(sql.replace("HERE", str(tmp_path)), runs)
    assert "\n" not in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} == {"there.csv"}


def test_every_declared_column_is_there_and_in_the_manual(runs: Path) -> None:
    page = source("query")
    assert f"Schema {SCHEMA}." in page
    for name in TABLES:
        table = query(f"SELECT * FROM {name}", runs)
        declared = list(COLUMNS.get(name, {"run": None}))
        assert table.columns[: len(declared)] == declared, name
        assert all(f"| `{column}` |" in page for column in declared)


def test_a_folder_without_runs_gives_empty_tables_and_no_folder_is_refused(tmp_path: Path) -> None:
    assert query("SELECT count(*) AS n FROM scores", tmp_path)["n"][0] == 0
    with pytest.raises(NlabError, match="no folder of runs"):
        query("SELECT 1 AS one", tmp_path / "nowhere")
