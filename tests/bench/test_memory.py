"""Peak memory of `nlab run` on a 400,000 × 780 synthetic panel: XGBoost, 100 trees, one cutout copy, streamed.

Asked: at most 2.5 × the int8 size of the training rows plus 1 GB. Run with `make bench`.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import Size

SIZE = Size.even(n_eras=100, n_rows=4000, n_small=0, n_medium=780)


@pytest.fixture(scope="module")
def tournament(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("NLAB_BENCH_DATA") or tmp_path_factory.mktemp("data"))
    if not (folder / "train.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_tournament(folder, World(SIZE, 0))
    return folder


def test_a_run_with_one_cutout_copy_stays_within_two_and_a_half_times_the_training_rows(tournament: Path, tmp_path: Path) -> None:
    config = {
        "name": "memory",
        "data": {"source": "files", "path": str(tournament), "feature_set": "medium"},
        "augmenters": {"cutout": {"kind": "cutout", "fraction": 0.25}},
        "model": {"kind": "xgboost", "n_estimators": 100, "learning_rate": 0.05},
        "variants": {"cutout": {"augment": ["cutout"]}},
    }
    path = tmp_path / "memory.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "numerai_lab", "run", str(path), "--runs-dir", str(tmp_path / "runs")]
    subprocess.run(command, check=True, env={**os.environ, "NLAB_CACHE": str(tmp_path / "cache")})
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    (run,) = (tmp_path / "runs").iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    training = manifest["data"]["train_rows"] * manifest["data"]["features"]
    bound = 2.5 * training + 1e9
    for name, stage in manifest["stages"].items():
        print(f"{name}: {stage['seconds']:.1f} s, peak so far {stage['peak_bytes'] / 1e9:.2f} GB")
    print(f"training rows as int8 {training / 1e9:.2f} GB; peak {peak / 1e9:.2f} GB; asked at most {bound / 1e9:.2f} GB")
    print(f"ratio {peak / bound:.2f}")
    assert peak <= bound
