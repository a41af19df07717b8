"""The estimate of disk counts scratch: copies of selected features, columns of synthetic rows and of feature sets, labels."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from numerai_lab import experiment
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.experiment import run
from numerai_lab.fitting import estimate
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.plan import plan
from numerai_lab.storage import scratch
from tests.conftest import Quiet, make_config, quick
from tests.fitting.test_estimate import SPLITS, task

FOLDS = {"cv": {"folds": 2, "scheme": "blocked", "embargo": {"eras": 1, "allow_leak": True}}}
ORACLE = {
    "data": {"source": "synthetic", "size": "tiny", "world": "steady", "oracle": True, "feature_set": "all"},
    "variants": {"baseline": {}, "top": {"features": ["raw", "oracle"]}},
}


def reading(select: dict[str, Any] | None, kind: str = "pca", **parameters: Any) -> dict[str, Any]:
    """A config with the columns of a generator that selects features, or reads all."""
    generators = {"g": {**quick(kind), **parameters} | ({"select": select} if select else {})}
    return {"generators": generators, "variants": {"baseline": {}, "raw+g": {"features": ["raw", "g"]}}}


def disk(select: dict[str, Any] | None = None, n_folds: int = 0, cell_bytes: int = 1) -> int:
    """Bytes of disk for 110 eras of 5,000 rows of 780 features; folds end with era 60."""
    inputs = task(**reading(select))
    fold = FitPlan.of(inputs.config, replace(SPLITS, train=tuple(range(1, 41)), val1=tuple(range(51, 61))))
    sets = {"few": range(100), "wide": range(50, 900)}
    return need(replace(inputs, folds=[fold] * n_folds, cell_bytes=cell_bytes, feature_sets=sets)).disk_bytes


def test_a_copy_of_selected_features_takes_disk_in_a_run_and_in_one_fold_at_a_time() -> None:
    best = {"by": "variance", "top_k": 400}
    assert disk(best) - disk() == pytest.approx(550_000 * 400, rel=1e-3)
    assert disk(best, n_folds=3) - disk(n_folds=3) == pytest.approx(850_000 * 400, rel=1e-3)
    assert disk(best, cell_bytes=4) - disk(best) == 550_000 * 400 * 3
    assert disk({"features": ["few", "wide"]}) - disk() == 550_000 * 780  # the rest of `wide` no generator reads
    assert disk({"features": ["few"]}) == disk({"by": "variance", "top_k": 100})


def test_every_fit_of_a_cross_fit_and_of_a_seed_takes_a_copy_of_its_own() -> None:
    def copied(kind: str, seeds: list[int], **parameters: Any) -> float:
        sizes = [task(**reading({"by": "variance", "top_k": k}, kind, **parameters), seeds=seeds) for k in (400, 500)]
        return (need(sizes[1]).disk_bytes - need(sizes[0]).disk_bytes) / (550_000 * 100)

    assert copied("pca", [1, 2]) == pytest.approx(1, rel=0.01)
    assert copied("random_encoder", [1, 2]) == pytest.approx(2, rel=0.01)
    assert copied("supervised_autoencoder", [1], scheme="cross_fit", blocks=4) == pytest.approx(5, rel=0.01)


def test_memory_of_a_fit_follows_the_features_that_it_selects() -> None:
    def memory(select: dict[str, Any] | None) -> int:
        return need(task(rows=200, **reading(select, "autoencoder", hidden=4096))).memory_bytes

    assert memory({"by": "variance", "top_k": 20}) < memory(None) - 4 * 4096 * 760


CONFIGS: dict[str, dict[str, Any]] = {
    "selected, two seeds": reading({"features": ["fncv3_features"]}, "local_density") | {"seeds": [1, 2]},
    "selected, folds": reading({"by": "variance", "top_k": 20}) | FOLDS,
    "synthetic rows, folds": {
        "generators": {"g": {"kind": "pca", "n_components": 16}},  # wide beside the 128 bytes that begin a file
        "augmenters": {"a": {"kind": "cutout", "copies": 3}},
        "variants": {"baseline": {}, "both": {"features": ["raw", "g"], "augment": ["a"]}},
        "seeds": [1, 2],
    }
    | FOLDS,
    "a feature set, folds": ORACLE | FOLDS,
    "labels, folds": {"variants": {"baseline": {}, "gauss": {"target_transform": {"kind": "rank_gauss"}}}} | FOLDS,
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_a_run_writes_into_scratch_is_what_was_estimated(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, seen, remove = list[int](), list[EstimateInputs](), shutil.rmtree

    def measured(folder: Path, **options: Any) -> None:
        written.append(sum(path.stat().st_size for path in folder.glob("*.npy")))
        remove(folder, **options)

    monkeypatch.setattr(scratch.shutil, "rmtree", measured)
    monkeypatch.setattr(experiment, "need", lambda inputs: seen.append(inputs) or need(inputs))
    run(make_config(**CONFIGS[name]), tmp_path, Quiet())
    *folds, whole = written
    (inputs,) = seen
    with_scratch = need(inputs).disk_bytes
    monkeypatch.setattr(estimate, "_scratch", lambda *_: 0)
    assert with_scratch - need(inputs).disk_bytes == pytest.approx(whole + max(folds, default=0), rel=0.05)


def test_a_dry_run_counts_the_feature_sets_that_variants_read_whether_the_data_are_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted() -> int:
        plain, reads_set = (plan(make_config(**{**ORACLE, "variants": variants})) for variants in ({"a": {}}, ORACLE["variants"]))
        return (reads_set.disk_bytes - plain.disk_bytes) // sum(plain.outline.n_rows)

    load(Synthetic(**{name: value for name, value in ORACLE["data"].items() if name != "source"}), ["all"])
    assert counted() >= 64 * 4
    monkeypatch.setattr("numerai_lab.data.synthetic.cache_dir", lambda: tmp_path)
    assert counted() >= 64 * 4
