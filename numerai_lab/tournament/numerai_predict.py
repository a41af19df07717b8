"""Runs a packed model by Numerai's own numerai-predict, where a checkout of it lies on this machine."""

import os
import subprocess
from pathlib import Path

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.storage.folders import user_path

CHECKOUT = "NLAB_NUMERAI_PREDICT"
"""The environment variable that names the folder of a checkout of github.com/numerai/numerai-predict."""
STUBS = {
    "numerapi.py": "class NumerAPI:\n    def download_dataset(self, *parameters):\n        raise OSError('no network')\n",
    "requests.py": "class exceptions:\n    ConnectionError = SSLError = OSError\n",
}
"""What numerai-predict imports to download and to upload, which nothing does here."""
LIMIT_SECONDS = 3600


def run_numerai_predict(python: Path, pickle: Path, rows: Path, work: Path, expected: Float64) -> str | None:
    """Runs predict.py of a checkout; its verdict. None where no checkout is named.

    Raises NlabError where the named folder has no predict.py, NlabFailure where it refuses the model or predicts otherwise than
    `expected`, which is in the order of the rows.
    """
    import polars as pl

    named = os.environ.get(CHECKOUT)
    if not named:
        return None
    script = user_path(named) / "predict.py"
    if not script.is_file():
        raise NlabError(f"{CHECKOUT}: {script} is not there; name a checkout of github.com/numerai/numerai-predict, or unset it")
    out, stubs = work / "predicted", work / "stubs"
    for folder in (out, stubs):
        folder.mkdir()
    for name, text in STUBS.items():
        (stubs / name).write_text(text, encoding="utf-8")
    command = [python, script, "--model", pickle, "--dataset", rows, "--output_dir", out]
    settings = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(stubs), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env=settings, timeout=LIMIT_SECONDS, cwd=work
    )
    files = [*out.glob("*.csv")]
    if done.returncode or len(files) != 1:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line or "Error" in line]
        raise NlabFailure(f"numerai-predict refuses the model: {lines[-1] if lines else f'exit code {done.returncode}'}")
    ids = pl.read_parquet(rows, columns=["id", "era"], glob=False).with_columns(expected=pl.Series(expected))
    predicted = pl.read_csv(files[0], schema_overrides={"id": pl.String}, glob=False)
    both = ids.sort("era", maintain_order=True)
    if both["id"].to_list() != predicted["id"].to_list() or not np.allclose(
        both["expected"].to_numpy(), predicted["prediction"].to_numpy(), rtol=0, atol=1e-12
    ):
        raise NlabFailure("numerai-predict gets other predictions from the model than our own runner of its contract")
    return f"{len(predicted)} rows, the same predictions"
