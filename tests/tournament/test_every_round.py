"""A crontab's entry as cron runs it, from a finished run to a submission: the first try submits, the second uploads nothing."""

import sys
from pathlib import Path

import polars as pl
import pytest

from numerai_lab.experiment import run
from numerai_lab.tournament.live import live
from numerai_lab.tournament.schedule import Schedule, scheduled
from tests.conftest import Quiet, make_config
from tests.tournament.fake_numerai import PUBLIC, SECRET, FakeNumerai
from tests.tournament.test_schedule import run_cron


@pytest.mark.slow  # a run, and four processes that import what the command needs
def test_the_first_try_submits_and_the_second_finds_it(
    server: FakeNumerai, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(make_config(variants={"plain": {}}), tmp_path / "runs", Quiet())
    server.live = pl.read_csv(live(done.path, tmp_path / "expected.csv", Quiet()).path).select("id")
    here = f"import sys; sys.path.insert(0, {str(Path.cwd())!r}); import numerapi.base_api as api; "
    code = f"{here}api.API_TOURNAMENT_URL = {server.address!r}; from numerai_lab.cli.app import main; main()"
    program = tmp_path / "bin/nlab"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    text = scheduled("cron", Schedule(done.path, "alpha"))
    for _ in range(2):
        keys = f"NUMERAI_PUBLIC_ID={PUBLIC}\nNUMERAI_SECRET_KEY={SECRET}\n"
        assert run_cron(tmp_path, text, "212", keys=keys, NLAB_CACHE=str(tmp_path / "cache"))[0] == 0
        assert server.changes == ["PUT", "create_submission"]
    (content,) = server.files.values()
    assert content == (tmp_path / "expected.csv").read_bytes()
