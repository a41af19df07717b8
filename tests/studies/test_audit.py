"""The audit: honest configs pass, planted leaks are named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.augmenters.copula import Copula
from numerai_lab.basics import ALONE, Aid, Float32
from numerai_lab.config import Config, load_config
from numerai_lab.data.reader import Loaded, load
from numerai_lab.folds import Fold, make_folds
from numerai_lab.generators.linear import PCA
from numerai_lab.panel import Auxiliary, Block, Panel
from numerai_lab.splits import Splits
from numerai_lab.store import Scratch
from numerai_lab.studies import audit as module
from numerai_lab.studies.audit import Audit, audit
from numerai_lab.studies.broken import exchanged_targets, permuted_targets, replaced_features
from tests.conftest import Quiet, make_config, make_panel, quick

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
    found = audit(config, Quiet())
    assert failures(found) == set()
    assert {check.subject for check in found.checks} >= {"baseline", "raw+pca", "cutout", "blend", "neutral", "pca", "factors"}


class Peeking(PCA):
    """A cheat that has the true targets from elsewhere and emits them."""

    def transform(self, block: Block) -> Float32:
        columns = super().transform(block)
        columns[:, 0] = STOLEN[block.era]
        return columns


STOLEN: dict[int, Float32] = {}


def test_a_generator_that_peeks_at_targets_fails(tiny: Loaded) -> None:
    assert tiny.panel.target is not None
    STOLEN.update({era: np.nan_to_num(tiny.panel.target[tiny.panel.rows(era)]) for era in tiny.panel.eras.tolist()})
    found = failures(audit(config_with(Peeking(n_components=3)), Quiet()))
    assert "collapses when validation features are replaced by training ones: raw+g" in found
    assert "columns correlate with the target as features do: g" in found
    assert not any(said.endswith(": baseline") for said in found)


class Overreaching(PCA):
    """A cheat that looks at all rows of the table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> "Overreaching":
        super().fit(panel, rng)
        self.mean_ = self.mean_ + np.corrcoef(panel.features[:, 0], panel.features[:, 1])[0, 1]
        return self


def test_a_generator_that_learns_from_more_eras_than_it_says_fails() -> None:
    found = failures(audit(config_with(Overreaching(n_components=3)), Quiet()))
    assert found == {"columns of training eras do not change with validation features: g"}


class Snooping(Copula):
    """A cheat whose rows hang on the whole table instead of the eras it was given."""

    def fit(self, panel: Panel, rng: np.random.Generator, aid: Aid = ALONE) -> "Snooping":
        super().fit(panel, rng, aid)
        assert panel.target is not None
        series = {"targets": np.nan_to_num(panel.target), "features": panel.features[:, 0]}[SNOOPED[0]]
        self.seen_ = np.corrcoef(series[1:], series[:-1])[0, 1:]
        return self

    def augment(self, block: Block, rng: np.random.Generator) -> Block:
        made = super().augment(block, rng)
        assert made.target is not None
        return replace(made, target=np.concatenate([self.seen_, made.target[1:]]).astype(np.float32))


SNOOPED = [""]


@pytest.mark.parametrize("what", ["targets", "features"])
def test_an_augmenter_that_looks_at_validation_fails(what: str) -> None:
    SNOOPED[0] = what
    config = config_with(generators={}, augmenters={"c": quick("copula")}, variants={"baseline": {}, "c": {"augment": ["c"]}})
    config.augmenters["c"] = Snooping()
    found = audit(config, Quiet())
    assert failures(found) == {f"made rows do not change with validation {what}: c"}


FOLDS = "predictions of a fold do not change with what it must not see"


@pytest.mark.parametrize(
    ("scheme", "leak"), [("blocked", "none"), ("blocked", "neighbour"), ("expanding", "none"), ("expanding", "block")]
)
def test_a_fold_that_learns_from_what_it_predicts_or_from_a_neighbour_fails(
    monkeypatch: pytest.MonkeyPatch, scheme: str, leak: str
) -> None:
    def leaking(*arguments: Any) -> tuple[Fold, ...]:
        return tuple(replace(fold, train=tuple(sorted((*fold.train, *more(fold))))) for fold in make_folds(*arguments))

    def more(fold: Fold) -> tuple[int, ...]:
        beside = fold.val1[-1] + fold.embargo_eras if scheme == "blocked" else fold.val1[0] - fold.embargo_eras
        return {"none": (), "block": fold.val1[3:4], "neighbour": (beside,)}[leak]

    monkeypatch.setattr(module, "make_folds", leaking)
    config = config_with(cv={"folds": 3, "scheme": scheme})
    found = audit(config, Quiet())
    assert {check.subject for check in found.checks if check.check == FOLDS} == set(config.variants)
    assert failures(found) == (set() if leak == "none" else {f"{FOLDS}: {name}" for name in config.variants})


def test_a_lowered_embargo_of_folds_fails() -> None:
    config = config_with(cv={"folds": 2, "embargo": {"eras": 2, "allow_leak": True}})
    assert failures(audit(config, Quiet())) == {"embargo covers the horizon: cv"}


def test_a_lowered_embargo_fails() -> None:
    config = config_with(splits={"embargo": {"eras": 2, "allow_leak": True}})
    assert failures(audit(config, Quiet())) == {"embargo covers the horizon: splits"}


def test_a_target_among_the_features_fails(tiny: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = tiny.panel
    assert panel.target is not None
    features = np.array(panel.features)
    features[:, 7] = np.nan_to_num(panel.target * 4, nan=2)
    leaking = replace(tiny, panel=replace(panel, features=features))
    monkeypatch.setattr(module, "load", lambda *arguments: leaking)
    found = failures(audit(config_with(), Quiet()))
    assert "no target among the features: data" in found


def test_rows_in_the_order_of_their_targets_fail(tiny: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    class Places(PCA):
        """Where a row stands in its era: harmless unless the file was sorted by what is to be predicted."""

        def transform(self, block: Block) -> Float32:
            return np.column_stack([np.linspace(0, 1, len(block))] * self.n_components).astype(np.float32)

    panel = load(config_with().data).panel
    assert panel.target is not None
    target = np.array(panel.target)
    for era in panel.eras.tolist():
        target[panel.rows(era)] = np.sort(target[panel.rows(era)])
    monkeypatch.setattr(module, "load", lambda *arguments: replace(tiny, panel=replace(panel, target=target)))
    found = failures(audit(config_with(Places(n_components=2)), Quiet()))
    assert "collapses when eras exchange their targets: raw+g" in found


def test_broken_data_is_broken_as_it_says(tmp_path: Path) -> None:
    panel, rng = make_panel(), np.random.default_rng(0)
    assert panel.target is not None
    shown = replace(panel, auxiliary={"target_other_60": Auxiliary(2 * panel.target, 60)})
    permuted, exchanged = (broken.target for broken in (permuted_targets(shown, rng), exchanged_targets(shown, SPLITS, rng)))
    assert permuted is not None
    assert exchanged is not None
    features = replaced_features(panel, SPLITS, Scratch(tmp_path), rng)
    for era in panel.eras.tolist():
        rows = panel.rows(era)
        assert sorted(permuted[rows]) == sorted(panel.target[rows])
        assert not np.array_equal(permuted[rows], panel.target[rows])
        scored = era in (*SPLITS.train, *SPLITS.scored)
        assert np.array_equal(exchanged[rows], panel.target[rows]) is not scored
        assert np.array_equal(features[rows], panel.features[rows]) is (era not in SPLITS.validation)
    train = {row.tobytes() for row in panel.features[: panel.rows(15).stop]}
    assert all(row.tobytes() in train for row in features[panel.rows(18)])
    for broken in (permuted_targets(shown, rng), exchanged_targets(shown, SPLITS, rng)):
        assert broken.target is not None
        np.testing.assert_array_equal(broken.auxiliary["target_other_60"].values, 2 * broken.target)
    only = permuted_targets(panel, rng, SPLITS.validation).target
    assert only is not None
    np.testing.assert_array_equal(only[: panel.rows(15).stop], panel.target[: panel.rows(15).stop])
