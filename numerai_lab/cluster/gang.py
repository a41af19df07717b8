"""Parts of one training on the workers of a cluster, each on another worker."""

import logging
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.cluster.connection import ClusterConnection, distributed_event
from numerai_lab.cluster.packing import packed, unpack
from numerai_lab.cluster.tasks import FOLDER, child_environment, forward, stop_signal
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.fitting.child_process import ChildLost, ChildProcess, await_all
from numerai_lab.models.xgboost_parts import tracker
from numerai_lab.storage.folders import cache_dir, new_folder
from numerai_lab.storage.resumable import CHECKPOINT
from numerai_lab.storage.stage_cache import STAGES
from numerai_lab.storage.whole_files import write_whole

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger("nlab")
WAIT = 120.0
"""Seconds for which a worker is waited for that takes the place of a lost one."""
STOPPED = "stopped"
SUFFIX = re.compile(r"\.\w+")
"""How the name of a model's file ends."""


def check_number(connection: ClusterConnection, n_parts: int) -> None:
    """Raises NlabError where there are fewer workers than parts."""
    if (there := len(connection.workers)) < n_parts:
        workers = f"{there} worker{'s' * (there != 1)}"
        raise NlabError(
            f"--cluster: model.workers: {n_parts} trains on {n_parts} workers, and the cluster has {workers}; "
            f"take local:{n_parts}, start more, or ask for fewer with --set model.workers={there}"
        )


def parts_on(connection: ClusterConnection, job: Mapping[str, Any], n_parts: int) -> list[str]:
    """Trains all parts of a job, each on a worker of its own. Returns the files of their models, in the folder of the job.

    Where a part is lost all end, and the last checkpoint of any of them comes to the job's `work`. Raises ChildLost then,
    NlabError where a part finds the config invalid, and NlabFailure where there are too few workers.
    """
    from distributed import as_completed

    client, stop = connection.client, f"{connection.stop}-{uuid.uuid4().hex}"
    workers = _chosen(client, n_parts)
    log.info("training on %d workers", n_parts)
    with tracker(n_parts, _address(client)) as arguments:
        (sent,) = client.scatter([_sent(job)], workers=list(workers), broadcast=True, hash=False)
        ended = distributed_event(connection, stop)
        futures = {}
        for part, worker in enumerate(workers):
            of_part = {**job, **connection.shared, "part": part, "keeps": True, "worker": worker, "tracker": arguments}
            pinned = {"workers": [worker], "allow_other_workers": True}  # where it is gone, another one says so
            futures[client.submit(run_part, of_part, sent, stop, pure=False, **pinned)] = part
        answers: dict[int, dict[str, Any]] = {}
        try:
            for future in as_completed(futures, loop=client.loop):
                answer = answers[futures[future]] = connection.answer_of(future)
                if "model" not in answer:
                    ended.set()
        finally:
            with suppress(OSError):  # the scheduler is gone, and children with their workers
                ended.set()
    return _models(job, [answers[part] for part in range(n_parts)])


def run_part(job: Mapping[str, Any], sent: Mapping[str, bytes], stop: str) -> dict[str, Any]:
    """Trains a part in a child process of the worker that the job names. stop: the name of the Dask event that ends it.

    sent: fits that the part may need, and the checkpoint that all parts go on from. Returns {"suffix": …, "model": …},
    {"lost": …} where all parts must begin again, or {"error": …}; the last two with the part's own checkpoint.
    """
    from distributed import get_worker

    worker = get_worker().address
    if worker != job["worker"]:
        return {"lost": f"worker {job['worker']} is gone", "checkpoint": b""}
    (cache_dir() / FOLDER).mkdir(parents=True, exist_ok=True)
    work = new_folder(cache_dir() / FOLDER, "part-")
    checkpoint, offered = work / CHECKPOINT, work / "fits"
    try:
        (offered / "sent").mkdir(parents=True)
        unpack(sent["fits"], offered / "sent")
        if sent["checkpoint"]:
            write_whole(checkpoint, sent["checkpoint"])
        places = {"work": str(work), "folder": str(work), "offered": str(offered), "stages": str(cache_dir() / STAGES)}
        with stop_signal(stop) as stopped:
            child = ChildProcess({**job, **places}, child_environment(), forward)
            try:
                if await_all([child], stopped.wait):
                    path = Path(child.result())
                    return {"suffix": path.suffix, "model": path.read_bytes()}
                answer = {"lost": STOPPED}
            except (ChildLost, NlabFailure) as lost:  # XGBoost fails in a part whose peer is lost
                answer = {"lost": str(lost)}
            except NlabError as known:
                return {"error": str(known)}
        return {**answer, "checkpoint": checkpoint.read_bytes() if checkpoint.is_file() else b""}
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _chosen(client: "Client", n_parts: int) -> tuple[str, ...]:
    """Workers that are there, one for each part, on as many machines as can be."""
    try:
        client.wait_for_workers(n_parts, timeout=WAIT)
    except TimeoutError as error:
        raise NlabFailure(f"model.workers: {n_parts} parts, but {len(client.ncores())} workers are left") from error
    hosts: dict[str, list[str]] = {}
    for worker in sorted(client.ncores()):
        hosts.setdefault(worker.rpartition(":")[0], []).append(worker)
    places = sorted((place, worker) for of_host in hosts.values() for place, worker in enumerate(of_host))
    return tuple(worker for _, worker in places[:n_parts])


def _address(client: "Client") -> str:
    """The address of this machine at which workers find it: that from which the scheduler is reached."""
    from distributed.comm import get_address_host
    from distributed.utils import get_ip

    return str(get_ip(get_address_host(client.scheduler.address)))


def _sent(job: Mapping[str, Any]) -> dict[str, bytes]:
    """What parts need beside the job, and have not: fits of generators and augmenters, and a checkpoint."""
    checkpoint = Path(job["work"]) / CHECKPOINT
    files = [path for fit in job["fits"] for path in Path(fit).iterdir()]
    return {
        "fits": packed(Path(job["stages"]), files),
        "checkpoint": checkpoint.read_bytes() if checkpoint.is_file() else b"",
    }


def _models(job: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Writes the models of all parts, or the largest checkpoint, which has most trees, where one is lost."""
    for answer in answers:
        if "error" in answer:
            raise NlabError(answer["error"])
    if lost := [answer for answer in answers if "model" not in answer]:
        if last := max((answer["checkpoint"] for answer in lost), key=len):
            write_whole(Path(job["work"]) / CHECKPOINT, last)
        raise ChildLost(next((answer["lost"] for answer in lost if answer["lost"] != STOPPED), STOPPED))
    if odd := next((answer["suffix"] for answer in answers if not SUFFIX.fullmatch(answer["suffix"])), None):
        raise NlabFailure(f"model.workers: a worker sent a model as a file that ends in {odd!r}")
    paths = [Path(job["folder"]) / f"model-{part}{answer['suffix']}" for part, answer in enumerate(answers)]
    for path, answer in zip(paths, answers, strict=True):
        write_whole(path, answer["model"])
    return [str(path) for path in paths]
