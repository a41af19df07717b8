"""The connection of a command to a cluster: started or found, checked, and left in order."""

import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numerai_lab.cluster.environment import differences, environment
from numerai_lab.cluster.opening import opened
from numerai_lab.cluster.places import ClusterPlace
from numerai_lab.cluster.tasks import run_job
from numerai_lab.config.plugins import given_plugins
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.fitting.child_process import SILENCE
from numerai_lab.fitting.run_facts import facts_now
from numerai_lab.runs.reading import differing, terms

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger("nlab")
WAIT = 120.0
"""Seconds for which workers are waited for."""
LOST = "the scheduler of the cluster is gone; call the command again, it goes on with what is there"


@dataclass
class ClusterConnection:
    """Workers that are there and agree with this process. stop: the name of the event that ends their children."""

    client: "Client"
    stop: str
    workers: tuple[str, ...]
    silence: float = SILENCE

    def answers(self, jobs: Sequence[Mapping[str, Any]], workers: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
        """Does jobs on the workers, and yields the place of each job and its answer as they come.

        workers: the one worker that each job is for; none: any. Raises NlabFailure where the scheduler is lost.
        """
        from distributed import as_completed

        futures = {}
        for place, job in enumerate(jobs):
            pinned = {"workers": [workers[place]], "allow_other_workers": True} if workers else {}
            futures[self.client.submit(run_job, {**self.shared, **job}, self.stop, pure=False, **pinned)] = place
        for future in as_completed(futures, loop=self.client.loop):
            yield futures[future], self.answer_of(future)

    @property
    def shared(self) -> dict[str, Any]:
        """What all jobs have in common."""
        hosts = Counter(worker.rpartition(":")[0] for worker in self.workers)
        return {"plugins": given_plugins(), "silence": self.silence, "share": max(hosts.values())}

    def answer_of(self, future: Any) -> dict[str, Any]:
        """The answer of a job that ended. Raises NlabFailure where the scheduler is lost."""
        if future.status == "finished":
            answer: dict[str, Any] = future.result()
            future.release()
            return answer
        if future.status == "error":
            return {"error": f"it ended its worker, again and again ({future.exception()})".replace("\n", " ")}
        raise NlabFailure(LOST)

    def check_data(self, config: Config) -> dict[str, Any]:
        """The terms of scoring of a config, by its data. Raises NlabError where workers have other data, all at once."""
        facts = facts_now(config)
        mine, rows = terms(facts), facts["data"]["rows"]
        job = {"kind": "data", "config": config.to_yaml()}
        problems = []
        for _, answer in self.answers([job] * len(self.workers), self.workers):
            if "error" in answer:
                problems.append(f"worker {answer.get('worker', '')}: {answer['error']}")
            elif why := differing(mine, answer["result"]["terms"]):
                problems.append(f"worker {answer['worker']}: other data, {answer['result']['rows']:,} rows, here {rows:,}: {why}")
        if problems:
            raise NlabError("\n".join(["--cluster: workers can't take part", *sorted(set(problems))]))
        return mine


@contextmanager
def connected(place: ClusterPlace, wait: float = WAIT) -> Iterator[ClusterConnection]:
    """A cluster whose workers have the same sources, Python and libraries as this process.

    At the end the children of its jobs end; workers that were there before stay. Raises NlabError where Dask is not
    installed, nobody answers, fewer workers come than are asked for within `wait` seconds, or they differ.
    """
    with ExitStack() as stack:
        client = opened(place, stack)
        try:
            client.wait_for_workers(place.n_workers, timeout=wait)
        except TimeoutError as error:
            n_workers = len(client.run(environment, on_error="ignore"))
            asked = f"{n_workers} of {place.n_workers} workers after {wait:.0f} s"
            raise NlabError(f"--cluster {place.text}: {asked}; start more of them, or ask for fewer") from error
        connection = ClusterConnection(client, f"nlab-stop-{uuid.uuid4().hex}", _equal_workers(client))
        log.info("cluster: %d workers at %s", len(connection.workers), client.scheduler.address)
        try:
            yield connection
        finally:
            with suppress(OSError):  # the scheduler is gone, and children with their workers
                distributed_event(connection).set()


def distributed_event(connection: ClusterConnection, name: str = "") -> Any:
    """The Dask event of this name, or that which ends the children of all of a connection's jobs."""
    from distributed import Event

    return Event(name or connection.stop, client=connection.client)


def _equal_workers(client: "Client") -> tuple[str, ...]:
    """The addresses of all workers. Raises NlabError where they have other sources, Python or libraries."""
    mine = environment()
    theirs = client.run(environment, on_error="return")
    problems = []
    for worker, facts in sorted(theirs.items()):
        why = f"has no nlab like this one ({facts!r})" if isinstance(facts, BaseException) else differences(mine, facts)
        problems += [f"worker {worker}: {why}"] if why else []
    if problems:
        raise NlabError("\n".join(["--cluster: workers can't take part; install the same there as here", *problems]))
    return tuple(sorted(theirs))
