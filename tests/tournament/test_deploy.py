"""A deployed model predicts what the run predicted, as Numerai's container runs it, or nothing is written."""

import hashlib
import json
import pickletools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.experiment import run as run_config
from numerai_lab.runs.reading import Run
from numerai_lab.tournament import deploy as deploying
from numerai_lab.tournament import in_container
from numerai_lab.tournament.artefact import Artefact
from numerai_lab.tournament.deploy import deploy
from numerai_lab.tournament.packing import pack
from numerai_lab.tournament.pickle_imports import imports_of
from numerai_lab.tournament.source import predict_source
from tests.conftest import Quiet, make_config, quick
from tests.tournament.deployed import artefact

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
TREES = {"kind": "xgboost", "n_estimators": 40, "learning_rate": 0.1, "colsample_bytree": 0.5}
VARIANTS: dict[str, Any] = {
    "baseline": {},
    "raw+pca": {"features": ["raw", "pca"], "model": {**TREES, "kind": "lightgbm"}},
    "factors": {"features": ["raw", "factors"], "model": {"kind": "ridge"}},
    "map": {"features": ["raw", "map"]},
    "net": {"model": quick("mlp")},
    "placed": {"features": ["raw", "placed"]},
    "blend": {"ensemble": ["baseline", "raw+pca", "factors"]},
    "neutral": {"ensemble": ["baseline", "factors"], "neutralize": {"features": "small", "proportion": 0.5}},
    "alone": {"neutralize": {"features": "medium"}, "targets": ["target", "target_cyrusd_20"]},
}
GENERATORS: dict[str, Any] = {
    "pca": quick("pca"),
    "factors": quick("factor_analysis"),
    "map": quick("umap"),
    "placed": {**quick("umap"), "mode": "placed"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with every way to put a deployable variant together, of two seeds."""
    for name in ("hidden", "batch_size", "negatives", "steps"):
        GENERATORS["placed"].pop(name, None)
    data = {"source": "synthetic", "size": "tiny", "auxiliary_targets": ["target_cyrusd_20"]}
    config = make_config(seeds=[0, 1], data=data, generators=GENERATORS, model=TREES, variants=VARIANTS)
    return run_config(config, tmp_path_factory.mktemp("runs"), Quiet())


@pytest.fixture(autouse=True)
def this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container is this Python with its packages: no test but that of the manual installs others."""
    pins = {name: version for name, version in in_container.versions().items() if name != "python"}
    monkeypatch.setattr(deploying, "environment", lambda python: Path(sys.executable))
    monkeypatch.setattr(deploying, "PINS", {OWN: pins})


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "placed"])
def test_the_packed_model_predicts_the_validation_rows_as_the_run_did(run: Run, variant: str, tmp_path: Path) -> None:
    done = deploy(run.path, tmp_path / "model", Quiet(), variant, OWN)
    facts = json.loads((done.folder / "verified.json").read_text())
    assert facts == done.facts
    assert facts["rows"] > 2000
    assert facts["equal to the bit"] == 1 or variant in ("map", "net")
    assert facts["largest difference"] < 1e-4
    assert sorted(path.name for path in done.folder.iterdir()) == [
        "card.md",
        "predict.pkl",
        "predict.py",
        "requirements.txt",
        "verified.json",
    ]
    content = (done.folder / "predict.pkl").read_bytes()
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    for trace in (str(run.path.parent), str(tmp_path), str(Path.home()), str(Path(sys.prefix)), "numerai_lab"):
        assert trace.encode() not in content
    assert imports_of(done.folder / "predict.pkl").beyond == ()
    named = dict(line.split("==") for line in (done.folder / "requirements.txt").read_text().splitlines())
    assert named.items() <= facts["versions"].items()
    assert [*named] == ["numpy", "pandas", "scipy", "cloudpickle"]


def test_the_card_says_what_the_model_is_and_that_its_data_is_synthetic(run: Run, tmp_path: Path) -> None:
    text = (deploy(run.path, tmp_path / "model", Quiet(), "neutral", OWN).folder / "card.md").read_text()
    assert "the ensemble of baseline, factors; 0.5 of its fit on `small` is taken out" in text
    assert "The data is synthetic" in text
    assert "gives Numerai the model" in text


def test_a_refit_is_deployed_and_verified_on_the_newest_era_as_if_it_were_live(run: Run, tmp_path: Path) -> None:
    done = deploy(run.path, tmp_path / "model", Quiet(), "raw+pca", OWN, refit=True)
    assert done.facts["eras"] == 1
    assert done.facts["equal to the bit"] == 1
    assert done.facts["refit"].startswith("eras ")
    assert "NEVER SCORED" in (done.folder / "card.md").read_text()
    assert any(remark.startswith("REFIT") for remark in done.remarks)


def test_packed_again_in_another_process_it_is_the_same_to_the_byte(run: Run, tmp_path: Path) -> None:
    model = artefact(run, "blend").model()
    for name in ("one.pkl", "two.pkl"):  # each process has a hash seed of its own
        pack(Path(sys.executable), predict_source(), model, tmp_path / name)
    assert (tmp_path / "one.pkl").read_bytes() == (tmp_path / "two.pkl").read_bytes()
    operations = {operation.name for operation, _, _ in pickletools.genops((tmp_path / "one.pkl").read_bytes())}
    assert "BYTEARRAY8" not in operations  # fickling, which Numerai's images scan with, fails on it


def leaf(model: dict[str, Any]) -> None:
    """Changes the leaf of the last tree that is nearest to 0: many rows reach it."""
    trees = model["models"][0]
    leaves = np.flatnonzero(trees["left"] == np.arange(len(trees["left"])))
    leaves = leaves[leaves >= trees["root"][-1]]
    trees["value"] = trees["value"].copy()
    trees["value"][leaves[np.abs(trees["value"][leaves]).argmin()]] += np.float32(0.001)


def features(model: dict[str, Any]) -> None:
    names = model["stores"][0]["names"]
    names[0], names[1] = names[1], names[0]


def mean(model: dict[str, Any]) -> None:
    pca = model["generators"][0]
    pca["mean"] = pca["mean"].copy()
    pca["mean"][0] += 0.01


def proportion(model: dict[str, Any]) -> None:
    for node in model["seeds"]:
        node["neutralize"]["proportion"] = 0.49


def start(model: dict[str, Any]) -> None:
    model["models"][0]["start"] = 0.49


HARMS = {"baseline": (leaf, features, start), "raw+pca": (leaf, mean), "neutral": (proportion,)}


@pytest.mark.parametrize(("variant", "harm"), [(name, harm) for name, harms in HARMS.items() for harm in harms])
def test_damage_is_seen_and_nothing_is_written(
    run: Run, variant: str, harm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Artefact.model

    def harmed(own: Artefact) -> dict[str, Any]:
        model = whole(own)
        harm(model)
        return model

    monkeypatch.setattr(Artefact, "model", harmed)
    with pytest.raises(NlabFailure, match="not what the run trained"):
        deploy(run.path, tmp_path / "model", Quiet(), variant, OWN)
    assert [*tmp_path.iterdir()] == []


def test_other_packages_than_the_container_has_are_seen(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "PINS", {OWN: {**deploying.PINS[OWN], "numpy": "1.0"}})
    with pytest.raises(NlabFailure, match="other packages than the container"):
        deploy(run.path, tmp_path / "model", Quiet(), "factors", OWN)


def test_what_cannot_be_deployed_is_refused_in_a_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NlabError, match=r"^generators.placed: umap with mode: placed .* take mode: parametric$"):
        deploy(run.path, tmp_path / "model", Quiet(), "placed", OWN)
    with pytest.raises(NlabError, match="no variant 'neutrl'; did you mean 'neutral'"):
        deploy(run.path, tmp_path / "model", Quiet(), "neutrl", OWN)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(NlabError, match="is there already; name a new folder"):
        deploy(run.path, tmp_path / "there", Quiet(), "baseline", OWN)
    with pytest.raises(NlabError, match="is inside the input"):
        deploy(run.path, run.path / "models" / "model", Quiet(), "baseline", OWN)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


CHECKOUT = """
import argparse, pandas as pd, numerapi, requests
parser = argparse.ArgumentParser()
for name in ("model", "dataset", "output_dir"):
    parser.add_argument("--" + name)
own = parser.parse_args()
rows = pd.read_parquet(own.dataset)
model = pd.read_pickle(own.model)
parts = [model(part) for _, part in rows.groupby("era")]
if {refuses}:
    raise SystemExit("ERROR: Pickle function is invalid")
(pd.concat(parts) * {factor}).to_csv(own.output_dir + "/live_predictions-1.csv")
"""
"""What numerai-predict does with these parameters."""


def test_a_checkout_of_numerai_predict_has_its_say(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path / "numerai-predict"
    monkeypatch.setenv("NLAB_NUMERAI_PREDICT", str(checkout))
    with pytest.raises(NlabError, match=r"predict\.py is not there; name a checkout"):
        deploy(run.path, tmp_path / "model", Quiet(), "factors", OWN)
    checkout.mkdir()
    script = checkout / "predict.py"
    for refuses, factor, message in ((True, 1, "refuses the model: ERROR: Pickle"), (False, 0.9, "gets other predictions")):
        script.write_text(CHECKOUT.format(refuses=refuses, factor=factor))
        with pytest.raises(NlabFailure, match=message):
            deploy(run.path, tmp_path / "model", Quiet(), "factors", OWN)
    script.write_text(CHECKOUT.format(refuses=False, factor=1))
    facts = deploy(run.path, tmp_path / "model", Quiet(), "factors", OWN).facts
    assert facts["numerai-predict"] == f"{facts['rows']} rows, the same predictions"
