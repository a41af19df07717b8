"""What child processes do: facts of data, whole runs, stages of a run. A job is a dict of JSON values, and so is its result."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numerai_lab.config.loading import parse_config
from numerai_lab.config.schema import Config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabFailure
from numerai_lab.fitting.part import train_part
from numerai_lab.fitting.partial import Piece, make_stages
from numerai_lab.fitting.run_facts import facts_now
from numerai_lab.report.progress import Lines
from numerai_lab.runs.reading import terms
from numerai_lab.storage.machine import free_memory
from numerai_lab.studies.repeated_runs import run_or_error

Job = Mapping[str, Any]


def config_of(job: Job) -> Config:
    """The config of a job. Raises NlabError for one that is invalid here."""
    return parse_config(parse_yaml(job["config"], "trial"), "trial")


def data_facts(job: Job) -> dict[str, Any]:
    """The number of rows, and the facts by which runs are comparable, of a config's data on this machine."""
    facts = facts_now(config_of(job))
    return {"rows": facts["data"]["rows"], "terms": terms(facts)}


def whole_run(job: Job) -> str:
    """Runs a config into the folder of the job, or goes on there. Returns the path of the run folder.

    Raises NlabFailure with the reason where the run fails.
    """
    memory = free_memory() // int(job["share"])
    path, error = run_or_error(config_of(job), Path(job["folder"]), Lines(), memory)
    if path is None:
        raise NlabFailure(error)
    return str(path)


def stages(job: Job) -> list[str]:
    """Makes the stages of a piece of a run. Returns the paths of their folders. Raises NlabError as `make_stages` does."""
    piece = Piece(tuple(job["variants"]), job["seed"], job["split"])
    return [str(path) for path in make_stages(config_of(job), piece, Lines())]


def part(job: Job) -> str:
    """Trains a part of a model, together with other processes. Returns the path of the model's file."""
    return train_part(config_of(job), job, Lines())


JOBS: Mapping[str, Callable[[Job], Any]] = {"data": data_facts, "run": whole_run, "stages": stages, "part": part}
