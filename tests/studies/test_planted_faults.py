"""A method that is broken misses its control, and the same method that is whole passes it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from numerai_lab.augmenters.mixture import GMMTargets
from numerai_lab.cli.controls import controls
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block
from numerai_lab.generators.autoencoder import Autoencoder
from numerai_lab.generators.linear import FactorAnalysis
from tests.studies.small_controls import configs

__all__ = ["configs"]


def outcome(folder: Path, worlds: list[str], *only: str) -> str:
    """What `nlab controls` ends with on some methods, and nothing where all that is asked holds."""
    try:
        controls(world=worlds, only=list(only), seed=[11], configs=folder, runs_dir=folder / "runs")
    except NlabFailure as failure:
        return str(failure)
    return ""


@pytest.mark.slow
def test_methods_that_are_whole_pass_their_controls(configs: Path) -> None:
    assert outcome(configs, ["clusters", "steady"]) == ""


def test_an_augmenter_that_returns_its_input_misses_its_control(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GMMTargets, "augment", lambda self, block, rng: replace(block, columns={}))
    failure = outcome(configs, ["steady"], "gmm_targets")
    assert "1 problem" in failure
    assert "steady gmm_targets: better than baseline and placebo" in failure


@pytest.mark.slow
def test_a_generator_whose_columns_are_shuffled_between_rows_misses_its_control(
    configs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FactorAnalysis.transform

    def shuffled(self: FactorAnalysis, block: Block) -> Any:
        columns = whole(self, block)
        return columns[np.random.default_rng(block.era).permutation(len(columns))]

    monkeypatch.setattr(FactorAnalysis, "transform", shuffled)
    failure = outcome(configs, ["clusters"], "factor_analysis")
    assert "1 problem" in failure
    assert "clusters raw+factor_analysis: better than placebo" in failure


@pytest.mark.slow
def test_an_encoder_that_is_never_trained_misses_its_control(configs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Autoencoder, "_train", lambda *_: None)
    failure = outcome(configs, ["clusters"], "autoencoder")
    assert "1 problem" in failure
    assert "clusters raw+autoencoder: better than placebo" in failure


FAULTS = '''
from dataclasses import replace
from typing import Literal

import numpy as np

from numerai_lab.augmenters.mixture import GMMTargets
from numerai_lab.generators.autoencoder import Autoencoder
from numerai_lab.generators.umap_parametric import UMAPParametric


class SameRows(GMMTargets):
    """Returns its input."""

    kind: Literal["same_rows"] = "same_rows"
    alpha: float = 300.0

    def augment(self, block, rng):
        return replace(block, columns={})


class Shuffled(UMAPParametric):
    """UMAP's columns of other rows."""

    kind: Literal["shuffled"] = "shuffled"
    n_components: int = 32
    landmarks: int | None = 20_000
    steps: int = 400

    def transform(self, block):
        columns = super().transform(block)
        return columns[np.random.default_rng(block.era).permutation(len(columns))]


class Unlearned(Autoencoder):
    """An encoder as it began."""

    kind: Literal["unlearned"] = "unlearned"
    n_components: int = 12
    max_steps: int = 600

    def _train(self, *_):
        pass
'''


@pytest.mark.controls
def test_at_full_size_each_broken_method_misses_its_control(tmp_path: Path) -> None:
    plugin = tmp_path / "faults.py"
    plugin.write_text(FAULTS)
    command = [sys.executable, "-m", "numerai_lab", "controls", "--plugin", str(plugin), "--runs-dir", str(tmp_path / "runs")]
    done = subprocess.run([*command, "--world", "clusters", "--world", "steady"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    missed = [line for line in done.stdout.splitlines() if line.endswith("DOES NOT HOLD")]
    assert [line.partition(":")[0] for line in missed] == ["clusters raw+shuffled", "clusters raw+unlearned", "steady same_rows"]
