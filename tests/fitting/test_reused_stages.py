"""Files change between two runs of a config: what is reused gives the very bytes of a run on an empty cache."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.schema import Config
from numerai_lab.experiment import RunOptions, _cache
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.variants import fit_generators, resolved_config, train_and_predict
from numerai_lab.storage import checksums
from numerai_lab.storage.scratch import scratch
from tests.conftest import Quiet, make_config, quick

TARGET, OTHER, LATER = "target_x_20", "target_y_20", "target_z_60"
FEATURES = [f"feature_{i}" for i in range(8)]
SETS = {"small": FEATURES[:6], "all": FEATURES, "charisma": FEATURES[:3], "wisdom": FEATURES[3:6]}
N_ROWS, N_TRAIN, N_ERAS = 10, 24, 34
LEARNED = {**quick("supervised_autoencoder"), "max_steps": 2, "evaluate_every": 1}
GENERATORS = {
    "everything": {**quick("pca"), "fit_on": "all"},
    "groups": {"kind": "group_stats"},
    "chosen": {**quick("pca"), "n_components": 2, "select": {"by": "variance", "top_k": 4}},
    "learned": {**LEARNED, "scheme": "cross_fit"},
    "early": {**LEARNED, "scheme": "early", "emit": "latent", "share": 0.5},
}
AUGMENTERS = {"cut": quick("cutout"), "drawn": quick("copula"), "kept": {**quick("swap_noise"), "materialize": True}}
PLAIN = {"fit everything", "fit groups"}
"""Fits that see no target."""


@dataclass(frozen=True)
class Outcome:
    """made: labels of the fits and models that were not reused. values: predictions as bytes. new_stores: some were made."""

    made: set[str]
    values: bytes
    new_stores: bool


def rows(n_eras: int = N_ERAS) -> pl.DataFrame:
    """A world of `n_eras` eras; a longer one begins with the rows of a shorter one."""
    rng, n = np.random.default_rng(0), 40 * N_ROWS
    features = rng.integers(0, 5, (n, len(FEATURES))).astype(np.int8)
    noise = rng.normal(size=(n, 3)) * 3
    era = np.arange(n) // N_ROWS
    table = pl.DataFrame({
        "id": [f"n{i:05d}" for i in range(n)],
        "era": [f"{each + 1:04d}" for each in era],
        "data_type": ["train" if each < N_TRAIN else "validation" for each in era],
        **{name: features[:, i] for i, name in enumerate(FEATURES)},
        **{
            name: (np.clip(np.round((features[:, 0] - features[:, 1] + noise[:, i]) / 3 + 2), 0, 4) / 4).astype(np.float32)
            for i, name in enumerate((TARGET, OTHER, LATER))
        },
    })  # fmt: skip
    return table.head(n_eras * N_ROWS)


def write(folder: Path, table: pl.DataFrame, sets: dict[str, list[str]] | None = None, meta_model: int | None = 0) -> None:
    folder.mkdir(exist_ok=True)
    for kind in ("train", "validation"):
        table.filter(pl.col("data_type") == kind).write_parquet(folder / f"{kind}.parquet", compression="uncompressed")
    (folder / "features.json").write_text(json.dumps({"feature_sets": sets or SETS}))
    (folder / "meta_model.parquet").unlink(missing_ok=True)
    if meta_model is not None:
        values = np.random.default_rng(meta_model).uniform(size=len(table)).astype(np.float32)
        table.select("id", "era", pl.Series("numerai_meta_model", values)).write_parquet(folder / "meta_model.parquet")


def corrected(column: str, row: int) -> pl.DataFrame:
    """The rows with one target corrected."""
    other = pl.when(pl.col(column) == 1).then(0.0).otherwise(1.0).cast(pl.Float32)
    return rows().with_columns(pl.when(pl.int_range(pl.len()) == row).then(other).otherwise(pl.col(column)).alias(column))


def config_of(folder: Path, **data: Any) -> Config:
    source = {"source": "files", "path": str(folder), "target": TARGET, "feature_set": "small", "days_per_era": 20}
    return make_config(
        data={**source, "auxiliary_targets": [OTHER], **data},
        generators=GENERATORS,
        augmenters=AUGMENTERS,
        variants={
            "baseline": {},
            **{name: {"features": ["raw", name]} for name in GENERATORS},
            **{name: {"augment": [name]} for name in AUGMENTERS},
        },
    )


def outcome(config: Config, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Predictions of all variants, computed with this cache folder."""
    monkeypatch.setenv("NLAB_CACHE", str(cache))
    loaded, splits = load_sealed(config)
    with scratch() as space, _cache(space, RunOptions()) as stages:
        final = resolved_config(config, loaded.panel, FitPlan.of(config, splits))
        context = RunContext(
            final, loaded.panel, FitPlan.of(final, splits), space, Quiet(), lambda *_: None, stages, loaded.content
        )
        values = train_and_predict(context, fit_generators(context)).values.tobytes()
        made = set(stages.costs) - {hit["stage"] for hit in stages.hits}
    names = {label.split("@")[0] for label in made if label.startswith(("fit", "train"))}
    return Outcome(names, values, loaded.new_stores)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "data", rows())
    return tmp_path / "data"


@pytest.fixture(scope="module")
def first_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of the rows as they are leaves."""
    path = tmp_path_factory.mktemp("first")
    write(path / "data", rows())
    with pytest.MonkeyPatch.context() as monkeypatch:
        first = outcome(config_of(path / "data"), path / "cache", monkeypatch)
    assert (first.made, first.new_stores) == (EVERY, True)
    return path / "cache"


@pytest.fixture
def after(tmp_path: Path, folder: Path, first_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Runs again after a first run, and compares with a run on an empty cache."""
    shutil.copytree(first_cache, tmp_path / "cache")

    def run_again(**data: Any) -> Outcome:
        path = data.pop("path", folder)
        found = outcome(config_of(path, **data), tmp_path / "cache", monkeypatch)
        again = outcome(config_of(path, **data), tmp_path / f"empty-{os.urandom(4).hex()}", monkeypatch)
        assert found.values == again.values
        return found

    return run_again


EVERY = {f"fit {name}" for name in (*GENERATORS, "drawn")} | {f"train {name}" for name in ("baseline", *GENERATORS, *AUGMENTERS)}
LABELLED = {"fit learned", "fit early", "train learned", "train early"}


def test_validation_that_grows_and_shrinks_again_refits_what_sees_it_and_then_nothing(
    folder: Path, after: Callable[..., Outcome]
) -> None:
    write(folder, rows(N_ERAS + 1))
    assert after().made == {"fit everything", "train everything"}
    write(folder, rows())
    back = after()
    assert (back.made, back.new_stores) == (set(), False)


@pytest.mark.slow
def test_a_corrected_target_refits_what_sees_it_and_nothing_else(folder: Path, after: Callable[..., Outcome]) -> None:
    write(folder, corrected(TARGET, row=3))
    assert after().made == EVERY - PLAIN
    write(folder, corrected(TARGET, row=(N_TRAIN + 1) * N_ROWS))
    assert after().made == set()
    write(folder, corrected(OTHER, row=3))
    assert after().made == LABELLED


def test_other_auxiliary_targets_refit_what_learns_them(after: Callable[..., Outcome]) -> None:
    assert after(auxiliary_targets=[OTHER, LATER]).made == LABELLED
    assert after(auxiliary_targets=[LATER, OTHER]).made == LABELLED
    assert after(auxiliary_targets=[]).made == LABELLED


def test_feature_sets_refit_only_what_reads_them(folder: Path, after: Callable[..., Outcome]) -> None:
    names = dict(reversed(list(SETS.items())))
    write(folder, rows(), {name: members if name == "small" else members[::-1] for name, members in names.items()})
    assert after().made == set()
    write(folder, rows(), {**SETS, "wisdom": FEATURES[2:6]})
    assert after().made == {"fit groups", "train groups"}
    write(folder, rows(), {**SETS, "mine": SETS["small"]})
    renamed = after(feature_set="mine")
    assert (renamed.made - {"fit groups", "train groups"}, renamed.new_stores) == (set(), False)


def test_a_meta_model_that_comes_changes_and_goes_refits_nothing(folder: Path, after: Callable[..., Outcome]) -> None:
    for seed in (1, None, 0):
        write(folder, rows(), meta_model=seed)
        assert after().made == set()


def test_links_lead_to_the_same_content_and_a_change_behind_them_is_seen(
    tmp_path: Path, folder: Path, after: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = checksums.time.time
    monkeypatch.setattr(checksums.time, "time", lambda: now() + 10)
    monkeypatch.setattr(checksums, "SMALL", 0)
    (tmp_path / "soft").symlink_to(folder)
    (tmp_path / "hard").mkdir()
    for path in folder.iterdir():
        os.link(path, tmp_path / "hard" / path.name)
    for linked in (tmp_path / "soft", tmp_path / "hard"):
        found = after(path=linked)
        assert (found.made, found.new_stores) == (set(), False)
    write(tmp_path / "other", corrected(TARGET, row=3))
    train, stat = folder / "train.parquet", (folder / "train.parquet").stat()
    with train.open("r+b") as file:
        file.truncate(file.write((tmp_path / "other" / "train.parquet").read_bytes()))
    os.utime(train, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (train.stat().st_size, train.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert after(path=tmp_path / "hard").made == EVERY - PLAIN


def test_the_same_rows_written_otherwise_are_the_same_stages(folder: Path, after: Callable[..., Outcome]) -> None:
    write(folder, rows().with_columns(pl.col(FEATURES).cast(pl.Float32) / 4).sample(fraction=1, shuffle=True, seed=1))
    found = after()
    assert (found.made, found.new_stores) == (set(), True)
