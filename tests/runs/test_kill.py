"""`kill -9` at any moment: the resumed run ends with the predictions of an undisturbed one.

In the normal suite one run with a method of each kind of state (arrays, networks with checkpoints, rows on disk,
weights) is killed four times, each time further on. `make soak` kills one run of every registered method, and runs of each
method alone, thirty times each, at random moments, on the way to the end or to the next kill.
"""

import os
import shutil
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.runs.unfinished import unfinished_runs
from numerai_lab.storage.cleanup import DATA, damaged_items, orphans, prune
from tests import forks
from tests.conftest import quick
from tests.soak import rest

SOAKED = 30
KINDS = (["pca", "contrastive"], ["cutout", "gmm_targets", "diffusion", "block_dro"])
"""Generators and augmenters."""
EVERY = ([*GENERATORS], [*AUGMENTERS])


def written(folder: Path, generators: list[str], augmenters: list[str], model: str = "ridge") -> Path:
    """A config with these methods, one variant each, and one with all of them together."""
    config: dict[str, Any] = {
        "name": "killed",
        "data": {"source": "synthetic", "size": "tiny"},
        "generators": {kind: quick(kind) for kind in generators},
        "augmenters": {kind: quick(kind) for kind in augmenters},
        "model": quick(model),
        "variants": {
            "baseline": {},
            **{f"raw+{kind}": {"features": ["raw", kind]} for kind in generators},
            **{kind: {"augment": [kind]} for kind in augmenters},
            "all": {"features": ["raw", *generators[:1]], "augment": augmenters},
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def start(config: Path, place: Path) -> BaseProcess:
    place.mkdir(exist_ok=True)
    return forks.start("run", config, "--resume", "--runs-dir", place / "runs", said=place, NLAB_CACHE=str(place / "cache"))


def finished(config: Path, place: Path) -> Path:
    """The folder of a run that nobody disturbs any more; beside it there may be one that was done when its process was killed."""
    process = start(config, place)
    process.join()
    assert process.exitcode == 0, (place / "stderr").read_text()
    first, *others = sorted((place / "runs").iterdir())
    for other in others:
        assert (other / "predictions.parquet").read_bytes() == (first / "predictions.parquet").read_bytes()
    return first


def n_stages(place: Path) -> int:
    return len(list((place / "cache" / "stages").glob("*/[!.]*/meta.json")))


def kill_when(process: BaseProcess, place: Path, stages: int, delay: float) -> bool:
    """Kills a run some time after it has finished that many stages; False when it was over before."""
    while process.is_alive() and n_stages(place) < stages:
        time.sleep(0.01)
    time.sleep(delay)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive


def assert_nothing_is_half_written(place: Path) -> None:
    assert [path.name for path in (place / "runs").iterdir() if path.name.startswith(".")] == []
    checked = list(damaged_items(place / "cache"))
    assert checked
    assert [damage for _, damage in checked if damage] == []
    prune(place / "cache", 10**12, data=False)
    assert orphans(place / "cache") == []
    assert not list((place / "cache" / "stages").glob("*/.*/*"))


@pytest.mark.parametrize(("methods", "moments"), [(KINDS, 4), pytest.param(EVERY, 12, marks=pytest.mark.soak)])
def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(
    methods: tuple[list[str], list[str]], moments: int, tmp_path: Path
) -> None:
    config = written(tmp_path, *methods)
    whole, place = tmp_path / "whole", tmp_path / "killed"
    wanted = (finished(config, whole) / "predictions.parquet").read_bytes()
    rng, total, kills = np.random.default_rng(0), n_stages(whole), 0
    for moment in range(moments):
        kills += kill_when(start(config, place), place, moment * total // moments, rng.uniform(0, 1))
    assert kills >= moments - 1  # the last may come too late
    assert unfinished_runs(place / "runs") or kills < moments
    assert (finished(config, place) / "predictions.parquet").read_bytes() == wanted
    assert_nothing_is_half_written(place)


@pytest.mark.soak
@pytest.mark.parametrize("kind", [*GENERATORS, *AUGMENTERS, *MODELS])
def test_each_method_is_killed_at_thirty_random_moments(kind: str, tmp_path: Path) -> None:
    """A run that was killed is gone on with, and may be killed again; what ends is compared, and the next one begins anew."""
    model = kind if kind in MODELS else "xgboost"
    config = written(tmp_path, [kind] * (kind in GENERATORS), [kind] * (kind in AUGMENTERS), model)
    wanted, seconds, place = b"", 0.0, tmp_path / "killed"

    def compare() -> None:
        assert (finished(config, place) / "predictions.parquet").read_bytes() == wanted
        assert_nothing_is_half_written(place)
        shutil.rmtree(place)

    for number in rest(f"kills-{kind}", SOAKED):
        if not wanted:
            wanted = (finished(config, tmp_path / "first") / "predictions.parquet").read_bytes()
            begun = time.monotonic()
            finished(config, with_data(tmp_path / "timed", tmp_path / "first"))
            seconds = time.monotonic() - begun
        for moment in np.random.default_rng([*kind.encode(), number]).uniform(0, seconds, 9):  # one that comes too late is none
            if kill_when(start(config, place if place.exists() else with_data(place, tmp_path / "first")), place, 0, moment):
                break
            compare()
        else:
            pytest.fail(f"kill {number} came too late nine times")
    if place.exists():
        compare()


def with_data(place: Path, other: Path) -> Path:
    """A place whose cache has the data of another one, but no stages: kills fall upon the method, not upon reading."""
    for family in DATA:
        if (other / "cache" / family).is_dir():
            shutil.copytree(other / "cache" / family, place / "cache" / family, copy_function=os.link)
    return place
