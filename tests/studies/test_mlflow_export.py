"""A run read back from MLflow equals the run folder's scores."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.runs.reading import read_run
from numerai_lab.studies.mlflow_export import export_to_mlflow
from tests.many_runs import make_runs

mlflow = pytest.importorskip("mlflow")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A run folder, the URI of the store, and the id of its MLflow run."""
    folder = tmp_path_factory.mktemp("mlflow")
    (run,) = make_runs(folder / "runs", 1, n_eras=6)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return run, uri, export_to_mlflow(run, uri)


def children(client: Any, parent: str) -> dict[str, Any]:
    experiment = client.get_run(parent).info.experiment_id
    return {run.info.run_name: run for run in client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'")}


def test_metrics_of_variants_are_the_numbers_of_scores_csv(exported: tuple[Path, str, str]) -> None:
    run, uri, root = exported
    scores = read_run(run).scores
    variants = children(mlflow.MlflowClient(uri), root)
    assert {*variants} == {"baseline", "raw+pca", "cutout"}
    for row in scores.to_dicts():
        numbers = {k: v for k, v in row.items() if isinstance(v, float) and not math.isnan(v)}
        metrics = variants[row["variant"]].data.metrics
        assert {name: metrics[f"{row['split']}/{name}"] for name in numbers} == numbers


def test_seeds_are_nested_in_variants_with_corr_by_era(exported: tuple[Path, str, str]) -> None:
    run, uri, root = exported
    client = mlflow.MlflowClient(uri)
    variant = children(client, root)["raw+pca"]
    (seed,) = children(client, variant.info.run_id).values()
    eras = read_run(run).per_era.filter(variant="raw+pca").sort("era")
    history = client.get_metric_history(seed.info.run_id, "corr")
    assert [(m.step, m.value) for m in history] == list(eras.select("era", "corr").iter_rows())
    assert seed.data.metrics["val1/corr_mean"] == pytest.approx(eras.filter(split="val1")["corr"].mean())


def test_parameters_are_the_configs_and_artefacts_the_runs_files(exported: tuple[Path, str, str], tmp_path: Path) -> None:
    run, uri, root = exported
    client = mlflow.MlflowClient(uri)
    assert client.get_run(root).data.params["model.learning_rate"] == "0.01"
    assert client.get_run(root).data.tags["nlab.synthetic"] == "SYNTHETIC"
    copy = Path(client.download_artifacts(root, "scores.csv", str(tmp_path)))
    assert copy.read_bytes() == (run / "scores.csv").read_bytes()
    assert pl.read_parquet(client.download_artifacts(root, "per_era.parquet", str(tmp_path))).equals(read_run(run).per_era)


def test_a_run_is_exported_once(exported: tuple[Path, str, str]) -> None:
    with pytest.raises(NlabError, match="is there already"):
        export_to_mlflow(exported[0], exported[1])
