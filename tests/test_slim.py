"""Without packages that only some methods need, everything else works, and those methods say what brings them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from numerai_lab.config.installed import packages_of
from numerai_lab.core.requirements import INSTALL, absent, how_to_install
from tests.conftest import make_config

OPTIONAL = "torch,umap,pynndescent,numba,lightgbm,catboost,skops,optuna"


def without(packages: str, *arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "tests.slim", packages, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_the_quickstart_runs_is_shown_and_compared_without_torch_and_umap(tmp_path: Path) -> None:
    quick = ["--set", "data.size=tiny", "--set", "model.n_estimators=10", "--set", "seeds=[7]"]
    config = str(Path("configs/quickstart.yaml").resolve())
    done = without(OPTIONAL, "run", config, *quick, "--runs-dir", "runs", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    assert {"report.html", "scores.csv"} <= {path.name for path in run.iterdir()}
    commands = (("show", str(run)), ("compare", str(run)), ("inspect", str(run)), ("describe", "mlp"), ("list", "models"))
    done = without(OPTIONAL, *commands[0], *(word for command in commands[1:] for word in (";", *command)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("catboost") >= 1
    assert done.stdout.count("mlp") >= 2


def test_every_method_that_misses_a_package_declares_it_and_no_other_does(tmp_path: Path) -> None:
    packages = f"{OPTIONAL},xgboost"
    done = without(packages, "fits", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    methods = json.loads(done.stdout.splitlines()[-1])
    declared = {way: bool(set(facts["requires"]) & set(packages.split(","))) for way, facts in methods.items()}
    assert {way: bool(facts["missed"]) for way, facts in methods.items()} == declared
    for way, facts in methods.items():
        if facts["missed"]:
            assert INSTALL[facts["missed"]] in [INSTALL[package] for package in facts["requires"]], way
    assert methods["pca"]["missed"] == ""
    assert methods["mlp"]["missed"] == "torch"


@pytest.mark.parametrize("command", [["validate"], ["run", "--dry-run"], ["run"]])
def test_a_method_without_its_package_is_refused_with_the_command_that_brings_it(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: a\ndata: {source: synthetic, size: tiny}\nmodel: {kind: catboost}\n"
        "generators: {u: {kind: umap}, idle: {kind: umap}}\n"
        "variants:\n  baseline: {}\n  u: {features: [raw, u]}\n  net: {model: {kind: mlp}}\n"
    )
    done = without(OPTIONAL, *command, "a.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "nlab: model: catboost needs catboost, which is not installed: pip install 'numerai_lab[catboost]'",
        "  generators.u: umap needs umap, which is not installed: pip install umap-learn",
        "  variants.net.model: mlp needs torch, which is not installed: "
        "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_absent_packages_are_found_without_importing_any() -> None:
    assert absent(["json", "no_such_package", "sklearn"]) == ["no_such_package"]
    assert how_to_install(["umap", "pynndescent"]) == "umap and pynndescent, which are not installed: pip install umap-learn"


def test_packages_of_a_config_are_those_of_the_methods_that_variants_use() -> None:
    generators = {"net": {"kind": "autoencoder"}, "idle": {"kind": "umap"}}
    config = make_config(
        generators=generators, variants={"baseline": {}, "trees": {"features": ["net"], "model": {"kind": "xgboost"}}}
    )
    assert packages_of(config) == ["xgboost", "torch"]
