"""A Numerai on this machine, keys for it, and a file that it takes."""

from collections.abc import Iterator
from pathlib import Path

import numerapi.base_api
import numpy as np
import polars as pl
import pytest

from numerai_lab.tournament import client
from tests.tournament.fake_numerai import PUBLIC, SECRET, FakeNumerai, fake_numerai


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNumerai]:
    with fake_numerai() as numerai:
        monkeypatch.setattr(numerapi.base_api, "API_TOURNAMENT_URL", numerai.address)
        monkeypatch.setattr("numerapi.utils.time.sleep", lambda seconds: None)
        monkeypatch.setattr(client, "SECONDS", 5.0)
        monkeypatch.setattr(client, "UPLOAD_SECONDS", 5.0)
        monkeypatch.setenv("NLAB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NUMERAI_PUBLIC_ID", PUBLIC)
        monkeypatch.setenv("NUMERAI_SECRET_KEY", SECRET)
        monkeypatch.delenv("MODEL_ID", raising=False)
        monkeypatch.delenv("TRIGGER_ID", raising=False)
        yield numerai


@pytest.fixture
def predictions(server: FakeNumerai, tmp_path: Path) -> Path:
    return write_predictions(tmp_path / "my predictions.csv", server.live["id"].to_list())


def write_predictions(path: Path, ids: list[str], seed: int = 0) -> Path:
    pl.DataFrame({"id": ids, "prediction": np.random.default_rng(seed).uniform(size=len(ids))}).write_csv(path)
    return path
