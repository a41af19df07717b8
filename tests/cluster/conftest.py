"""Two workers of this machine, which all tests of a process share."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dask.config
import pytest

from numerai_lab.cluster.connection import ClusterConnection, connected
from numerai_lab.cluster.places import place_of
from numerai_lab.storage.stage_cache import STAGES

SILENCE = 12.0
"""Seconds after which a silent child or worker counts as dead here; five minutes elsewhere."""


@pytest.fixture(scope="session")
def workers_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of the workers, which is not that of this process."""
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="session")
def local_workers(workers_cache: Path) -> Iterator[ClusterConnection]:
    import distributed  # its import fills Dask's settings, and would be undone with the one below

    assert distributed
    with pytest.MonkeyPatch.context() as patch, dask.config.set({"distributed.scheduler.worker-ttl": SILENCE}):
        patch.setenv("NLAB_CACHE", str(workers_cache))
        opening = connected(place_of("local:2"))
        opened = opening.__enter__()
    yield opened
    opening.__exit__(None, None, None)


@pytest.fixture
def connection(local_workers: ClusterConnection, workers_cache: Path) -> ClusterConnection:
    """A connection to two workers whose cache holds no stages."""
    shutil.rmtree(workers_cache / STAGES, ignore_errors=True)
    return replace(local_workers, silence=SILENCE)
