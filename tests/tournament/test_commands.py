"""`nlab live` and `nlab predict` as a user calls them."""

from pathlib import Path

import polars as pl
import pytest

from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run
from tests.conftest import Quiet, make_config
from tests.forks import nlab


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    data = {"source": "synthetic", "size": "tiny", "feature_set": "small"}
    return run(
        make_config(data=data, variants={"baseline": {}, "flat": {"neutralize": {"features": "small"}}}),
        tmp_path_factory.mktemp("runs"),
        Quiet(),
    )


def test_live_prints_what_it_wrote(done: Run, tmp_path: Path) -> None:
    printed = nlab("live", str(done.path), "--out", "live.csv", "--variant", "flat", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    lines = dict(line.split(": ", 1) for line in printed.stdout.splitlines() if ": " in line)
    assert lines["run"] == done.name
    assert lines["variant"] == "flat"
    assert lines["missing cells"] == "0"
    assert {"round", "rows", "corr with lab_lgbm_ender20"} <= {*lines}
    assert printed.stdout.splitlines()[-1] == "written to live.csv"
    assert "note: the run was trained on SYNTHETIC data" in printed.stderr
    assert pl.read_csv(tmp_path / "live.csv").columns == ["id", "prediction"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("live", "RUN", "--out", "a.txt"), "--out: a.txt is no .csv"),
        (("live", "RUN", "--out", "a.csv", "--variant", "flt"), "did you mean 'flat'?"),
        (("live", "RUN", "--out", "a.csv", "--data", "none.parquet"), "none.parquet: no such file"),
        (("predict", "RUN", "none.csv", "--out", "a.csv"), "none.csv: no such file"),
        (("predict", "nowhere", "none.csv", "--out", "a.csv"), "nowhere: not a run folder"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(done: Run, tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    refused = nlab(*[str(done.path) if word == "RUN" else word for word in words], cwd=tmp_path)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [*tmp_path.iterdir()] == []
