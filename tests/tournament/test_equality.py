"""`nlab predict` and deployed models give validation rows what predictions.parquet has, whatever a variant is made of."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from numerai_lab.config.kinds import members
from numerai_lab.data.source import Tournament
from numerai_lab.experiment import run
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.runs.layout import PREDICTIONS
from numerai_lab.runs.reading import Run
from numerai_lab.tournament.prediction import predictor_of
from tests.conftest import QUICK, Quiet, make_config, quick
from tests.tournament.deployed import refused_or_equal

ALGORITHMS = {
    name: {"kind": name.split()[0], cls.chosen_by or "kind": (name.split() * 2)[1]} for name, cls in members(GENERATORS).items()
}
"""The parameters that name each class of generators: umap and contrastive are several."""


def generator(name: str) -> dict[str, Any]:
    chosen = {key: value for key, value in ALGORITHMS[name].items() if key == "kind" or name != value}
    fields = members(GENERATORS)[name].model_fields
    return {**{key: value for key, value in QUICK.get(name.split()[0], {}).items() if key in fields}, **chosen}


def validation(source: Any, folder: Path) -> Path:
    """The validation rows of a tournament, shuffled, with a column more."""
    files: Tournament = source.files()
    rows = pl.read_parquet(files.tables[1]).filter(pl.col("data_type") == "validation").sample(fraction=1.0, shuffle=True, seed=1)
    path = folder / "validation.parquet"
    rows.with_columns(extra=pl.lit("text")).select(reversed(["extra", *rows.columns])).write_parquet(path)
    return path


def assert_equal(done: Run, path: Path) -> None:
    """The raw predictions of every variant are those of the run, bit for bit, for every row that the run predicted.

    Placebos that the run added are among the variants.
    """
    recorded = pl.read_parquet(io.BytesIO(done.content(PREDICTIONS)))
    seeds = done.manifest["seeds"]
    for variant in done.scores["variant"].unique():
        predicted = predictor_of(done, variant).predict(path, Quiet())
        panel = predicted.rows.panel
        names = [variant] if len(seeds) == 1 else [f"{variant}@{seed}" for seed in seeds]
        again = pl.DataFrame({"id": predicted.rows.ids, "era": np.repeat(panel.eras, np.diff(panel.bounds)[:, 0])})
        again = again.with_columns(pl.Series(f"new {name}", predicted.values[:, i]) for i, name in enumerate(names))
        both = recorded.select("id", "era", *names).join(again, on=["id", "era"])
        assert len(both) == len(recorded) > 0
        for name in names:
            np.testing.assert_array_equal(both[f"new {name}"].to_numpy(), both[name].to_numpy().astype(float), variant)
        assert predicted.ranks.min() > 0
        assert predicted.ranks.max() < 1


def finished(tmp: Path, **changes: Any) -> tuple[Run, Path]:
    data = {"source": "synthetic", "size": "tiny", "feature_set": "small", "auxiliary_targets": ["target_cyrusd_20"]}
    config = make_config(data=data, **changes)
    return run(config, tmp, Quiet()), validation(config.data, tmp)


NEUTRAL = {"neutralize": {"features": "fncv3_features", "proportion": 0.7}}


@pytest.mark.slow
def test_every_generator_predicts_as_in_the_run(tmp_path: Path) -> None:
    names = {name: f"g{i}" for i, name in enumerate(ALGORITHMS)}
    plain: dict[str, Any] = {of: {"features": ["raw", of]} for of in names.values()}
    of_all = {"mean": {"ensemble": [*plain]}, "mean-neutral": {"ensemble": [*plain], **NEUTRAL}}
    generators = {of: generator(name) for name, of in names.items()}
    done, path = finished(tmp_path, variants={"baseline": {}, **plain, **of_all}, generators=generators)
    assert_equal(done, path)
    kept = {names[name] for name in ALGORITHMS if name.split()[0] not in ("umap", "sklearn_transformer")} | {
        names["umap parametric"]
    }
    assert refused_or_equal(done, path) == {*plain, *of_all} - kept


def test_every_model_predicts_as_in_the_run(tmp_path: Path) -> None:
    plain: dict[str, Any] = {kind: {"features": ["raw", "pca"], "model": quick(kind)} for kind in MODELS}
    plain["two"] = {"targets": ["target", "target_cyrusd_20"], "features": ["pca"]}
    plain["begun"] = {"model": {**quick("mlp"), "start_from": "auto"}}
    neutral = {f"{name}-neutral": {**variant, **NEUTRAL} for name, variant in plain.items()}
    of_all = {"mean": {"ensemble": [*plain]}, "mean-neutral": {"ensemble": [*neutral], **NEUTRAL}}
    variants = {"baseline": {}, **plain, **neutral, **of_all}
    generators = {"pca": quick("pca"), "auto": quick("autoencoder")}
    done, path = finished(tmp_path, variants=variants, generators=generators, seeds=[2, 1])
    assert_equal(done, path)
    kept = {"xgboost", "lightgbm", "catboost", "ridge", "mlp", "tabm", "two", "begun"} & {*variants}
    assert refused_or_equal(done, path) == {*variants} - {"baseline", *kept, *(f"{name}-neutral" for name in kept)}
