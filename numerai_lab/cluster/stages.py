"""Stages of one run on the workers of a cluster; the run goes on from them on this machine."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.cluster.packing import unpack
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.partial import n_splits_of, pieces_of
from numerai_lab.storage.folders import cache_dir, new_folder

log = logging.getLogger("nlab")


@contextmanager
def stages_on(connection: ClusterConnection, config: Config) -> Iterator[Path]:
    """A folder with the stages that workers made of a run, a folder a worker's answer; gone when the block ends.

    What a worker could not make, or came back damaged, is made by the run itself. Raises NlabError where workers have other
    data than this machine.
    """
    connection.check_data(config)
    pieces = list(pieces_of(config, n_splits_of(config)))
    text = config.to_yaml()
    jobs = [{"kind": "stages", "config": text, "variants": p.variants, "seed": p.seed, "split": p.split} for p in pieces]
    (cache_dir() / "scratch").mkdir(parents=True, exist_ok=True)
    offered = new_folder(cache_dir() / "scratch", "offered-")
    try:
        for place, answer in connection.answers(jobs):
            label = f"{', '.join(pieces[place].variants)} (seed {pieces[place].seed})"
            folder = offered / str(place)
            folder.mkdir()
            try:
                if "error" in answer:
                    raise NlabError(answer["error"])
                unpack(answer["tar"], folder)
                log.info("%s: %d stages from a worker", label, answer["result"])
            except NlabError as error:
                shutil.rmtree(folder)
                log.warning("%s: not made by a worker (%s)", label, error)
        yield offered
    finally:
        shutil.rmtree(offered, ignore_errors=True)
