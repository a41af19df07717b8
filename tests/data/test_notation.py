"""One file has one notation, whichever of its features a store holds; stores of bins and of floats are scored on one scale."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.core.arrays import Array
from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load
from numerai_lab.metrics.exposures import Exposures
from tests.data.test_wild_files import N, table

BINS = [0, 1, 2, 3, 4, 0]
SWITCH = [0, 1, 1, 0, 1, 0]
SHARES = [0.1, 0.9, 0.3, 0.5, 0.2, 0.7]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test ingests for itself."""
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))


def two_sets(folder: Path, one: Any, two: Any, suffix: str = ".parquet", **changes: Any) -> Loaded:
    """Data whose models read the set `one` (feature_x), and whose scores need the set `two` (feature_y) and `all`."""
    frame = table(feature_x=one, feature_y=two, **changes)
    if suffix == ".csv":
        frame = frame.with_columns(pl.lit("train").alias("data_type"))
        frame.write_csv(folder / "numerai_training_data.csv")
    else:
        frame.write_parquet(folder / "train.parquet")
    sets = {"one": ["feature_x"], "two": ["feature_y"], "both": ["feature_x", "feature_y"]}
    (folder / "features.json").write_text(json.dumps({"feature_sets": sets}))
    return load(Files(path=str(folder), target="target_a_20", feature_set="one"), ["two", "both"])


def of_set(found: Loaded, name: str) -> Array:
    return np.concatenate([found.panel.set_of(name, era) for era in (1, 2)])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("switch_first", [True, False])
@pytest.mark.parametrize("in_bins", [True, False])
def test_zeros_and_ones_are_read_as_the_files_other_features_tell(
    tmp_path: Path, suffix: str, switch_first: bool, in_bins: bool
) -> None:
    switch = [float(value) for value in SWITCH]
    other = [value if in_bins else value / 4 for value in map(float, BINS)]
    loaded = two_sets(tmp_path, *((switch, other) if switch_first else (other, switch)), suffix)
    assert loaded.panel.features.dtype == np.int8
    wanted = [[value if in_bins else 4 * value for value in SWITCH], BINS]
    np.testing.assert_array_equal(of_set(loaded, "both").T, wanted if switch_first else wanted[::-1])


def test_features_that_no_store_holds_tell_too(tmp_path: Path) -> None:
    switch = [float(value) for value in SWITCH]
    loaded = two_sets(tmp_path, switch, switch, feature_z=[float(value) for value in BINS])
    np.testing.assert_array_equal(of_set(loaded, "both").T, [SWITCH, SWITCH])


def test_floats_tell_before_integers_do(tmp_path: Path) -> None:
    loaded = two_sets(tmp_path, [float(value) for value in SWITCH], [value / 4 for value in BINS], feature_z=BINS)
    np.testing.assert_array_equal(of_set(loaded, "both").T, [[4 * value for value in SWITCH], BINS])
    alone = two_sets(tmp_path, [float(value) for value in SWITCH], BINS)
    np.testing.assert_array_equal(of_set(alone, "both").T, [SWITCH, BINS])


def test_two_notations_in_the_stores_of_one_file_are_refused(tmp_path: Path) -> None:
    bins, quarters = [float(value) for value in BINS], [value / 4 for value in BINS]
    for first, second, names in ((bins, quarters, ("x", "y")), (quarters, bins, ("y", "x"))):
        with pytest.raises(NlabError) as caught:
            two_sets(tmp_path, first, second)
        assert "train.parquet: some features are written as bins 0 to 4" in str(caught.value)
        assert f"(among 'feature_{names[0]}' …) and others on 0 to 1 (among 'feature_{names[1]}' …)" in str(caught.value)


@pytest.mark.parametrize("bins_first", [True, False])
def test_bins_and_continuous_features_are_scored_on_one_scale(tmp_path: Path, bins_first: bool) -> None:
    loaded = two_sets(tmp_path, *((BINS, SHARES) if bins_first else (SHARES, BINS)))
    scoring = loaded.panel.scoring_features
    assert scoring is not None
    assert {loaded.panel.features.dtype, scoring.dtype} == {np.dtype(np.int8), np.dtype(np.float32)}
    wanted = np.float32([[value / 4 for value in BINS], SHARES])
    both = of_set(loaded, "both")
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both.T, wanted if bins_first else wanted[::-1])
    np.testing.assert_array_equal(of_set(loaded, "two")[:, 0], np.float32(SHARES if bins_first else BINS))

    exposures = Exposures.of(both)
    predictions = np.random.default_rng(0).normal(size=(N, 1))
    design = np.column_stack([np.ones(N), both.astype(np.float64)])
    rest = predictions - design @ np.linalg.lstsq(design, predictions, rcond=None)[0]
    np.testing.assert_allclose(exposures.neutralised(predictions), rest, atol=1e-12)
    correlations = [np.corrcoef(predictions[:, 0], column)[0, 1] for column in both.T.astype(np.float64)]
    np.testing.assert_allclose(exposures.correlations(predictions)[:, 0], correlations, atol=1e-12)
