"""What a process does before it computes anything, versions of code, the tiny world, an audit.

Run with `make bench`, or `pytest -s --override-ini addopts= tests/bench/test_beginnings.py`; two minutes.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHOWN = "import time; before = time.process_time(); {work}; print(time.process_time() - before)"
WORK = {
    "versions of code of a run's first stages": (
        "from numerai_lab.data.synthetic import Synthetic; from numerai_lab.generators import PCA; "
        "from numerai_lab.models import XGBoost; from numerai_lab.storage.code_version import code_version",
        "[code_version(part) for part in (Synthetic, PCA, XGBoost)]",
        0.5,
    ),
    "the tiny world": (
        "import pandas, pyarrow.parquet; from numerai_lab.data.synthetic import Synthetic",
        'Synthetic(size="tiny").files()',
        4.0,
    ),
}
AUDITED = """name: audited
data: {source: synthetic, size: tiny}
generators: {ae: {kind: autoencoder, max_steps: 20, hidden: 16, n_components: 3}}
model: {kind: xgboost, n_estimators: 20}
variants: {baseline: {}, ae: {features: [raw, ae]}}
"""


@pytest.mark.parametrize("what", WORK)
def test_a_process_begins_quickly(what: str, tmp_path: Path) -> None:
    imports, work, bound = WORK[what]
    program = f"{imports}; {SHOWN.format(work=work)}"
    seconds = min(_said(program, tmp_path / str(i)) for i in range(3))
    print(f"\n{what}: {seconds:.2f} CPU s")
    assert seconds < bound


def test_an_audit_of_a_network_takes_seconds(tmp_path: Path) -> None:
    (tmp_path / "audited.yaml").write_text(AUDITED)
    command = [sys.executable, "-m", "numerai_lab", "audit", "audited.yaml"]
    environment = {**os.environ, "NLAB_CACHE": str(tmp_path / "cache")}
    start = time.perf_counter()
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    seconds = time.perf_counter() - start
    print(f"\nan audit of a config with a network, its data made too: {seconds:.1f} s by the clock")
    assert seconds < 45


def _said(program: str, cache: Path) -> float:
    environment = {**os.environ, "NLAB_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)
