"""A holdout is read by no command but `nlab unseal`: poison in it changes no byte of what they say."""

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import numerai_lab
from numerai_lab.config.schema import Config
from numerai_lab.core.panel import Panel
from numerai_lab.data.synthetic_files import write_tournament
from numerai_lab.data.world import World
from numerai_lab.data.world_size import SIZES
from numerai_lab.experiment import run
from numerai_lab.fitting.plan import plan
from numerai_lab.metrics.scoring import per_era
from numerai_lab.runs.layout import PORTABLE
from numerai_lab.runs.reading import Run
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.studies import rescore
from numerai_lab.studies.audit import audit
from numerai_lab.studies.export import export_run
from numerai_lab.studies.inspection import inspected
from numerai_lab.studies.rescore import score_predictions
from numerai_lab.studies.sweep import SweepSpec, grid
from tests.conftest import Quiet, make_config, quick
from tests.studies.cheats import Overreaching, OverreachingForTargets

SPLITS = {"train": "1-30", "holdout": 16}
"""Of 96 eras with a target: val1 39-51, val2 60-72, 8 eras of embargo, and a holdout of eras 81 to 96."""
FIRST, AFTER_VAL2 = 81, 73
Poison = Callable[[pl.DataFrame], pl.DataFrame]


def poison_targets(table: pl.DataFrame) -> pl.DataFrame:
    return later_changed(table, "target", FIRST, lambda column: 1 - column)


def poison_features(table: pl.DataFrame) -> pl.DataFrame:
    # Not mirrored: bins are equally full in every era, and no mean or covariance would change.
    return later_changed(table, "feature", AFTER_VAL2, lambda column: (column * column % 5).cast(pl.Int8))


def later_changed(table: pl.DataFrame, prefix: str, first: int, change: Callable[[pl.Expr], pl.Expr]) -> pl.DataFrame:
    later = pl.col("era").cast(pl.Int32) >= first
    names = [name for name in table.columns if name.startswith(prefix)]
    return table.with_columns(pl.when(later).then(change(pl.col(name))).otherwise(pl.col(name)).alias(name) for name in names)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny tournament as files."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir()
    write_tournament(folder, World(SIZES["tiny"], 0))
    return folder


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(clean, tmp_path / "tiny"))


def poison_both(table: pl.DataFrame) -> pl.DataFrame:
    return poison_features(poison_targets(table))


def poisoned(folder: Path, poison: Poison) -> None:
    """Changes the files, and forgets all stages: one that was computed from clean data would hide who reads the holdout."""
    shutil.rmtree(cache_dir() / STAGES, ignore_errors=True)
    path = folder / "validation.parquet"
    table = pl.read_parquet(path)
    changed = poison(table)
    assert not changed.equals(table)
    changed.write_parquet(path)


def config(folder: Path, **changes: Any) -> Config:
    base: dict[str, Any] = {
        "data": {"source": "files", "path": str(folder), "feature_set": "small"},
        "splits": SPLITS,
        "generators": {"pca": {**quick("pca"), "fit_on": "all"}, "density": quick("local_density")},
        "augmenters": {"cutout": quick("cutout"), "copula": {"kind": "copula"}},
        "cv": {"folds": 2, "embargo": {"eras": 2, "allow_leak": True}},
        "variants": {
            "baseline": {},
            "pca": {"features": ["raw", "pca"], "augment": ["cutout"]},
            "density": {"features": ["density"], "augment": ["copula"]},
        },
    }
    return make_config(**{**base, **changes})


def told(done: Run) -> dict[str, Any]:
    """What a run wrote, less what names the data, the time and the machine."""
    names = ("predictions.parquet", "per_era.parquet", "scores.csv", "config.yaml")
    files = [*(done.path / name for name in names), *(done.path / "plots").iterdir(), *(done.path / "models").iterdir()]
    manifest = json.loads((done.path / "manifest.json").read_text())
    kept = {key: manifest[key] for key in ("splits", "scoring", "holdout", "warnings", "leak")}
    kept["scored rows"] = manifest["comparable"]["scored rows"]
    page = re.sub(r"\d+ bytes", "", (done.path / "scores.md").read_text())  # the size of a file is part of the data's name
    portable = json.loads((done.path / PORTABLE).read_text())
    portable = {key: value for key, value in portable.items() if key not in ("data", "stamp")}
    return {path.name: path.read_bytes() for path in files} | kept | {"scores.md": page, Path(PORTABLE).name: portable}


@pytest.mark.parametrize("poison", [pytest.param(poison_targets, marks=pytest.mark.slow), poison_features])
def test_poison_in_the_holdout_changes_no_byte_of_a_run_or_a_look_at_it(folder: Path, tmp_path: Path, poison: Poison) -> None:
    def everything() -> dict[str, Any]:
        done = run(config(folder), tmp_path / "runs", Quiet())
        out = told(done)
        out["export"] = pl.read_parquet(export_run(done.path, "pca", tmp_path / "out.parquet", Quiet()).path).to_dicts()
        (tmp_path / "out.parquet").unlink()
        out["inspect"] = [repr(each) for each in inspected(done, Quiet())]
        shutil.rmtree(tmp_path / "runs")
        return out

    clean = everything()
    eras = pl.read_parquet(clean["per_era.parquet"])["era"]
    assert eras.max() == 72
    poisoned(folder, poison)
    dirty = everything()
    assert {name: (clean[name], dirty[name]) for name in clean if clean[name] != dirty[name]} == {}


@pytest.mark.parametrize("poison", [poison_targets, poison_features])
@pytest.mark.slow
def test_poison_in_the_holdout_changes_no_number_of_an_audit(folder: Path, poison: Poison) -> None:
    small = config(folder, augmenters={}, variants={"baseline": {}, "pca": {"features": ["raw", "pca"]}}, cv=None)
    before = audit(small, Quiet()).rows()
    poisoned(folder, poison)
    assert audit(small, Quiet()).rows() == before


def test_components_that_look_beyond_the_eras_they_are_given_reach_nothing_of_the_holdout(folder: Path, tmp_path: Path) -> None:
    names = ("features", "targets")
    careless = config(
        folder,
        generators={name: quick("pca") for name in names},
        augmenters={},
        cv=None,
        variants={"baseline": {}, **{name: {"features": [name]} for name in names}},
    )
    careless.generators["features"] = Overreaching(n_components=3)
    careless.generators["targets"] = OverreachingForTargets(n_components=3)

    def everything(place: str) -> dict[str, Any]:
        return told(run(careless, tmp_path / place, Quiet()))

    clean = everything("clean")
    assert {f"generator-{name}@0.safetensors" for name in names} <= set(clean)
    poisoned(folder, poison_both)
    dirty = everything("dirty")
    assert [name for name in clean if clean[name] != dirty[name]] == []


@pytest.mark.parametrize("poison", [poison_targets, pytest.param(poison_features, marks=pytest.mark.slow)])
def test_poison_in_the_holdout_changes_no_value_of_a_sweep(folder: Path, tmp_path: Path, poison: Poison) -> None:
    path = tmp_path / "config.yaml"
    generators = {"pca": {**quick("pca"), "fit_on": "all"}}
    variants: dict[str, Any] = {"baseline": {}, "pca": {"features": ["pca"]}}
    path.write_text(config(folder, cv=None, generators=generators, augmenters={}, variants=variants).to_yaml())

    def everything(place: str) -> tuple[list[float], list[bytes]]:
        """Values of the trials, and the scores of every run, that of the chosen trial on val2 too."""
        spec = SweepSpec(path, [], tmp_path / place)
        trials = grid(spec, ["model.alpha=1,1000"], "pca:val1.corr.mean", Quiet()).trials
        return [trial.value for trial in trials], sorted(each.read_bytes() for each in (tmp_path / place).rglob("scores.csv"))

    before = everything("clean")
    poisoned(folder, poison)
    assert everything("dirty") == before
    assert np.isfinite(before[0]).all()
    assert len(before[1]) > 0


@pytest.mark.parametrize("poison", [poison_targets, poison_features])
def test_predictions_for_the_holdout_are_counted_and_not_scored(folder: Path, tmp_path: Path, poison: Poison) -> None:
    rows = pl.read_parquet(folder / "validation.parquet").select("id", "era")
    rng = np.random.default_rng(0)
    rows.with_columns(a=rng.uniform(size=len(rows)), b=rng.uniform(size=len(rows))).write_parquet(tmp_path / "mine.parquet")

    def scored() -> tuple[Any, Any, tuple[str, ...]]:
        rescored = score_predictions(tmp_path / "mine.parquet", config(folder), Quiet())
        return rescored.eras.to_dicts(), rescored.scores.write_csv(), rescored.head[1:]

    eras, scores, head = scored()
    assert max(row["era"] for row in eras) == 72
    assert "1,280 rows of the holdout (eras 81-96 (16 eras)) are not scored; `nlab unseal` scores a run's variant there" in head
    poisoned(folder, poison)
    dirty = scored()
    assert repr(dirty[0]) == repr(eras)
    assert dirty[1:] == (scores, head)


def test_the_targets_of_the_holdout_are_hidden_from_scores_of_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.read_parquet(folder / "validation.parquet").select("id", a="feature_strength_0002").write_parquet(
        tmp_path / "mine.parquet"
    )
    seen: list[Panel] = []

    def spying(panel: Panel, *others: Any) -> pl.DataFrame:
        seen.append(panel)
        return per_era(panel, *others)

    monkeypatch.setattr(rescore, "per_era", spying)
    score_predictions(tmp_path / "mine.parquet", config(folder), Quiet())
    (panel,) = seen
    assert panel.target is not None
    for values in (panel.target, *(each.values for each in panel.auxiliary.values())):
        known = {era for era in panel.eras.tolist() if np.isfinite(values[panel.rows(era)]).any()}
        assert known == set(range(1, FIRST))


def test_a_plan_shows_the_holdout_as_sealed(folder: Path) -> None:
    found = plan(config(folder))
    assert "holdout      1,280 rows, eras 81-96 (16 eras); sealed until `nlab unseal`" in found.lines()
    assert found.as_dict()["splits"]["holdout"] == {"eras": "81-96 (16 eras)", "rows": 1280}


def test_a_run_says_that_a_holdout_is_sealed(folder: Path, tmp_path: Path) -> None:
    done = run(config(folder, cv=None, generators={}, augmenters={}, variants={"baseline": {}}), tmp_path / "runs", Quiet())
    assert done.manifest["splits"]["holdout"] == list(range(81, 97))
    for name in ("scores.md", "report.html"):
        assert "holdout eras 81-96 (16 eras) are sealed" in (done.path / name).read_text()


def test_data_are_read_through_the_seal_by_all_but_those_that_may_see_a_holdout() -> None:
    package = Path(numerai_lab.__file__).parent
    readers = set()
    for path in package.rglob("*.py"):
        imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        if any(node.module == "numerai_lab.data.reader" and "load" in [name.name for name in node.names] for node in imported):
            readers.add(path.relative_to(package).as_posix())
    # rescore hides the targets itself; methods only fills the cache; `data info` knows of no splits.
    assert readers == {"fitting/holdout.py", "studies/unseal.py", "studies/rescore.py", "studies/methods.py", "cli/data.py"}
