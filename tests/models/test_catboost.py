"""CatBoost gives what the library gives for the same rows in memory; its files have no date and are read safely."""

import json

import numpy as np
import pytest

from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import CatBoost
from tests.conftest import make_panel
from tests.faults.mutated import mutated

PANEL = make_panel()
STREAM = TrainingStream(PANEL.only(range(1, 21)), ("raw",), PANEL.raw_names, 0)
X = PANEL.block(25).matrix(["raw"])


def model(**parameters: object) -> CatBoost:
    return CatBoost.model_validate({"n_estimators": 30, "learning_rate": 0.2, "n_jobs": 1, **parameters})


def test_it_is_what_the_library_gives_for_the_whole_matrix() -> None:
    import catboost

    whole = np.concatenate([batch.X for batch in STREAM])
    seed = int(np.random.default_rng(0).integers(2**31 - 1))
    theirs = catboost.CatBoostRegressor(
        iterations=30, learning_rate=0.2, depth=5, rsm=0.5, bootstrap_type="No", random_seed=seed, border_count=15,
        logging_level="Silent", allow_writing_files=False, thread_count=1,
    ).fit(whole, STREAM.targets())  # fmt: skip
    ours = model(colsample_bytree=0.5).fit(STREAM, np.random.default_rng(0))
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("parameters", [{}, {"subsample": 0.5}, {"n_jobs": 2}])
def test_the_same_seed_gives_the_same_file_and_another_seed_another(parameters: dict[str, object]) -> None:
    one, same, other = (model(**parameters).fit(STREAM, np.random.default_rng(seed)).saved()[1] for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_only_a_whole_file_is_read() -> None:
    content = model().fit(STREAM, np.random.default_rng(0)).saved()[1]
    for damaged in (b"", json.dumps({}).encode(), content[:100]):
        with pytest.raises(ValueError, match="no whole model of CatBoost"):
            model().loaded(damaged)
    assert mutated(content, np.random.default_rng(0)) != content


@pytest.mark.slow
def test_the_estimated_size_of_a_file_is_not_far_off() -> None:
    panel = make_panel(n_rows=400, n_features=40, binned=False)
    stream = TrainingStream(panel, ("raw",), panel.raw_names, 0)
    for parameters in ({"n_estimators": 200}, {"n_estimators": 1000, "max_depth": 4}):
        content = model(**parameters).fit(stream, np.random.default_rng(0)).saved()[1]
        assert 0.6 < model(**parameters).saved_bytes(800, 12) / len(content) < 1.6, parameters
