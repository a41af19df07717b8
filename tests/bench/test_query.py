"""SQL over 1,000 run folders. Run with `make bench`. Asked: less than 2 seconds."""

import shutil
import time
from pathlib import Path

import pytest

from numerai_lab.studies.query import query
from tests.many_runs import make_runs


@pytest.mark.parametrize("table", ["runs", "variants", "per_era", "settings"])
def test_a_thousand_runs_are_queried_in_two_seconds(table: str, tmp_path: Path) -> None:
    (first,) = make_runs(tmp_path, 1)
    config = (first / "config.yaml").read_text()
    for number in range(1, 1000):
        path = tmp_path / f"20260101-{number:06d}_run"
        shutil.copytree(first, path)
        (path / "config.yaml").write_text(config.replace("learning_rate: 0.01", f"learning_rate: {0.01 + number / 1e4}"))
    query("SELECT count(*) AS n FROM runs", tmp_path)  # imports
    start, cpu = time.perf_counter(), time.process_time()
    n_rows = query(f"SELECT count(*) AS n FROM {table}", tmp_path)["n"][0]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"\n{table}: {n_rows:,} rows of 1,000 runs in {seconds:.2f} s, {cpu:.2f} CPU s; asked 2")
    assert cpu < 2  # one thread; beside other work the wall clock says little
