"""Runs of a study: taken from its folder where they are there, gone on with where they were killed, made otherwise."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numerai_lab.config.loading import parse_config
from numerai_lab.config.schema import Config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.core.shared_matrix import SharedMatrix
from numerai_lab.experiment import RunOptions, run
from numerai_lab.fitting.fingerprint import fingerprint
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.report.progress import Lines
from numerai_lab.runs.fingerprints import mismatch
from numerai_lab.runs.layout import MANIFEST
from numerai_lab.runs.reading import Run, asked_config, differing, read_run, terms
from numerai_lab.runs.unfinished import unfinished_runs

log = logging.getLogger("nlab")


def run_folders(folder: Path) -> list[Path]:
    """The finished run folders in a folder, by name."""
    paths = [path.parent for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    return [path for path in paths if not path.name.startswith(".")]


def reusable_runs(folder: Path, configs: Sequence[Config], terms_now: Mapping[str, Any] | None) -> dict[str, Run]:
    """Resolved config → its finished run, made from the same data by the same code and libraries.

    terms_now: of the data as it is; None takes a run's own word for it. A warning says why a run
    of one of the configs is not taken.
    """
    by_text = {config.to_yaml(): config for config in configs}
    runs = {}
    for path in run_folders(folder):
        with contextlib.suppress(NlabError, OSError, UnicodeDecodeError):
            done = read_run(path)
            text = asked_config(done)
            if text not in by_text:
                continue
            why = differing(terms_now or terms(done.manifest), terms(done.manifest))
            why = why or mismatch(done.manifest, fingerprint(by_text[text]))
            if why:
                log.warning("%s: not taken, its trial is run anew (%s)", path.name, why)
            else:
                runs[text] = done
    return runs


def run_or_error(
    config: Config,
    folder: Path,
    display: ProgressDisplay,
    memory: int | None = None,
    matrices: SharedMatrix | None = None,
) -> tuple[Path | None, str]:
    """The folder of a new or resumed run, or why there is none. memory, matrices: as in `RunOptions`.

    A run that fails is no reason to stop: its folder stays as `…-failed`, the next one may be well.
    """
    unfinished = unfinished_runs(folder, config) if folder.is_dir() else []
    options = RunOptions(unfinished=unfinished[0] if unfinished else None, memory=memory, matrices=matrices)
    try:
        return run(config, folder, display, options=options).path, ""
    except NlabError as error:
        return None, str(error)


def run_alone(text: str, folder: Path, memory: int | None) -> tuple[Path | None, str]:
    """`run_or_error` of a config's text in a worker process. memory: as in `RunOptions`."""
    log.addHandler(logging.NullHandler())
    return run_or_error(parse_config(parse_yaml(text, "trial"), "trial"), folder, Lines(), memory)
