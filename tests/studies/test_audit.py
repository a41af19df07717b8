"""The audit: honest configs pass, planted leaks are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.augmenters import Augmenter
from numerai_lab.config.loading import load_config
from numerai_lab.config.schema import Config
from numerai_lab.core.folds import Fold
from numerai_lab.core.panel import Auxiliary
from numerai_lab.core.splits import Splits
from numerai_lab.core.walk_forward import Step
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.fit_plan import folds_of, steps_of
from numerai_lab.generators.linear import PCA
from numerai_lab.storage.scratch import Scratch
from numerai_lab.studies import audit as auditing
from numerai_lab.studies.audit import Audit, audit
from numerai_lab.studies.broken import permuted_targets, reordered_rows, replaced_features
from tests.conftest import Quiet, make_config, make_panel, quick
from tests.studies.cheats import Copying, Overreaching, Overweighing, Peeking, Places, Remembering, Snooping
from tests.studies.leak_table import COLUMNS, IN_DATA, IN_TRAINING

SPLITS = Splits(tuple(range(1, 16)), (16, 17), tuple(range(18, 24)), tuple(range(24, 31)), 2, 2)


def config_with(generator: PCA | None = None, **changes: object) -> Config:
    config = make_config(**{"generators": {"g": quick("pca")}, "splits": {}, **changes})
    if generator is not None:
        config.generators["g"] = generator
    return config


def failures(found: Audit) -> set[str]:
    return {f"{check.check}: {check.subject}" for check in found.failed}


def test_an_honest_config_passes_every_check() -> None:
    config, _ = load_config(Path("configs/quickstart.yaml"), ["data.size=tiny", "model.n_estimators=30"])
    report = audit(config, Quiet())
    assert failures(report) == set()
    assert {check.subject for check in report.checks} >= {"baseline", "raw+pca", "cutout", "blend", "neutral", "pca", "factors"}


@pytest.mark.slow
def test_a_generator_that_reads_targets_off_the_disk_fails() -> None:
    failed = failures(audit(config_with(Peeking(n_components=3)), Quiet()))
    assert f"{IN_TRAINING['a generator that reads targets off the disk']}: raw+g" in failed
    assert "columns correlate with the target as features do: g" in failed
    assert not any(said.endswith(": baseline") for said in failed)


def test_a_generator_that_learns_from_more_eras_than_it_says_fails() -> None:
    failed = failures(audit(config_with(Overreaching(n_components=3)), Quiet()))
    assert failed == {"columns of training eras do not change with validation features: g"}


@pytest.mark.slow
def test_a_generator_that_remembers_an_earlier_trial_in_its_module_fails() -> None:
    failed = failures(audit(config_with(Remembering(n_components=3)), Quiet()))
    assert failed == {f"{COLUMNS}: g"}


@pytest.mark.parametrize(
    ("augmenter", "leak"),
    [
        (Snooping(), "an augmenter whose rows depend on validation features"),
        pytest.param(Copying(), "an augmenter that copies validation rows off the disk", marks=pytest.mark.slow),
        pytest.param(Overweighing(), "an augmenter whose weights depend on validation features", marks=pytest.mark.slow),
    ],
)
def test_an_augmenter_that_looks_at_validation_fails(augmenter: Augmenter, leak: str) -> None:
    config = config_with(generators={}, augmenters={"c": quick("copula")}, variants={"baseline": {}, "c": {"augment": ["c"]}})
    config.augmenters["c"] = augmenter
    assert failures(audit(config, Quiet())) == {f"{IN_TRAINING[leak]}: c"}


STEPS = IN_TRAINING["a step of retraining that learns from its block"]


def test_a_step_that_learns_from_what_it_predicts_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(*arguments: Any) -> tuple[Step, ...]:
        return tuple(replace(step, train=(*step.train, step.val1[0])) for step in steps_of(*arguments))

    monkeypatch.setattr(auditing, "steps_of", leaking)
    config = config_with(generators={}, retrain={"every": 10, "window": 30})
    assert failures(audit(config, Quiet())) == {"embargo covers the horizon: retrain", f"{STEPS}: baseline"}


FOLDS = IN_TRAINING["a fold that learns from its block or next to it"]


@pytest.mark.parametrize(
    ("scheme", "leak"),
    [
        ("blocked", "none"),
        pytest.param("blocked", "neighbour", marks=pytest.mark.slow),
        pytest.param("expanding", "none", marks=pytest.mark.slow),
        pytest.param("expanding", "block", marks=pytest.mark.slow),
    ],
)
def test_a_fold_that_learns_from_what_it_predicts_or_from_a_neighbour_fails(
    monkeypatch: pytest.MonkeyPatch, scheme: str, leak: str
) -> None:
    def leaking(*arguments: Any) -> tuple[Fold, ...]:
        return tuple(replace(fold, train=tuple(sorted((*fold.train, *more(fold))))) for fold in folds_of(*arguments))

    def more(fold: Fold) -> tuple[int, ...]:
        beside = fold.val1[-1] + fold.embargo_eras if scheme == "blocked" else fold.val1[0] - fold.embargo_eras
        return {"none": (), "block": fold.val1[3:4], "neighbour": (beside,)}[leak]

    monkeypatch.setattr(auditing, "folds_of", leaking)
    config = config_with(cv={"folds": 3, "scheme": scheme})
    report = audit(config, Quiet())
    assert {check.subject for check in report.checks if check.check == FOLDS} == set(config.variants)
    named = {"embargo covers the horizon: cv", *(f"{FOLDS}: {name}" for name in config.variants)}
    assert failures(report) == (set() if leak == "none" else named)


@pytest.mark.slow
def test_a_lowered_embargo_of_folds_fails() -> None:
    config = config_with(cv={"folds": 2, "embargo": {"eras": 2, "allow_leak": True}})
    assert failures(audit(config, Quiet())) == {"embargo covers the horizon: cv"}


@pytest.mark.slow
def test_a_generator_that_counts_rows_in_the_order_of_their_targets_fails(tiny: Loaded, tmp_path: Path) -> None:
    panel = tiny.panel
    assert panel.target is not None
    rows = pl.DataFrame(np.array(panel.features), schema=list(panel.raw_names)).with_columns(
        pl.Series("era", np.repeat(panel.eras, panel.bounds[:, 1] - panel.bounds[:, 0])), pl.Series("target", panel.target)
    )
    rows.sort("era", "target").with_columns(
        pl.format("n{}", pl.int_range(100_000, 100_000 + pl.len())).alias("id")
    ).write_parquet(tmp_path / "sorted.parquet")
    data = {"source": "files", "path": str(tmp_path / "sorted.parquet"), "horizon_days": 20}
    failed = failures(audit(config_with(Places(n_components=2), data=data, splits={"train": "60%"}), Quiet()))
    assert f"{IN_TRAINING['a generator that counts rows, where ids follow the target']}: raw+g" in failed
    assert f"{IN_DATA['ids given in the order of targets']}: data" in failed


def test_broken_data_is_broken_as_it_says(tmp_path: Path) -> None:
    panel, rng = make_panel(), np.random.default_rng(0)
    assert panel.target is not None
    shown = replace(panel, auxiliary={"target_other_60": Auxiliary(2 * panel.target, 60)})
    permuted = permuted_targets(shown, rng).target
    reordered = reordered_rows(shown, SPLITS, Scratch(tmp_path), rng)
    assert permuted is not None
    assert reordered.target is not None
    features = replaced_features(panel, SPLITS, Scratch(tmp_path), rng)
    for era in panel.eras.tolist():
        rows = panel.rows(era)
        assert sorted(permuted[rows]) == sorted(panel.target[rows])
        assert not np.array_equal(permuted[rows], panel.target[rows])
        assert np.array_equal(reordered.ids[rows], panel.ids[rows]) is (era not in SPLITS.validation)
        order = np.argsort(reordered.ids[rows])
        np.testing.assert_array_equal(reordered.target[rows][order], panel.target[rows])
        np.testing.assert_array_equal(reordered.features[rows][order], panel.features[rows])
        assert np.array_equal(features[rows], panel.features[rows]) is (era not in SPLITS.validation)
    train = {row.tobytes() for row in panel.features[: panel.rows(15).stop]}
    assert all(row.tobytes() in train for row in features[panel.rows(18)])
    for broken in (permuted_targets(shown, rng), reordered):
        assert broken.target is not None
        np.testing.assert_array_equal(broken.auxiliary["target_other_60"].values, 2 * broken.target)
    only = permuted_targets(panel, rng, SPLITS.validation).target
    assert only is not None
    np.testing.assert_array_equal(only[: panel.rows(15).stop], panel.target[: panel.rows(15).stop])
