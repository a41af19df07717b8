"""A refit learns from all resolved eras and nothing else, is labelled as never scored, and is made once."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numerai_tools.submissions import validate_submission_numerai
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from numerai_lab.core.errors import NlabError
from numerai_lab.experiment import run
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.tournament.live import live
from numerai_lab.tournament.prediction import predictor_of
from numerai_lab.tournament.refit import refitted
from tests.conftest import Quiet, make_config, quick
from tests.forks import start

DATA = {"source": "synthetic", "size": "tiny", "feature_set": "small"}
KINDS: dict[str, Any] = {
    "baseline": {},
    "crossed": {"features": ["raw", "crossed"]},
    "mean": {"ensemble": ["crossed", "net"], "neutralize": {"features": "medium", "proportion": 0.5}},
    "net": {"features": ["raw", "noise"], "model": quick("mlp")},
    "again": {"refit": "all"},
}


def finished(runs: Path, **changes: Any) -> Run:
    generators = {"crossed": quick("supervised_autoencoder"), "noise": quick("random_columns")}
    return run(make_config(data=DATA, generators=generators, variants=KINDS, **changes), runs, Quiet())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("runs"))


def test_a_refit_is_the_model_of_all_resolved_eras(done: Run, tmp_path: Path) -> None:
    predictor = predictor_of(done, "baseline")
    again = refitted(done, predictor, Quiet())
    folder = predictor.config.data.folder
    rows = pd.concat([pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation")])
    known = rows[rows["target"].notna()]
    names = [*predictor.facts.features]
    model = make_pipeline(StandardScaler(), Ridge(alpha=1.0)).fit(known[names].astype(float), known["target"])
    wanted = model.predict(pd.read_parquet(folder / "live.parquet")[names].astype(float))
    own, before = (p.predict(folder / "live.parquet", Quiet()).raw_table()["baseline"].to_numpy() for p in (again, predictor))
    np.testing.assert_allclose(own, wanted, atol=1e-5)
    assert np.abs(own - before).max() > 1e-3
    eras = sorted(known["era"].astype(int).unique())
    assert read_run(done.path).manifest["refits"]["baseline"]["eras"] == f"{eras[0]}-{eras[-1]}"


@pytest.mark.parametrize("variant", KINDS)
def test_every_kind_of_variant_is_trained_again_and_taken_by_numerai(done: Run, tmp_path: Path, variant: str) -> None:
    plain = live(done.path, tmp_path / "plain.csv", Quiet(), variant) if variant != "again" else None
    written = live(done.path, tmp_path / "out.csv", Quiet(), variant, refit=variant != "again")
    table = pd.read_csv(written.path)
    validate_submission_numerai(table["id"], table)
    assert written.facts["refit"] == "eras 1-96 (96 eras), never scored"
    assert f"REFIT: {variant} is trained on eras 1-96 (96 eras); this model was never scored" in " ".join(written.remarks)
    assert "never scored" in (tmp_path / "out.csv.md").read_text()
    manifest = read_run(done.path).manifest
    assert manifest["refits"][variant]["scored"] is False
    assert "never scored" in json.loads((done.path / "refits" / variant / "manifest.json").read_text())["note"]
    if plain:
        assert "refit" not in plain.facts
        assert not (tmp_path / "plain.csv.md").exists()
        assert plain.path.read_bytes() != written.path.read_bytes()


def test_a_refit_is_made_once_and_then_needs_no_data(done: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = predictor_of(done, "baseline").config.data.folder / "live.parquet"
    first = live(done.path, tmp_path / "first.csv", Quiet(), "again", rows)
    made = read_run(done.path).manifest["refits"]["again"]["made"]
    live(done.path, tmp_path / "renewed.csv", Quiet(), "again", rows, refit=True)
    assert read_run(done.path).manifest["refits"]["again"]["made"] == made
    monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "empty"))
    second = live(done.path, tmp_path / "second.csv", Quiet(), "again", rows)
    assert second.path.read_bytes() == first.path.read_bytes()
    assert not (tmp_path / "empty" / "synthetic").exists()


def test_two_processes_at_once_make_it_once(tmp_path: Path) -> None:
    again = finished(tmp_path / "runs")
    places = [tmp_path / name for name in ("first", "second")]
    for place in places:
        place.mkdir()
    words = ("live", again.path, "--variant", "net", "--refit", "--out", "out.csv")
    processes = [start(*words, said=place, cwd=place) for place in places]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0], [(place / "stderr").read_text() for place in places]
    assert len({(place / "out.csv").read_bytes() for place in places}) == 1
    assert sorted(path.name for path in (again.path / "refits").iterdir()) == ["net"]


def test_a_damaged_refit_is_made_anew(done: Run, tmp_path: Path) -> None:
    first = live(done.path, tmp_path / "first.csv", Quiet(), "again").path.read_bytes()
    (model,) = (done.path / "refits/again/models").glob("again@*")
    content = model.read_bytes()
    model.write_bytes(content[:-1] + b"x")
    assert live(done.path, tmp_path / "second.csv", Quiet(), "again").path.read_bytes() == first
    assert model.read_bytes() == content


@pytest.mark.parametrize("name", ["refits", "refits/net"])
def test_a_link_in_the_place_of_a_refit_is_not_followed(done: Run, tmp_path: Path, name: str) -> None:
    copy, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(done.path, copy)
    shutil.rmtree(copy / "refits", ignore_errors=True)
    victim.mkdir()
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).symlink_to(victim)
    with pytest.raises(NlabError, match=f"damaged run folder .{name} is a link"):
        live(copy, tmp_path / "out.csv", Quiet(), "net", refit=True)
    assert not [*victim.iterdir()]


def test_a_sealed_holdout_stays_sealed(tmp_path: Path) -> None:
    sealed = finished(tmp_path / "runs", splits={"train": "train", "holdout": 10, "embargo": {"eras": 2, "allow_leak": True}})
    live(sealed.path, tmp_path / "out.csv", Quiet(), "again")
    last = max(sealed.manifest["splits"]["val2"])
    assert read_run(sealed.path).manifest["refits"]["again"]["eras"] == f"1-{last}"


def test_other_data_is_not_learned_from(done: Run, tmp_path: Path) -> None:
    predictor = predictor_of(done, "net")
    facts = predictor.facts.model_copy(update={"features": predictor.facts.features[::-1]})
    with pytest.raises(NlabError, match="features are no longer those of the run, so it can't be trained again"):
        refitted(done, type(predictor)(**{**vars(predictor), "facts": facts}), Quiet(), renew=True)
