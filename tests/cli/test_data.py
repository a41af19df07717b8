"""`nlab data`: made, listed and looked at; bad input is one message."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.forks import nlab


def test_synth_writes_a_tournament_that_files_reads(tmp_path: Path) -> None:
    made = nlab("data", "synth", "--size", "tiny", "--seed", "4", "--out", tmp_path / "world")
    assert made.stdout.strip() == str(tmp_path / "world")
    assert pl.read_parquet(tmp_path / "world" / "train.parquet").height == 4800
    settings = ["--set", "data.source=files", "--set", f"data.path={tmp_path / 'world'}", "--set", "data.feature_set=small"]
    content = json.loads(nlab("data", "info", *settings, "--format", "json").stdout)
    assert content["features"] == "42 (int8)"
    assert len(content["by_era"]) == 100
    assert content["by_era"][0]["rows"] == 80
    assert content["by_era"][0]["absent_features"] > 0
    assert content["by_era"][99]["absent_features"] == 0
    assert content["target"] == "target_ender_20 (20 days)"
    assert "made up" in content["SYNTHETIC"]


def test_info_reads_a_configs_data_and_draws(tmp_path: Path) -> None:
    picture = tmp_path / "eras.png"
    result = nlab("data", "info", "configs/quickstart.yaml", "--set", "data.size=tiny", "--plot", picture)
    assert result.returncode == 0, result.stderr
    assert "0: 5.0%, 0.25: 20.0%, 0.5: 50.0%, 0.75: 20.0%, 1: 5.0%; missing 4.0%" in result.stdout
    assert "eras 85 to 100 (16), 16.0% of all rows" in result.stdout
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_path_and_list_tell_where_data_lies(tmp_path: Path) -> None:
    assert nlab("data", "path", NLAB_CACHE=str(tmp_path)).stdout.strip() == str(tmp_path)
    assert nlab("data", "list", NLAB_CACHE=str(tmp_path)).stdout == ""
    nlab("data", "info", "--set", "data.size=tiny", NLAB_CACHE=str(tmp_path))
    lines = nlab("data", "list", NLAB_CACHE=str(tmp_path)).stdout.splitlines()
    assert [line.split("/")[0] for line in lines] == ["synthetic", "stores", "labels"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["synth", "--size", "huge", "--out", "x"], "--size: no size 'huge'"),
        (["synth", "--out", "."], "exists already"),
        (["synth", "--layout", "v2", "--out", "x"], "--layout: no layout 'v2'"),
        (["info", "--set", "data.sise=tiny"], "data.sise: unknown key, did you mean 'size'?"),
        (["info", "absent.yaml"], "absent.yaml: can't be read"),
        (["update", "--set", "data.source=synthetic"], "only data.source=numerai can be updated"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], said: str) -> None:
    result = nlab("data", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
