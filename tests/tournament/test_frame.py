"""The deployed function takes any frame that holds the features, and refuses others in a sentence."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from numerai_lab.tournament.source import predict_source
from tests.tournament.deployed import deployed

NAMES = ["feature_a", "feature_b", "feature_c", "feature_d"]


def function(**changes: Any) -> Any:
    """The function with a small linear model, neutralised against two features."""
    noise = {"function": "noise", "multipliers": np.array([3, 5, 7, 11], np.uint64), "n_columns": 1}
    line = {"function": "linear", "weights": np.array([1.0, 2.0, -1.0, 0.5, 0.1]), "intercept": 0.2}
    model = {
        "stores": [{"names": NAMES, "top": 4.0, "bins": True}],
        "sets": {"few": [[0, [0, 1]]]},
        "n_raw": 4,
        "top": 4.0,
        "live_era": 900,
        "generators": [{**noise, "selected": None, "ranked": False}],
        "models": [{**line, "inputs": ["raw", 0]}],
        "seeds": [{"models": [0], "members": [], "neutralize": {"set": "few", "proportion": 0.5}}],
        **changes,
    }
    return deployed(model)["predict"]


@pytest.fixture
def rows() -> pd.DataFrame:
    """Two eras, as a parquet file of the tournament holds them."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 5, (120, 4)).astype(np.int8)
    index = pd.Index([f"n{i:04d}" for i in rng.permutation(120)], name="id")
    return pd.DataFrame(cells, index=index, columns=NAMES).assign(era=["0901"] * 50 + ["0902"] * 70)


def test_predictions_are_ranks_within_each_era_named_as_numerai_wants_them(rows: pd.DataFrame) -> None:
    predictions = function()(rows)
    assert predictions.index.equals(rows.index)
    assert predictions.index.name == "id"
    assert [*predictions.columns] == ["prediction"]
    for era, n in (("0901", 50), ("0902", 70)):
        ranks = predictions[rows["era"] == era]["prediction"]
        assert ranks.between(0, 1).all()
        assert ranks.mean() == pytest.approx(0.5)
        assert ranks.min() >= 0.5 / n


def test_order_of_rows_and_columns_further_columns_and_the_place_of_the_id_change_nothing(rows: pd.DataFrame) -> None:
    predict = function()
    expected = predict(rows)["prediction"]
    for other in (
        rows[rows.columns[::-1]],
        rows.sample(frac=1, random_state=1),
        rows.assign(feature_z=1, target=0.5, data_type="live"),
        rows.reset_index(),
        rows.astype(dict.fromkeys(NAMES, "float32")),
        rows.astype(dict.fromkeys(NAMES, "Int8")),
        rows.assign(**{name: rows[name] / 4 for name in NAMES}),
        rows.assign(era=rows["era"].astype(int)),
    ):
        pd.testing.assert_series_equal(predict(other)["prediction"][expected.index], expected)
    for _, part in rows.groupby("era"):
        pd.testing.assert_series_equal(predict(part)["prediction"], expected[part.index])


def test_rows_without_a_known_era_are_those_of_the_next_round(rows: pd.DataFrame) -> None:
    predict, live = function(), rows[rows["era"] == "0901"]
    expected = predict(live.assign(era="0900"))
    assert not expected.equals(predict(live))  # the noise depends on the era
    pd.testing.assert_frame_equal(predict(live.assign(era="X")), expected)
    pd.testing.assert_frame_equal(predict(live.drop(columns="era")), expected)


def test_eras_that_have_no_numbers_are_never_ranked_as_one(rows: pd.DataFrame) -> None:
    predict = function()
    pd.testing.assert_frame_equal(predict(rows.assign(era=rows["era"].astype(float))), predict(rows))
    dates = rows["era"].map({"0901": "2020-01-03", "0902": "2020-01-10"})
    with pytest.raises(ValueError, match="the eras '2020-01-03' and '2020-01-10' are no numbers"):
        predict(rows.assign(era=dates))


def test_a_missing_cell_is_the_middle_bin(rows: pd.DataFrame) -> None:
    predict = function()
    middle = rows.astype(dict.fromkeys(NAMES, "float32"))
    middle.iloc[::7, 1] = 2
    missing = middle.copy()
    missing.iloc[::7, 1] = np.nan
    pd.testing.assert_frame_equal(predict(missing), predict(middle))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="feature_b"), "lack 1 features of the model, such as 'feature_b'"),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "is there twice"),
        (lambda rows: rows.iloc[:0], "no rows"),
        (lambda rows: rows.assign(feature_c=1.5), "feature 'feature_c' holds 1.5"),
        (lambda rows: rows.assign(feature_c=7), "feature 'feature_c' holds 7"),
        (lambda rows: rows.assign(feature_c=-1), "wanted bins 0 to 4"),
        (lambda rows: rows.assign(feature_c=np.inf), "feature 'feature_c' holds inf"),
    ],
)
def test_rows_that_it_cannot_read_are_refused_in_a_sentence(rows: pd.DataFrame, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function()(change(rows))


def test_constant_predictions_are_refused(rows: pd.DataFrame) -> None:
    model = {"function": "linear", "weights": np.zeros(5), "intercept": 0.2, "inputs": ["raw", 0]}
    predict = function(models=[model], seeds=[{"models": [0], "members": [], "neutralize": None}])
    with pytest.raises(ValueError, match="the same prediction"):
        predict(rows)
    assert predict(rows.iloc[:1])["prediction"].tolist() == [0.5]


def test_the_source_reads_no_module_of_this_package() -> None:
    source = predict_source()
    assert "import numerai_lab" not in source
    assert "from numerai_lab" not in source
    assert [line for line in source.splitlines() if line.startswith(("import ", "from "))] == [
        "from __future__ import annotations",
        "import numpy as np",
        "import pandas as pd",
    ]
