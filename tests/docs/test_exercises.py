"""The five exercises of `contributing` and that of `worlds`, each done in a copy of the package, where it works."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.docs.markdown import ROOT, blocks

FORMULA = """        "target_spread": np.full(predictions.shape[1], float(np.nanstd(data.target))),
"""
METRIC = '    "target_spread": Metric("standard deviation of the target", ("mean",), "this project"),\n'
PLOT = '''def rows_by_era(data: RunData) -> Figure:
    """Scored rows of each era."""
    rows = data.eras.unique("era").sort("era")
    trace = {"type": "bar", "x": rows["era"].to_list(), "y": rows["n_rows"].to_list()}
    return Figure("rows_by_era", "Rows by era", "Scored rows of each era.", "Bars of rows by era.", [trace])


'''
COMMAND = '''"""`nlab count`: how many variants a config has."""

from numerai_lab.cli.terminal import ConfigFile


def count(config: ConfigFile) -> None:
    """Count the variants of a config."""
    from numerai_lab.config.loading import load_config

    print(len(load_config(config)[0].variants))
'''
SOURCE = '''"""A folder that an environment variable names."""

import os
from pathlib import Path
from typing import Literal

from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.source import Source, Tournament


class FromEnvironment(Source):
    """The tournament's files in the folder $NLAB_EXAMPLE.

    Source: this project.
    """

    source: Literal["from_environment"] = "from_environment"

    def files(self, progress: Progress = no_progress) -> Tournament:
        folder = Path(os.environ["NLAB_EXAMPLE"])
        return Tournament(tables=(folder / "train.parquet", folder / "validation.parquet"))

    def version_label(self) -> str:
        return "from the environment"
'''


def put(package: Path, name: str, text: str) -> None:
    """A new file of the package."""
    assert not (package / name).exists()
    (package / name).write_text(text)


def register(package: Path, name: str, line: str, *, before: str) -> None:
    """A line in front of another one in a file of the package."""
    text = (package / name).read_text()
    assert text.count(before) == 1, f"{name}: {before!r}"
    (package / name).write_text(text.replace(before, f"{line}{before}"))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the six additions."""
    package = tmp_path_factory.mktemp("copy") / "numerai_lab"
    shutil.copytree(ROOT / "numerai_lab", package, ignore=shutil.ignore_patterns("__pycache__"))

    register(package, "metrics/era.py", FORMULA, before='        "corr_with_reference": _with')
    register(package, "metrics/__init__.py", METRIC, before='    "seed_churn": Metric(')

    register(package, "report/run_figures.py", PLOT, before="FIGURES: ")
    register(package, "report/run_figures.py", "rows_by_era, ", before="cumulative_improvement, ")

    put(package, "cli/count.py", COMMAND)
    register(package, "cli/app.py", "from numerai_lab.cli.count import count\n", before="from numerai_lab.cli.data ")
    register(package, "cli/app.py", "app.command()(count)\n", before="app.command()(docs)")

    _, example = blocks(ROOT / "numerai_lab/docs/your-own-method.md", "python")
    put(package, "generators/mean.py", example.text)
    generators = "from numerai_lab.generators."
    register(package, "generators/__init__.py", f"{generators}mean import Mean\n", before=f"{generators}noise")
    register(package, "generators/__init__.py", '    "mean": Mean,\n', before='    "pca": PCA,')

    (example,) = blocks(ROOT / "numerai_lab/docs/worlds.md", "python")
    description = re.search(r"^quiet = (WorldDescription\(.*?^\))", example.text, flags=re.DOTALL | re.MULTILINE)
    assert description
    register(package, "data/worlds.py", f'    "quiet": {description[1]},\n', before='    "unpaid": WorldDescription(')

    put(package, "data/from_environment.py", SOURCE)
    data = "from numerai_lab.data."
    register(package, "data/__init__.py", f"{data}from_environment import FromEnvironment\n", before=f"{data}numerai")
    register(package, "data/__init__.py", '"from_environment": FromEnvironment, ', before='"synthetic": Synthetic')
    return package


def nlab(package: Path, *words: str) -> str:
    """What a command of the copy prints."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "NLAB_EXAMPLE": str(package.parent / "world")}
    command = [sys.executable, "-m", "numerai_lab", *words]
    done = subprocess.run(command, cwd=package.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run_folder(package: Path) -> Path:
    """A run of the new source and generator in the copy."""
    nlab(package, "data", "synth", "--size", "tiny", "--out", "world")
    (package.parent / "mean.yaml").write_text(
        "name: mean\ndata: {source: from_environment, feature_set: all}\ngenerators: {mean: {kind: mean}}\nmodel: {kind: ridge}\n"
    )
    nlab(package, "run", "mean.yaml")
    (folder,) = (package.parent / "runs").iterdir()
    return folder


def scores(package: Path, folder: Path) -> list[dict[str, Any]]:
    return json.loads(nlab(package, "show", str(folder), "--format", "json"))


@pytest.mark.slow
def test_a_new_metric_is_a_column_of_the_tables_and_is_described(package: Path, run_folder: Path) -> None:
    assert all(0.2 < row["target_spread_mean"] < 0.3 for row in scores(package, run_folder))
    assert "standard deviation of the target" in nlab(package, "describe", "target_spread")


def test_a_new_plot_is_in_the_report(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text()
    assert re.search(r'<figure id="rows_by_era">', page)
    assert "Scored rows of each era." in page


@pytest.mark.slow
def test_a_new_command_runs_and_is_in_the_manual(package: Path, run_folder: Path) -> None:
    assert nlab(package, "count", "mean.yaml") == "4\n"
    nlab(package, "docs", "--generate")
    assert "## nlab count\n\nCount the variants of a config." in nlab(package, "docs", "commands")
    assert "### mean\n" in nlab(package, "docs", "methods")


def test_a_new_generator_gets_variants_and_a_placebo(package: Path, run_folder: Path) -> None:
    assert {row["variant"] for row in scores(package, run_folder)} == {"baseline", "mean_only", "raw+mean", "raw+placebo"}
    assert "mean" in nlab(package, "list", "generators")


def test_a_new_source_is_read(package: Path, run_folder: Path) -> None:
    manifest = json.loads((run_folder / "manifest.json").read_text())
    assert manifest["data"]["source"] == "from_environment"
    assert manifest["comparable"]["data version"] == "from the environment"
    assert "$NLAB_EXAMPLE" in nlab(package, "describe", "from_environment")


@pytest.mark.slow
def test_a_new_world_has_files_a_truth_and_an_oracle(package: Path) -> None:
    nlab(package, "data", "synth", "--world", "quiet", "--size", "tiny", "--out", "quiet", "--oracle")
    truth = pl.read_parquet_schema(package.parent / "quiet" / "truth.parquet")
    assert {"component_linear", "component_membermean", "oracle_cluster_0_0"} <= truth.keys()
    assert "quiet" in json.loads(nlab(package, "schema"))["$defs"]["Synthetic"]["properties"]["world"]["enum"]
