"""A training that goes on from its checkpoint ends with the bytes of an undisturbed one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.arrays import Array
from numerai_lab.core.progress import FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import XGBoost, boosting
from numerai_lab.models.era_boost import EraBoost
from tests.conftest import make_panel

PANEL = make_panel()
STREAM = TrainingStream(PANEL.only(range(1, 21)), ("raw",), PANEL.raw_names, 0)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 5)
    monkeypatch.setattr(boosting, "KEEP_EVERY", 0.0)


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"colsample_bytree": 1.0},
        {"subsample": 0.5, "max_bin": 256},
        {"era_boost": EraBoost(every=5, share=0.3)},
        {"booster": "dart"},
    ],
)
@pytest.mark.parametrize("dies_at", [4, 5, 6, 17, 22])
def test_xgboost_killed_at_any_tree_ends_with_the_same_bytes(sampling: dict[str, Any], dies_at: int) -> None:
    model = XGBoost(n_estimators=23, learning_rate=0.2, n_jobs=1, **{"colsample_bytree": 0.5, **sampling})
    whole = model.fresh().fit(STREAM, np.random.default_rng(0)).saved()
    kept: list[Mapping[str, Array]] = []

    def dies(done: int, total: int, note: str = "") -> None:
        if done == dies_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fresh().fit(STREAM, np.random.default_rng(0), FitContext(dies, save_checkpoint=kept.append))
    assert len(kept) == (dies_at - 1) // 5
    seen: list[int] = []
    context = FitContext(lambda done, total, note="": seen.append(done), load_checkpoint=lambda: dict(kept[-1]) if kept else None)
    again = model.fresh().fit(STREAM, np.random.default_rng(0), context)
    assert seen[0] == 5 * len(kept) + 1
    assert again.saved() == whole


def test_goes_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    model = XGBoost(n_estimators=10, learning_rate=0.2, colsample_bytree=0.5, subsample=0.1, n_jobs=1)
    in_goes = model.fresh().fit(STREAM, np.random.default_rng(0)).saved()
    monkeypatch.setattr(boosting, "ROUNDS", 100)
    assert model.fresh().fit(STREAM, np.random.default_rng(0)).saved() != in_goes
