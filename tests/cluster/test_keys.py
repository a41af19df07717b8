"""A scheduler and workers with keys: strangers are refused, and so are workers with other data."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from numerai_lab.cluster import opening
from numerai_lab.cluster.connection import connected
from numerai_lab.cluster.keys import VARIABLE, keys_folder, make_keys
from numerai_lab.cluster.places import place_of
from numerai_lab.cluster.start import SchedulerOptions, scheduler_command, worker_command
from numerai_lab.core.errors import NlabError
from tests.cluster.test_sweep_on_cluster import wait_until
from tests.conftest import make_config
from tests.test_dated_run import table


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys") / "ours"
    make_keys(folder)
    return folder


def test_keys_are_for_their_owner_alone(keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert {path.name: path.stat().st_mode & 0o777 for path in keys.iterdir()} == dict.fromkeys(
        ("ca.pem", "cert.pem", "key.pem"), 0o600
    )
    with pytest.raises(NlabError, match="there already"):
        make_keys(keys)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(NlabError, match="name it in NLAB_CLUSTER_KEYS"):
        keys_folder()
    with pytest.raises(NlabError, match=r"no ca\.pem and cert\.pem and key\.pem"):
        keys_folder(tmp_path)
    assert keys_folder(keys) == keys
    (keys / "key.pem").chmod(0o640)
    try:
        with pytest.raises(NlabError, match="others may read it"):
            keys_folder(keys)
    finally:
        (keys / "key.pem").chmod(0o600)


def test_without_keys_nothing_listens_beyond_this_machine(keys: Path) -> None:
    with pytest.raises(NlabError, match="listens on 127"):
        scheduler_command(SchedulerOptions("0.0.0.0", 0))
    with pytest.raises(NlabError, match="not encrypted"):
        worker_command("tcp://10.0.0.1:1", None)
    assert "tls" in scheduler_command(SchedulerOptions("0.0.0.0", 0, keys))


@pytest.fixture
def cluster(keys: Path, tmp_path: Path) -> Iterator[str]:
    """The scheduler file of a cluster with two workers, whose home folders hold other data."""
    file = tmp_path / "scheduler.json"
    start = [sys.executable, "-m", "numerai_lab", "cluster"]
    processes = [subprocess.Popen([*start, "scheduler", "--keys", str(keys), "--port", "0", "--file", str(file)], **QUIET)]
    try:
        wait_until(lambda: file.is_file() and file.read_text().rstrip().endswith("}"))  # written whole
        address = place_of(str(file)).address
        rows = table(list(range(1, 61)))
        for name, data in (("same", rows), ("other", rows.head(-1))):
            home = tmp_path / name
            home.mkdir()
            data.write_parquet(home / "data.parquet")
            environ = {**os.environ, "HOME": str(home), "NLAB_CACHE": str(home / "cache")}
            worker = [*start, "worker", address, "--keys", str(keys), "--threads", "1"]
            processes.append(subprocess.Popen(worker, env=environ, **QUIET))
        yield str(file)
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(processes):
            process.wait(timeout=60)


QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def test_a_strangers_certificate_and_other_data_are_refused(
    cluster: str, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"source": "files", "path": "~/data.parquet", "target": "target_x_20"}
    config = make_config(data=data, splits={"train": "50%"})
    monkeypatch.setenv("HOME", str(tmp_path / "same"))
    monkeypatch.setenv(VARIABLE, str(keys))
    with connected(place_of(cluster, 2)) as connection:
        assert len(connection.workers) == 2
        with pytest.raises(NlabError) as refused:
            connection.check_data(config)
    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert "other data, 1,199 rows, here 1,200: data identity" in lines[1]
    stranger = tmp_path / "stranger"
    make_keys(stranger)
    monkeypatch.setenv(VARIABLE, str(stranger))
    monkeypatch.setattr(opening, "CONNECT", 2.0)
    with pytest.raises(NlabError, match="no scheduler with these keys answers there"), connected(place_of(cluster)):
        pass
