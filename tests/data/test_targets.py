"""Targets: the one that was asked for or none, a horizon that the name bears out, and never among the features."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load, outline
from numerai_lab.data.targets import horizon_in

OWN = pl.Series([0.0, 0.5, 1.0] * 2, dtype=pl.Float32)
OTHER = pl.Series([0.25, 1.0, 0.0] * 2, dtype=pl.Float32)


def read(folder: Path, columns: dict[str, Any], **parameters: Any) -> Loaded:
    fixed = {"id": list("abcdef"), "era": ["1"] * 3 + ["2"] * 3, "feature_x": pl.Series([0, 1, 2, 3, 4, 0], dtype=pl.Int8)}
    pl.DataFrame({**fixed, **columns}).write_parquet(folder / "train.parquet")
    return load(Files(path=str(folder), **parameters))


def refusal(folder: Path, columns: dict[str, Any], **parameters: Any) -> str:
    with pytest.raises(NlabError) as caught:
        read(folder, columns, **parameters)
    return str(caught.value)


def test_no_target_is_taken_in_the_stead_of_the_one_that_was_asked_for(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"target_b": OWN}).endswith("has no column 'target'; its only target is 'target_b'")
    several = {"target_b": OWN, "target_c_20": OTHER}
    assert refusal(tmp_path, several, target="target_c_60").endswith(
        "has no column 'target_c_60'; did you mean 'target_c_20'? its targets are target_b, target_c_20"
    )
    with pytest.raises(NlabError, match="its only target is 'target_b'"):
        read(tmp_path, {"target_b": OWN}, target="target_b") and outline(Files(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("target_ender_20", 20),
        ("target_ender_60", 60),
        ("target_factor_neutral_20d", 20),
        ("target_10d", 10),
        ("target_mine_2", None),
        ("target_v4", None),
        ("target_5", None),
        ("target_2020", None),
        ("target_0d", None),
        ("target", None),
    ],
)
def test_a_name_tells_a_horizon_only_as_the_tournament_writes_it(name: str, days: int | None) -> None:
    assert horizon_in(name) == days


def test_a_numbered_target_has_the_horizon_that_the_config_says(tmp_path: Path) -> None:
    assert read(tmp_path, {"target_mine_2": OWN}, target="target_mine_2").horizon_days is None
    assert read(tmp_path, {"target_mine_2": OWN}, target="target_mine_2", horizon_days=60).horizon_days == 60


def test_a_horizon_shorter_than_the_name_says_is_refused_and_a_longer_one_noted(tmp_path: Path) -> None:
    columns = {"target": OTHER, "target_x_60": OTHER, "target_y_20": OWN}
    for target in ("target_x_60", "target"):
        message = refusal(tmp_path, columns, target=target, horizon_days=20)
        assert message.startswith("data.horizon_days: 20, but 'target_x_60' looks 60 days ahead by its name")
    longer = read(tmp_path, columns, target="target_y_20", horizon_days=60)
    assert longer.horizon_days == 60
    assert "the horizon is 60 days, as data.horizon_days says; the name target_y_20 says 20" in longer.notes
    assert read(tmp_path, columns, target="target_y_20", horizon_days=20).notes == ()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("target_x_60", "a target"),
        ("label", "a target"),
        ("further", "a target"),
        ("numerai_meta_model", "the meta model"),
        ("v53_lgbm_ender20", "a benchmark model"),
        ("own_benchmark", "a column of validation_benchmark_models.parquet"),
        ("id", "the id"),
        ("era", "the era"),
        ("data_type", "the data_type"),
    ],
)
def test_a_feature_set_never_holds_what_is_no_feature(tmp_path: Path, name: str, what: str) -> None:
    columns: dict[str, Any] = {"label": OWN, "further": OTHER, "target_x_60": OTHER, "data_type": ["train"] * 6}
    columns |= dict.fromkeys(("numerai_meta_model", "v53_lgbm_ender20", "own_benchmark"), OTHER)
    extra = pl.DataFrame({"id": ["a"], "era": ["1"], "own_benchmark": [0.5]})
    extra.write_parquet(tmp_path / "validation_benchmark_models.parquet")
    sets = {"feature_sets": {"small": ["feature_x", name], "clean": ["feature_x"]}}
    (tmp_path / "features.json").write_text(json.dumps(sets), encoding="utf-8")
    wanted = {"target": "label", "auxiliary_targets": ["further"], "horizon_days": 20}
    message = refusal(tmp_path, columns, feature_set="small", **wanted)
    assert f"feature set 'small' holds {name!r}, which is {what} and no feature; take it out of features.json" in message
    assert read(tmp_path, columns, feature_set="clean", **wanted).panel.raw_names == ("feature_x",)
    with pytest.raises(NlabError, match="and no feature"):
        load(Files(path=str(tmp_path), feature_set="clean", **wanted), ["small"])


@pytest.mark.parametrize("prefix", ["", "t", "feature_"])
def test_a_prefix_that_takes_a_target_for_a_feature_is_refused(tmp_path: Path, prefix: str) -> None:
    columns = {"target_x_20": OWN, "feature_label": OTHER}
    message = refusal(tmp_path, columns, feature_prefix=prefix, target="feature_label" if prefix == "feature_" else "target_x_20")
    assert f"data.feature_prefix {prefix!r} finds it" in message
