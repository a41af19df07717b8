"""What `make same-predictions` calls the same is the same to the byte, and it looks at every kind of component."""

import json
from pathlib import Path

import polars as pl
import pytest
import yaml

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.target_transforms import TARGET_TRANSFORMS
from tests.bench.same_predictions import AT_MOST, MODEL, ROOT, BadSetup, Side, configs, differences, verdict_of

TABLE = pl.DataFrame({"id": ["a", "b", None], "x": [0.5, float("nan"), -0.0], "n": [1, 2, 3]})
SYNTHETIC = "data: {source: synthetic}\nmodel: {kind: ridge}\n"


def side(label: str, space: Path) -> Side:
    return Side(label, "c0ffee", ROOT, space, space / "kept")


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (TABLE, []),
        (TABLE.with_columns(x=pl.Series([0.5000000000000001, float("nan"), -0.0])), ["x in 1 of 3 rows, by up to 1.11e-16"]),
        (TABLE.with_columns(x=pl.Series([0.5, float("nan"), 0.0])), ["x in 1 of 3 rows, by up to 0"]),
        (TABLE.with_columns(x=pl.Series([0.5, None, -0.0])), ["x in 1 of 3 rows, nan → None"]),
        (TABLE.with_columns(n=pl.Series([1, 2, 3], dtype=pl.Int32)), ["n is Int32, was Int64"]),
        (TABLE.with_columns(id=pl.Series(["a", "c", "d"])), ["id in 2 of 3 rows, b → c"]),
        (TABLE.drop("n").with_columns(m=1), ["no column n any more", "new column m"]),
        (TABLE.select("x", "id", "n"), ["columns in another order"]),
        (TABLE.head(2), ["2 rows, were 3"]),
    ],
)  # fmt: skip
def test_every_byte_counts(now: pl.DataFrame, says: list[str]) -> None:
    assert list(differences(TABLE, now)) == says


def test_a_column_that_differs_or_a_run_that_fails_counts_and_a_file_that_is_missing_does_not(tmp_path: Path) -> None:
    class Fake(Side):
        def _run(self, config: str, text: str) -> Path:
            folder = self.space / self.label
            folder.mkdir(exist_ok=True)
            TABLE.with_columns(x=pl.lit(1.0 if self.label == "now" else 0.5)).write_parquet(folder / "predictions.parquet")
            TABLE.write_csv(folder / "scores.csv")
            return folder

    before, now = (Fake(label, None, ROOT, tmp_path, None) for label in ("before", "now"))
    assert verdict_of("a", [(before, SYNTHETIC), (now, SYNTHETIC)]) == (
        "differs: predictions.parquet: x in 3 of 3 rows, by up to 0.5",
        True,
    )
    files = "data: {source: files, path: of_my_own.csv}\nmodel: {kind: ridge}\n"
    assert verdict_of("a", [(before, files), (now, files)]) == ("skipped: needs of_my_own.csv", False)
    assert verdict_of("a", [(before, None), (now, SYNTHETIC)]) == ("new", False)
    assert verdict_of("a", [(before, SYNTHETIC), (now, None)]) == ("not there any more", True)
    broken = side("now", tmp_path)
    verdict, differs = verdict_of("a", [(broken, SYNTHETIC.replace("ridge", "rigde")), (now, SYNTHETIC)])
    assert differs
    assert verdict.startswith("could not run: now: no kind 'rigde'")


def test_a_parameter_that_no_component_has_is_no_quiet_no_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AT_MOST, "max_stpes", 3)
    with pytest.raises(BadSetup, match="no component has a parameter max_stpes"):
        list(side("now", tmp_path).settings(yaml.safe_load(SYNTHETIC)))


def test_settings_make_every_config_small(tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "configs/dream.yaml").read_text())
    settings = set(side("now", tmp_path).settings(config))
    assert {"seeds=[7]", "data.size=tiny", "model.n_estimators=40", "augmenters.dream_5.max_steps=20"} < settings
    assert not any(context.startswith("augmenters.again_5") for context in settings)


def test_parameters_are_those_of_the_class_that_a_component_is(tmp_path: Path) -> None:
    now = side("now", tmp_path)
    assert "steps" in now._parameters({"kind": "umap", "mode": "parametric"})
    assert "steps" not in now._parameters({"kind": "umap", "mode": "exact"})
    assert "temperature" in now._parameters({"kind": "contrastive"})
    assert "subsets" not in now._parameters({"kind": "contrastive"})
    assert "subsets" in now._parameters({"kind": "contrastive", "method": "subtab"})


def test_results_of_a_commit_are_kept_apart_by_what_decides_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = side("now", tmp_path)._kept("configs/a.yaml", SYNTHETIC)
    assert kept == side("before", tmp_path)._kept("configs/a.yaml", SYNTHETIC)
    assert kept != side("now", tmp_path)._kept("configs/a.yaml", SYNTHETIC + "seeds: [1]")
    monkeypatch.setitem(MODEL, "n_estimators", 41)
    assert kept != side("now", tmp_path)._kept("configs/a.yaml", SYNTHETIC)


def test_every_kind_of_component_is_in_some_config() -> None:
    used = json.dumps([yaml.safe_load(text) for text in configs(ROOT).values()])
    kinds = (*GENERATORS, *AUGMENTERS, *MODELS, *TARGET_TRANSFORMS)
    assert [kind for kind in kinds if f'"kind": "{kind}"' not in used] == []
