"""A table of commands and attacks on the run folder that they read: exit codes 0, 1 or 2, whatever lies there; in `make soak`."""

import os
import shutil
from pathlib import Path

import pytest

from numerai_lab.experiment import run
from tests.conftest import Quiet, make_config, quick
from tests.faults.strangers import ATTACKS, COMMANDS, outcomes
from tests.soak import rest


@pytest.mark.soak
def test_every_command_survives_every_attack(tmp_path: Path) -> None:
    config = make_config(
        generators={"p": quick("pca")},
        augmenters={"cut": {"kind": "cutout"}, "drawn": quick("copula")},
        splits={"train": "1-30", "holdout": 24},
        variants={
            "baseline": {},
            "raw+p": {"features": ["raw", "p"]},
            "cut": {"augment": ["cut"]},
            "drawn": {"augment": ["drawn"]},
        },
    )
    run(config, tmp_path / "runs", Quiet()).path.rename(tmp_path / "base")
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    shutil.copy(next(Path(os.environ["NLAB_CACHE"]).glob("synthetic/*tiny*/live.parquet")), tmp_path)
    untouched = outcomes(lambda run, victim: None, tmp_path)
    assert {*untouched.values()} == {"0"}, untouched  # a command that fails anyway would show nothing
    print(f"\n{'':45}", *(f"{name:>8}" for name in COMMANDS))
    for number in rest("attacks", len(ATTACKS)):
        attack = [*ATTACKS][number]
        codes = outcomes(ATTACKS[attack], tmp_path)
        print(f"{attack:45}", *(f"{code:>8}" for code in codes.values()), flush=True)
        assert {*codes.values()} <= {"0", "1", "2"}, attack
