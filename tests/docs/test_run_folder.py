"""The page `run-folder` describes every file, key and column of real run folders."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl
import pytest

from numerai_lab.docs.pages import source, summary
from numerai_lab.experiment import run
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.realism_measures import REALISM_MEASURES
from numerai_lab.metrics.summary import STATS
from numerai_lab.runs.layout import PORTABLE, SCHEMA
from numerai_lab.runs.reading import Run
from numerai_lab.studies.unseal import unseal
from tests.conftest import Quiet, make_config, quick

PARTS = {
    "metric": "|".join(METRICS),
    "stat": "|".join(STATS),
    "measure": "|".join(REALISM_MEASURES),
    "ending": "|_low|_high|_p|_p_adjusted|_sim_low|_sim_high|_resolution",
    "bin": r"\d",
    "seed": r"\d+",
    "era": r"\d+",
    "variant": ".+",
    "name": ".+",
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with all there is: two seeds, folds, a holdout, invented rows, placebos, an unsealed variant."""
    config = make_config(
        seeds=[1, 2],
        splits={"train": "40%", "holdout": "15%"},
        cv={"folds": 2, "embargo": {"eras": 2, "allow_leak": True}},
        generators={"pca": quick("pca"), "auto": quick("autoencoder")},
        augmenters={"copula": {"kind": "copula"}},
    )
    finished = run(config, tmp_path_factory.mktemp("runs"), Quiet())
    return unseal(finished.path, "raw+pca", Quiet()).run


def section(heading: str) -> str:
    match = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", source("run-folder"), flags=re.DOTALL | re.MULTILINE)
    assert match
    return match[1]


def described(heading: str) -> list[re.Pattern[str]]:
    """What the first cells of a section's table name, as patterns."""
    cells = [row.split(" | ")[0] for row in section(heading).splitlines() if row.startswith("| `")]
    return [pattern(name) for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def pattern(name: str) -> re.Pattern[str]:
    parts = re.split(r"<(\w+)>|(\*|…)", name)
    text = "".join(
        re.escape(plain or "") + (f"({PARTS[part]})" if part else ".*" if rest else "")
        for plain, part, rest in zip(parts[::3], [*parts[1::3], None], [*parts[2::3], None], strict=True)
    )
    return re.compile(text)


def undescribed(heading: str, names: Iterable[str]) -> list[str]:
    patterns = described(heading)
    return [name for name in names if not any(each.fullmatch(name) for each in patterns)]


def test_the_page_says_which_schema_it_describes_and_the_manifest_names_it(done: Run) -> None:
    assert summary("run-folder").startswith(f"Schema {SCHEMA}:")
    assert done.manifest["schema"] == SCHEMA


def test_every_file_is_described(done: Run) -> None:
    files = [str(path.relative_to(done.path)) for path in done.path.rglob("*") if path.is_file()]
    assert undescribed("Files", files) == []


@pytest.mark.parametrize(
    "name", ["predictions.parquet", "per_era.parquet", "scores.csv", "realism.csv", "realism_bins.parquet", "realism_curve.csv"]
)
def test_every_column_is_described_and_every_described_column_is_there(done: Run, name: str) -> None:
    path = done.path / name
    columns = (pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)).columns
    assert undescribed(name, columns) == []
    absent = {each.pattern for each in described(name) if not any(each.fullmatch(column) for column in columns)}
    assert absent <= {"date", "(.+)"}


def test_every_key_of_the_manifest_is_described_and_every_one_that_is_not_conditional_is_there(done: Run) -> None:
    keys = json.loads((done.path / "manifest.json").read_text())
    assert undescribed("manifest.json", keys) == []
    absent = {each.pattern for each in described("manifest.json") if not any(each.fullmatch(key) for key in keys)}
    assert absent == {"resumed", "chosen", "refits", "plugins"}


def test_every_key_of_the_portable_facts_is_described(done: Run) -> None:
    facts, page = json.loads((done.path / PORTABLE).read_text()), section(PORTABLE)
    assert undescribed(PORTABLE, facts) == []
    parts = [facts["data"], facts["cells"], *facts["generators"].values(), *facts["variants"].values()]
    assert {key for part in parts for key in part if f"`{key}`" not in page} == set()


@pytest.mark.parametrize("key", ["data", "scoring", "splits", "measured"])
def test_the_keys_within_are_named_beside_it(done: Run, key: str) -> None:
    row = next(row for row in section("manifest.json").splitlines() if row.startswith("|") and f"`{key}`" in row.split(" | ")[0])
    assert {name for name in done.manifest[key] if f"`{name}`" not in row} == set()


def test_looks_are_described(done: Run) -> None:
    columns = pl.read_csv(done.path / "holdout.csv").columns
    assert set(columns) - set(done.scores.columns) == {"look", "gain_retained"}
    assert all(f"`{name}`" in section("holdout.csv") for name in ("look", "gain_retained", "looks", "result", "scores"))
    (look,) = json.loads((done.path / "holdout.json").read_text())["looks"]
    assert {"result", "scores"} <= set(look)
    events = [json.loads(line)["event"] for line in (Path(done.path).parent / "ledger.jsonl").read_text().splitlines()]
    assert events == ["opened", "scored"]
    assert all(event in section("The ledger") for event in events)
