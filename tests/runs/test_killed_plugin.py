"""A run with methods of a plug-in: killed, resumed with it alone, and opened without it."""

import time
from pathlib import Path

import pytest
import yaml

from numerai_lab.core.errors import NlabError
from numerai_lab.report.comparison import compare
from numerai_lab.report.page import redrawn
from numerai_lab.runs.reading import read_run
from numerai_lab.studies.export import export_run
from tests import forks
from tests.conftest import Quiet
from tests.forks import nlab
from tests.own_methods import MINE

SLOW = MINE.replace("self.mean_ = X.mean(0)\n", "time.sleep(0.03)\n        self.mean_ = X.mean(0)\n").replace(
    "import numpy", "import time\n\nimport numpy"
)
CONFIG = {
    "name": "mine",
    "data": {"source": "synthetic", "size": "tiny"},
    "generators": {"m": {"kind": "row_moments"}, "p": {"kind": "pca", "n_components": 2}},
    "augmenters": {"s": {"kind": "half_swap"}},
    "model": {"kind": "least_squares"},
}


def folder(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder with the plug-in and a config, and an environment with a cache of its own."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "mine.py").write_text(SLOW)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path, {"NLAB_CACHE": str(tmp_path / "cache")}


def whole(place: Path) -> Path:
    (run,) = (path for path in (place / "runs").iterdir() if not path.name.startswith("."))
    return run


@pytest.mark.slow
def test_a_killed_run_goes_on_with_its_plugin_alone_and_opens_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm, environment = folder(tmp_path / "calm")
    done = nlab("run", "mine.yaml", "--plugin", "mine.py", cwd=calm, **environment)
    assert done.returncode == 0, done.stderr

    place, environment = folder(tmp_path / "killed")
    process = forks.start("run", "mine.yaml", "--plugin", "mine.py", said=place, cwd=place, **environment)
    while process.is_alive() and len(list((place / "cache" / "stages").glob("*/[!.]*/meta.json"))) < 3:
        time.sleep(0.01)
    process.kill()
    process.join()
    (unfinished,) = (place / "runs").glob(".unfinished-*")

    refused = nlab("resume", unfinished, cwd=place, **environment)
    assert refused.returncode == 2
    assert f"from the plug-in mine.py, which is not loaded; give it with `--plugin {place}/mine.py`" in refused.stderr

    resumed = nlab("resume", unfinished, "--plugin", "mine.py", cwd=place, **environment)
    assert resumed.returncode == 0, resumed.stderr
    for name in ("predictions.parquet", "scores.csv", "per_era.parquet"):
        assert (whole(place) / name).read_bytes() == (whole(calm) / name).read_bytes()

    (place / "mine.py").unlink()
    run = whole(place)
    redrawn(read_run(run))
    (group,) = compare([run]).groups
    assert "raw+m" in group.table["variant"].to_list()
    shown = nlab("show", run, cwd=place, **environment)
    assert shown.returncode == 0, shown.stderr
    monkeypatch.setenv("NLAB_CACHE", environment["NLAB_CACHE"])
    assert export_run(run, "p", place / "p.parquet", Quiet()).rows["train"] > 0
    with pytest.raises(NlabError, match=r"row_moments: this run has it from the plug-in mine\.py, which is not loaded"):
        export_run(run, "m", place / "m.parquet", Quiet())
    assert not (place / "m.parquet").exists()
