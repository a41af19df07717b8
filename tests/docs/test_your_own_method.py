"""The worked example of `your-own-method`, from the file to the controls, as a newcomer would type it."""

import shlex
from pathlib import Path

import polars as pl
import pytest

from tests.docs.markdown import ROOT, blocks
from tests.forks import nlab
from tests.own_methods import SMALL_CONTROL

PAGE = ROOT / "numerai_lab/docs/your-own-method.md"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the page's file and config, and a small control in place of the shipped ones."""
    (tmp_path / "my_methods.py").write_text(blocks(PAGE, "python")[0].text)
    (tmp_path / "my.yaml").write_text(blocks(PAGE, "yaml")[0].text)
    (tmp_path / "controls").mkdir()
    (tmp_path / "controls" / "null.yaml").write_text(SMALL_CONTROL)
    return tmp_path


def test_its_commands_go_from_the_file_to_the_controls(place: Path) -> None:
    lines = [line for block in blocks(PAGE, "bash") for line in block.text.splitlines()]
    assert [shlex.split(line)[1] for line in lines] == ["check-plugin", "run", "show", "controls"]
    for line in lines:
        small = ["--configs", "controls", "--seed", "11"] if "controls" in line else []
        done = nlab(*shlex.split(line)[1:], *small, cwd=place)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    (run,) = [path for path in (place / "runs").iterdir() if path.name.endswith("_mine")]
    scores = pl.read_csv(run / "scores.csv").filter(pl.col("split") == "val")
    assert scores["variant"].to_list() == ["baseline", "near_only", "raw+near", "raw+placebo", "shaken", "duplicate"]
    compared = scores.filter(pl.col("variant").is_in(["raw+near", "shaken"]))["delta_placebo_corr_mean"]
    assert compared.null_count() == 0
    assert "neighbourhood" in nlab("list", "generators", "--plugin", "my_methods.py", cwd=place).stdout
