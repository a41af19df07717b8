"""Marks the run that a sweep chose: by which objective, on which split and among how many trials."""

import logging
from pathlib import Path

from numerai_lab.core.errors import NlabError
from numerai_lab.report.page import redrawn
from numerai_lab.runs.output_files import note_in_manifest
from numerai_lab.runs.reading import read_run
from numerai_lab.studies.objective import SweepObjective

log = logging.getLogger("nlab")


def stamp(run: Path, objective: SweepObjective, n_trials: int) -> None:
    """Writes into a run's manifest, report.html and scores.md that it is the best of `n_trials` by an objective.

    The mark stays when a later sweep of the folder chooses another trial, since this run was still selected once.
    """
    chosen = {"split": objective.split, "by": f"{objective.column} of {objective.variant}", "trials": n_trials}
    if read_run(run).manifest.get("chosen") == chosen:
        return
    note_in_manifest(run, "chosen", chosen)
    try:
        redrawn(read_run(run))
    except NlabError as error:  # the run of an older version can't be redrawn; its manifest has the mark
        log.warning("%s", error)
