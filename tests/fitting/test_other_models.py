"""Models that read another model's predictions see those of training rows, and are cached under them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.other_models import other_model_facts, shown_predictions
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import check_methods, train_and_predict
from numerai_lab.models.networks import NetworkModel
from numerai_lab.storage.scratch import Scratch
from tests.conftest import Quiet, component, make_config, make_panel, quick

BENCHMARK = "numerai_meta_model"
READS: dict[str, Any] = {"benchmark": BENCHMARK, "benchmark_weight": 3.0}
SPLITS = Splits(tuple(range(1, 16)), (16, 17, 22, 23), tuple(range(18, 22)), tuple(range(24, 31)), 2, 2)
PANEL = make_panel()
GIVEN = PANEL.extras[BENCHMARK]


def context_of(folder: Path, given: np.ndarray, **parameters: Any) -> RunContext:
    folder.mkdir(exist_ok=True)
    config = make_config(model={**quick("mlp"), **parameters})
    panel: Panel = replace(PANEL, extras={BENCHMARK: given.astype(np.float32)})
    return RunContext(config, panel, FitPlan.of(config, SPLITS), Scratch(folder), Quiet(), lambda name, content: None)


def changed(first: int, last: int) -> np.ndarray:
    """The benchmark with other predictions in some eras."""
    era = np.arange(PANEL.n_rows) // 40 + 1
    return np.where((era >= first) & (era <= last), 1 - GIVEN, GIVEN).astype(np.float32)


def test_only_predictions_of_training_eras_are_shown_and_only_to_a_model_that_reads_them(tmp_path: Path) -> None:
    context, model = context_of(tmp_path, GIVEN), component("mlp", **READS)
    shown = shown_predictions(context, model)[BENCHMARK]
    np.testing.assert_array_equal(shown[: 15 * 40], GIVEN[: 15 * 40])
    assert np.isnan(shown[15 * 40 :]).all()
    assert shown_predictions(context, component("mlp")) == other_model_facts(context, component("mlp")) == {}


def test_a_model_is_cached_under_the_predictions_of_its_training_eras(tmp_path: Path) -> None:
    model = component("mlp", **READS)
    facts, later, earlier = (
        other_model_facts(context_of(tmp_path, values), model) for values in (GIVEN, changed(16, 30), changed(15, 15))
    )
    assert facts == later != earlier


def test_garbage_in_validation_predictions_changes_no_model_that_is_kept_unlike_the_benchmark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[TrainingStream] = []
    fit = NetworkModel.fit
    monkeypatch.setattr(NetworkModel, "fit", lambda self, blocks, *rest: (streams.append(blocks), fit(self, blocks, *rest))[1])
    clean, later, earlier, free = (
        train_and_predict(context_of(tmp_path / str(i), values, **parameters), {}).values
        for i, (values, parameters) in enumerate([(GIVEN, READS), (changed(16, 30), READS), (changed(1, 9), READS), (GIVEN, {})])
    )
    np.testing.assert_array_equal(clean, later)
    assert not np.array_equal(clean, earlier)
    assert not np.array_equal(clean, free)
    assert [list(blocks.panel.extras) for blocks in streams] == [[BENCHMARK]] * 3 + [[]]


def test_a_benchmark_that_the_training_eras_lack_is_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    context = context_of(tmp_path, np.where(np.arange(PANEL.n_rows) < 15 * 40, np.nan, GIVEN), **READS)
    with pytest.raises(NlabError, match="model: benchmark: numerai_meta_model has no predictions in the training eras"):
        check_methods(context.config, context.panel, context.plan)
