"""The real samples, where they are on this machine: readers, eras and scores on rows nobody made up."""

import os
from pathlib import Path

import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.experiment import run
from tests.conftest import Quiet

FOLDER = Path(os.environ.get("NLAB_REAL_DATA", "../shared/data"))
needs = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the real samples are not on this machine (NLAB_REAL_DATA names their folder)"
)


@needs
def test_the_csi_500_baseline_is_clearly_positive(tmp_path: Path) -> None:
    settings = [f"data.path={FOLDER / 'csi500_weekly.parquet'}", "generators={}", "augmenters={}"]
    config, _ = load_config(Path("configs/csi500.yaml"), settings)
    done = run(config, tmp_path, Quiet())
    both = done.scores.filter(variant="baseline", split="val").row(0, named=True)
    assert both["n_eras"] == 51
    assert both["corr_mean"] > 0.03
    assert done.manifest["data"]["resolved_target"] == "target_20"


@needs
def test_numerai_rows_of_2018_run_and_show_next_to_nothing(tmp_path: Path) -> None:
    config, _ = load_config(Path("configs/numerai_2018.yaml"), [f"data.path={FOLDER / 'numerai_2018.csv.gz'}"])
    done = run(config, tmp_path, Quiet())
    both = done.scores.filter(variant="baseline", split="val").row(0, named=True)
    assert both["n_eras"] == 56
    assert abs(both["corr_mean"]) < 3 * both["corr_std"] / (56 / 4) ** 0.5
    assert done.manifest["data"]["features"] == 50
