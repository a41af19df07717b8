"""The page of what is proven says what the results say, and nothing else."""

import json
from pathlib import Path

import pytest

from numerai_lab.docs.what_works import CONFIGS, sections

CHANGE = {"value": 0.0213, "low": 0.015, "high": 0.028}
NOTHING = {"value": 0.0003, "low": -0.002, "high": 0.0026}


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    row = {"world": "clusters", "variant": "raw+umap", "kinds": ["umap"], "result": "found", "share_of_truth": 0.31, **CHANGE}
    missed = {**row, "variant": "raw+pca", "kinds": ["pca"], "result": "missed", **NOTHING}
    false = {**row, "world": "null", "result": "gain"}
    reported = {**row, "variant": "raw+scarf", "result": ""}
    _write(tmp_path / "controls.json", {"seeds": [11, 12], "rows": [row, missed, false, reported]})
    loss = {"method": "inverse", "kind": "umap_inverse", "verdict": "worse", "value": -0.02, "low": -0.03, "high": -0.01}
    unsure = {"method": "rare", "kind": "rare", "verdict": "too few eras", "value": None, "low": None, "high": None}
    equal = {"method": "umap", "kind": "umap", "verdict": "undecided", **NOTHING}
    _write(tmp_path / "methods.json", {"data": ["SYNTHETIC data"], "worlds": [11, 12], "methods": [equal, loss, unsure]})
    _write(tmp_path / "methods_csi500.json", {"data": ["51 eras"], "methods": []})
    (tmp_path / "README.md").write_text(
        "| [planes](planes.yaml) | nyuton: columns add a little | Numerai forum | a | 1 s |\n"
        "| [alone](alone.yaml) | katsu1110: another claim | Numerai forum | a | 1 s |\n"
        "| [quick](quick.yaml) | none | this project | everything | 1 s |\n",
        encoding="utf-8",
    )
    (tmp_path / "planes.yaml").write_text("generators: {u: {kind: umap}, n: {kind: random_columns}}", encoding="utf-8")
    (tmp_path / "alone.yaml").write_text("augmenters: {s: {kind: sample}}", encoding="utf-8")
    return tmp_path


def test_what_was_found_is_proven_and_what_was_missed_is_not(configs: Path) -> None:
    made = sections(configs)
    assert made["proven"] == (
        "- In `clusters`, `raw+umap` changes corr by +.0213 (+.0150 … +.0280). "
        "That is 31% of what the truth has more of than raw features."
    )
    assert [line.split("`")[1::2][:2] for line in made["not proven"].splitlines()] == [
        ["clusters", "raw+pca"],
        ["null", "raw+umap"],
    ]


def test_the_default_world_says_which_gains_are_excluded(configs: Path) -> None:
    assert sections(configs)["default world"].splitlines() == [
        "- SYNTHETIC data",
        "- the mean over world seeds 11, 12",
        "- Better than raw features and than the placebos: none.",
        "- Worse than raw features: `inverse` -.0200 (-.0300 … -.0100).",
        "- `umap`: +.0003 (-.0020 … +.0026). A gain above +.0026 is excluded.",
    ]


def test_claims_of_others_stand_beside_what_was_measured(configs: Path) -> None:
    assert sections(configs)["claims"].splitlines() == [
        "- `planes`, nyuton: columns add a little.",
        "    - In its control: `raw+umap` found in `clusters`.",
        "    - Default world: `umap` +.0003 (-.0020 … +.0026).",
        "- `alone`, katsu1110: another claim.",
        "    - Not measured.",
    ]


def test_sections_without_results_are_left_as_they_are(configs: Path) -> None:
    (configs / "methods_csi500.json").unlink()
    assert set(sections(configs)) == {"proven", "not proven", "default world"}
    (configs / "controls.json").unlink()
    assert set(sections(configs)) == {"default world"}


def test_without_all_methods_the_default_world_is_that_of_the_controls(configs: Path) -> None:
    (configs / "methods.json").unlink()
    controls = json.loads((configs / "controls.json").read_text(encoding="utf-8"))
    controls["rows"].append({**controls["rows"][1], "world": "default", "result": "no gain"})
    _write(configs / "controls.json", controls)
    assert sections(configs)["default world"].splitlines() == [
        "- SYNTHETIC data, world seeds 11, 12, from `configs/controls.md`",
        "- Better than raw features and than the placebos: none.",
        "- Worse than raw features: none.",
        "- `raw+pca`: +.0003 (-.0020 … +.0026). A gain above +.0026 is excluded.",
    ]


def test_the_claims_of_the_shipped_configs_are_read() -> None:
    from numerai_lab.docs.what_works import CLAIM

    rows = [CLAIM.match(line) for line in (CONFIGS / "README.md").read_text(encoding="utf-8").splitlines()]
    assert {"umap_medium", "gmm_targets", "dream", "legacy_cutout"} <= {row["config"] for row in rows if row}
    assert "numerai_2018" not in {row["config"] for row in rows if row}


def _write(path: Path, results: dict[str, object]) -> None:
    path.write_text(json.dumps(results), encoding="utf-8")
