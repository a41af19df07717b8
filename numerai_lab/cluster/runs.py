"""Whole runs on the workers of a cluster; their folders come back to this machine."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from numerai_lab.cluster.adoption import adopted_run
from numerai_lab.cluster.connection import ClusterConnection
from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError


def runs_on(
    connection: ClusterConnection, configs: Sequence[Config], folders: Sequence[Path]
) -> Iterator[tuple[int, Path | None, str]]:
    """Runs configs on the workers. Yields, as they come, the place of each config, and its run folder and "", or None and why.

    folders: where the run folder of each config goes. A run that fails stops no other.
    """
    jobs = [{"kind": "run", "config": config.to_yaml()} for config in configs]
    for place, answer in connection.answers(jobs):
        if "error" in answer:
            yield place, None, str(answer["error"])
            continue
        try:
            yield place, adopted_run(answer["tar"], answer["result"], configs[place], folders[place]), ""
        except NlabError as error:
            yield place, None, f"worker {answer['worker']}: {error}"
