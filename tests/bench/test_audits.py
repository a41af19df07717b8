"""`nlab audit` of every config under configs/, on the data it names: no score may survive where nothing can be known.

Asked: every check passes. Audits fit everything five times, so boosting takes 200 trees and networks 200 steps here; nothing
else is changed, but that methods.yaml, which holds every method, is audited on `tiny` (methods_csi500.yaml holds the same).
Run with `make audit`. Configs of real samples are skipped where those are not on this machine.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from numerai_lab.config.loading import load_config
from numerai_lab.config.schema import Config
from numerai_lab.data.older import write_older
from numerai_lab.studies.audit import audit
from tests.conftest import Quiet
from tests.test_real_data import FOLDER

CONFIGS = sorted({*Path("configs").glob("*.yaml")} - {Path("configs/methods_csi500.yaml")})
SAMPLES = {"csi500": "csi500_weekly.parquet", "curves_csi500": "csi500_weekly.parquet", "numerai_2018": "numerai_2018.csv.gz"}
LEGACY = "legacy"
"""The folder that the legacy configs read."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_passes_its_audit(path: Path, tmp_path: Path) -> None:
    shipped, _ = load_config(path)
    config, _ = load_config(path, [*quicker(shipped), *data_of(path.stem, shipped, tmp_path)])
    start = time.perf_counter()
    report = audit(config, Quiet())
    seconds = time.perf_counter() - start
    print(f"\n{path.stem}: {len(report.checks) - len(report.failed)} of {len(report.checks)} checks passed, {seconds:.0f} s")
    for row in report.rows():
        print(f"  {row['verdict']} {row['check']} ({row['subject']}): {row['numbers']}")
    assert not report.failed


def quicker(config: Config) -> Iterator[str]:
    """Settings that make a config's fits take less time."""
    own = {f"variants.{name}.model": variant.model for name, variant in config.variants.items()}
    for where, model in {"model": config.model, **own}.items():
        if hasattr(model, "n_estimators"):
            yield f"{where}.n_estimators=200"
            yield f"{where}.learning_rate=0.05"
        if hasattr(model, "epochs"):
            yield f"{where}.hidden=[64, 32]"
    for family in ("generators", "augmenters"):
        for name, component in getattr(config, family).items():
            if hasattr(component, "max_steps"):
                yield f"{family}.{name}.max_steps={min(200, component.max_steps)}"


def data_of(name: str, config: Config, tmp_path: Path) -> Iterator[str]:
    """Where files that a config reads are on this machine; synthetic ones in the legacy layout are written."""
    if name == "methods":
        yield "data.size=tiny"
    elif name in SAMPLES:
        if not FOLDER.is_dir():
            pytest.skip("the real samples are not on this machine (NLAB_REAL_DATA names their folder)")
        yield f"data.path={FOLDER / SAMPLES[name]}"
    elif config.data.model_dump().get("path") == LEGACY:
        (tmp_path / LEGACY).mkdir()
        write_older(tmp_path / LEGACY, "kazutsugi", "small", 0)
        yield f"data.path={tmp_path / LEGACY}"
