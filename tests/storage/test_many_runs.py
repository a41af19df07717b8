"""Five hundred runs of different configs in one cache, which is pruned and damaged meanwhile; in `make soak`."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.experiment import RunOptions, run
from numerai_lab.runs.layout import PREDICTIONS
from numerai_lab.storage.cleanup import damaged_items, orphans, prune
from numerai_lab.storage.stage_cache import STAGES
from tests import soak
from tests.conftest import Quiet, make_config
from tests.storage.test_resources import resources

N_RUNS = 500


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    """Parts of a config that share some of their stages with those of other draws."""
    return {
        "seeds": [int(rng.integers(3))],
        "model": {"kind": "ridge", "alpha": float(rng.choice([1.0, 10.0, 100.0]))},
        "generators": {"p": {"kind": str(rng.choice(["pca", "factor_analysis"])), "n_components": int(rng.integers(2, 5))}},
        "augmenters": {"cut": {"kind": "cutout", "fraction": float(rng.choice([0.1, 0.3]))}},
        "variants": {"baseline": {}, "p": {"features": ["p"]}, "cut": {"augment": ["cut"]}},
        "splits": {"train": "1-40", "val1": "69-71", "val2": "80-82"},
    }


@pytest.mark.soak
def test_five_hundred_runs_in_one_cache_are_those_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path(soak.FOLDER) / "one-cache"
    monkeypatch.setenv("NLAB_CACHE", str(cache))
    seen = []
    for number in soak.rest("one-cache", N_RUNS):
        rng = np.random.default_rng(number)
        config = make_config(**drawn(rng))
        found = run(config, tmp_path / f"{number}", Quiet()).path
        if number % 10 == 0:
            alone = run(config, tmp_path / f"alone{number}", Quiet(), options=RunOptions(cached=False)).path
            assert (found / PREDICTIONS).read_bytes() == (alone / PREDICTIONS).read_bytes()
        if number % 25 == 24:
            spoil(cache, rng)
        if number % 50 == 49:
            prune(cache, 100_000, data=False)
            damaged = [item.path for item, damage in damaged_items(cache) if damage]
            assert len(damaged) <= 2  # spoilt since the last look, and not wanted by any run since
            for path in damaged:
                shutil.rmtree(path)
            assert orphans(cache) == []
        seen.append(resources())
    if len(seen) > 20:
        descriptors, threads, resident, temporary = zip(*seen, strict=True)
        assert (descriptors[-1], threads[-1], temporary[-1]) == (descriptors[10], threads[10], 0)
        assert resident[-1] - resident[10] < 100_000_000


def spoil(cache: Path, rng: np.random.Generator) -> None:
    """Changes a byte of a file of a stage."""
    paths = sorted(path for path in (cache / STAGES).glob("*/[!.]*/*") if path.stat().st_size)
    path = paths[int(rng.integers(len(paths)))]
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1
    path.write_bytes(content)
    os.utime(path)
