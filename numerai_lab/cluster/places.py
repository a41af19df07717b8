"""Where a cluster is: `--cluster WHERE`, checked before anything is started."""

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.storage.folders import user_path

WANTED = "wanted local:N, tls://HOST:PORT, a Dask scheduler file (.json) or the settings of Slurm jobs (.yaml)"
ADDRESS = re.compile(r"(tls|tcp)://(?:\[(?P<v6>[0-9a-fA-F:]+)\]|(?P<host>[^:/\[\]]+)):\d+")


@dataclass(frozen=True)
class ClusterPlace:
    """Where workers are. n_workers: how many are asked for; settings: arguments of dask_jobqueue.SLURMCluster."""

    kind: Literal["local", "address", "slurm"]
    text: str
    n_workers: int = 1
    address: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encrypted(self) -> bool:
        return self.address.startswith("tls://")


def place_of(text: str, n_workers: int = 1) -> ClusterPlace:
    """Parses WHERE. n_workers: how many of an address or scheduler file are asked for.

    Raises NlabError for another form, and for an address beyond this machine without TLS.
    """
    if text.startswith("local:"):
        count = text.removeprefix("local:")
        if not count.isdecimal() or not 1 <= int(count) <= 1000:
            raise NlabError(f"--cluster {text}: wanted local:N with N workers, such as local:2")
        return ClusterPlace("local", text, int(count))
    if "://" in text:
        return ClusterPlace("address", text, n_workers, checked_address(text))
    path = user_path(text)
    if not path.is_file():
        raise NlabError(f"--cluster {text}: no such file; {WANTED}")
    if path.suffix in (".yaml", ".yml"):
        return _slurm(path)
    try:
        address = json.loads(path.read_text(encoding="utf-8"))["address"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        raise NlabError(f"--cluster {text}: no scheduler file of Dask ({error!r}); {WANTED}") from error
    return ClusterPlace("address", text, n_workers, checked_address(str(address)))


def checked_address(address: str) -> str:
    """The address of a scheduler. Raises NlabError for another form, and for one beyond this machine without TLS."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise NlabError(f"--cluster {address}: no address of a scheduler; {WANTED}")
    if address.startswith("tcp://") and not is_loopback(match["v6"] or match["host"]):
        raise NlabError(
            f"--cluster {address}: not encrypted, and not on this machine; "
            "start the scheduler with keys (`nlab cluster keys DIR`) and name it tls://HOST:PORT"
        )
    return address


def is_loopback(host: str) -> bool:
    """Whether a host is this machine's own loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _slurm(path: Path) -> ClusterPlace:
    settings = parse_yaml(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise NlabError(f"{path}: wanted `jobs: N` and arguments of SLURMCluster, such as `cores: 4` and `memory: 16GB`")
    jobs = settings.pop("jobs", None)
    if type(jobs) is not int or jobs < 1:
        raise NlabError(f"{path}: jobs: {jobs!r} is no number of Slurm jobs; each holds one worker")
    if missing := [key for key in ("cores", "memory") if key not in settings]:
        raise NlabError(f"{path}: {' and '.join(missing)} of a job missing, such as `cores: 4` and `memory: 16GB`")
    return ClusterPlace("slurm", str(path), jobs, settings=settings)
