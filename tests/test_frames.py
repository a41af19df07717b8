"""Runs on a DataFrame: the data of a file with the same rows, kept in the cache, with the same refusals."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from plotly.graph_objects import Figure

import numerai_lab
from numerai_lab.api import Results
from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.frames import frame_file
from numerai_lab.data.reader import load
from numerai_lab.report.run_figures import run_figures
from numerai_lab.storage.cleanup import items, prune
from numerai_lab.storage.folders import cache_dir
from numerai_lab.studies.export import export_run
from tests.conftest import Quiet

CONFIG: dict[str, Any] = {
    "name": "mine",
    "data": {"source": "synthetic", "size": "tiny", "feature_set": "all", "target": "target_up_20"},
    "splits": {"train": "50%"},
    "generators": {"pca": {"kind": "pca", "n_components": 3}},
    "model": {"kind": "ridge"},
    "variants": {"baseline": {}, "raw+pca": {"features": ["raw", "pca"]}},
}


def rows(n_eras: int = 80, n_rows: int = 24) -> pd.DataFrame:
    """Eras of random rows, of which the first feature tells some."""
    rng, n = np.random.default_rng(0), n_eras * n_rows
    frame = pd.DataFrame(rng.integers(0, 5, (n, 6)), columns=[f"feature_{i}" for i in range(6)], dtype=np.int8)
    frame["era"] = np.repeat([f"{era:04d}" for era in range(1, n_eras + 1)], n_rows)
    frame["target_up_20"] = np.round((frame["feature_0"] + rng.integers(0, 5, n)) / 2).clip(0, 4) / 4
    return frame.set_index(pd.Index([f"n{i}" for i in range(n)], name="id"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return numerai_lab.run(CONFIG, tmp_path_factory.mktemp("runs"), data=rows())


def test_a_run_on_a_dataframe_is_that_on_a_file_of_its_rows(done: Results, tmp_path: Path) -> None:
    rows().to_parquet(tmp_path / "rows.parquet")
    data = {"source": "files", "path": str(tmp_path / "rows.parquet"), "target": "target_up_20"}
    of_file = numerai_lab.run({**CONFIG, "data": data}, tmp_path / "runs")
    pd.testing.assert_frame_equal(done.scores, of_file.scores)
    assert done.manifest["data"]["identity"] == of_file.manifest["data"]["identity"]
    assert done.config.data.model_dump() == {**of_file.config.data.model_dump(), "path": str(frame_file(rows()))}
    assert done.manifest["comparable"]["data version"].startswith("dataframe.parquet (")


def test_the_columns_of_such_a_run_are_exported_and_merge_with_the_dataframe(done: Results, tmp_path: Path) -> None:
    exported = pd.read_parquet(export_run(done.path, "pca", tmp_path / "out.parquet", Quiet()).path)
    merged = rows().merge(exported, on=["id", "era"], validate="1:1")
    assert len(merged) == len(rows())


def test_frames_of_pandas_and_polars_hold_the_same_and_are_written_once() -> None:
    frames = [rows(), rows(), rows().reset_index(), pl.from_pandas(rows(), include_index=True)]
    paths = [frame_file(frame) for frame in frames]
    assert paths[0] == paths[1]
    first, *others = (load(Files(path=str(path), target="target_up_20")).panel for path in paths)
    for panel in others:
        assert panel.ids.tolist() == first.ids.tolist()
        np.testing.assert_array_equal(panel.features, first.features)
        np.testing.assert_array_equal(panel.target, first.target)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="era"), "data.era_column: the DataFrame has no column 'era'"),
        (lambda frame: frame.assign(feature_0=7), "the DataFrame: feature 'feature_0' holds 7 in row 1"),
        (lambda frame: frame.reset_index(drop=True), "data.id_column: the DataFrame has no column 'id'"),
        (lambda frame: frame.to_numpy(), "data: ndarray is no table; wanted a DataFrame of pandas or polars"),
        (lambda frame: frame.assign(feature_0=[object()] * len(frame)), "the DataFrame can't be read as a table"),
        (lambda frame: frame.assign(era=pd.PeriodIndex(["2020-01-03"] * len(frame), freq="W")), "'era' holds periods of pandas"),
        (lambda frame: frame.set_index(pd.PeriodIndex(["2020-01-03"] * len(frame), freq="W", name="era")), "'era' holds periods"),
    ],
    ids=["no era", "no bin", "no id", "an array", "objects", "periods", "an index of periods"],
)
def test_dataframes_are_refused_as_files_are(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(NlabError) as caught:
        numerai_lab.run(CONFIG, tmp_path / "runs", data=change(rows(8, 4)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dataframe_that_was_pruned_is_named_with_the_way_out(done: Results, tmp_path: Path) -> None:
    path = frame_file(rows())
    assert path.parent in [item.path for item in items(cache_dir()) if item.family == "frames"]
    held = tmp_path / "held"
    shutil.copytree(path.parent, held)
    prune(cache_dir(), 0, data=True)
    with pytest.raises(NlabError, match="held the rows of a DataFrame and is gone from the cache; run again in Python"):
        export_run(done.path, "pca", tmp_path / "out.parquet", Quiet())
    shutil.copytree(held, path.parent)


def test_a_run_draws_the_figures_of_its_report(done: Results) -> None:
    drawn = {}
    for name in done.plots():
        assert name in dir(done)
        try:
            drawn[name] = getattr(done, name)()
        except NlabError as error:
            assert "has nothing to draw" in str(error), name
    assert all(isinstance(figure, Figure) for figure in drawn.values())
    of_report = [figure for section in run_figures(done.read, done.config).values() for figure in section]
    assert [figure.layout.title.text for figure in drawn.values()][1:] == [figure.title for figure in of_report]
    assert [len(figure.data) for figure in drawn.values()][1:] == [len(figure.data) for figure in of_report]
    several = drawn["plot_differences"]
    assert [button.label for button in several.layout.updatemenus[0].buttons] == ["raw+pca"]
    with pytest.raises(AttributeError, match="has no attribute 'plot_forrest'; its figures: plot_forest, plot_differences"):
        _ = done.plot_forrest


def test_the_table_of_a_comparison_is_short_and_its_numbers_are_whole(done: Results) -> None:
    compared = numerai_lab.compare([done])
    (full,) = compared.tables
    assert list(compared.table.columns)[:2] == ["corr_mean", "delta_corr_mean"]
    assert len(compared.table.columns) == 6 < len(full.columns)
    pd.testing.assert_frame_equal(compared.table, full[list(compared.table.columns)])
