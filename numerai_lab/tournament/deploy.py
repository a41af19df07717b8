"""Deploys a variant of a finished run: a function that Numerai runs, verified in the container's packages."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.holdout import load_sealed_for
from numerai_lab.fitting.prediction_table import column_names
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.scoring import Column
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.storage.folders import built
from numerai_lab.storage.scratch import scratch
from numerai_lab.tournament.artefact import Artefact, has_networks
from numerai_lab.tournament.deploy_card import card
from numerai_lab.tournament.environments import NEEDED, NOT_INSTALLED, PINS, environment, own_python
from numerai_lab.tournament.generator_arrays import Plain
from numerai_lab.tournament.numerai_predict import run_numerai_predict
from numerai_lab.tournament.output_file import refuse_input
from numerai_lab.tournament.packing import pack, run_packed
from numerai_lab.tournament.pickle_imports import imports_of
from numerai_lab.tournament.prediction import Predictor, predictor_of
from numerai_lab.tournament.refit import refitted
from numerai_lab.tournament.source import predict_source
from numerai_lab.tournament.verification import Recorded, compared, recorded_rows, rows_as_live

PICKLE, SOURCE, REQUIREMENTS, VERIFIED, CARD = "predict.pkl", "predict.py", "requirements.txt", "verified.json", "card.md"


@dataclass(frozen=True)
class Deployed:
    """A verified model. folder: its files; facts: those of verified.json; remarks: what a user must know."""

    folder: Path
    facts: dict[str, Any]
    remarks: tuple[str, ...]


def deploy(
    path: Path,
    out: Path,
    display: ProgressDisplay,
    variant: str | None = None,
    python: str | None = None,
    *,
    refit: bool = False,
) -> Deployed:
    """Writes a variant of a run as predict.pkl, verified against the run's own predictions, into a new folder.

    variant: None = the best one by validation. python: the version of the container; None = that of this process, where Numerai
    has a container of it. refit: as in `nlab live`. Raises NlabError for what can't be deployed and where the data is gone,
    NlabFailure where the model does not predict what the run predicted; then nothing is written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise NlabError(f"--out: {out} is there already; name a new folder")
    refuse_input(out, path)
    run, python = read_run(path), python or own_python()
    predictor = predictor_of(run, variant)
    Artefact(predictor.folder, predictor.config, predictor.facts, predictor.variant).refuse()
    with display.task(f"environment of Python {python}"):
        interpreter = environment(python)
    if refit or predictor.config.variants[predictor.variant].refit:
        predictor = refitted(run, predictor, display, renew=refit)
    artefact = Artefact(predictor.folder, predictor.config, predictor.facts, predictor.variant)
    deployment = _Deployment(predictor, run, artefact.model(), python)
    with display.task("data") as progress:
        panel = load_sealed_for(run, predictor.config, progress).panel
    recorded = deployment.recorded(panel, display)
    if out.exists():
        out.rmdir()
    with built(out) as work, display.task(f"pack and verify {predictor.variant}"):
        facts = deployment.written(work, interpreter, recorded)
    return Deployed(out, facts, predictor.remarks)


@dataclass(frozen=True)
class _Deployment:
    """A variant as arrays, on its way into a folder. model: what `Artefact.model` returns; python: version of the container."""

    predictor: Predictor
    run: Run
    model: Plain
    python: str

    def recorded(self, panel: Panel, display: ProgressDisplay) -> Recorded:
        """Rows, and what the run predicted for them; of a refit, what nlab predicts."""
        if self.predictor.facts.refit:
            return rows_as_live(self.predictor, panel, self.model, display)
        columns = [Column(self.predictor.variant, seed) for seed in self.predictor.facts.seeds]
        return recorded_rows(self.run, panel, self.model, column_names(columns))

    def written(self, work: Path, interpreter: Path, recorded: Recorded) -> dict[str, Any]:
        """Writes and verifies all files; returns the facts of verified.json. Raises NlabFailure where the verification fails."""
        pack(interpreter, predict_source(), self.model, work / PICKLE)
        with scratch() as space:
            rows = space.folder / "rows.parquet"
            recorded.write(rows)
            done = run_packed(interpreter, work / PICKLE, rows, space.folder)
            checked = run_numerai_predict(interpreter, work / PICKLE, rows, space.folder, done.ranked)
        comparison = compared(recorded, done, has_networks(self.model))
        imports, versions = imports_of(work / PICKLE), done.facts.pop("versions")
        problems = [*comparison.pop("problems"), *(f"the pickle imports {name}" for name in imports.beyond)]
        if versions != {"python": self.python, **PINS[self.python]}:
            problems.append(f"the environment has other packages than the container: {versions}")
        if problems:
            raise NlabFailure(f"{self.predictor.variant}: the packed model is not what the run trained: {'; '.join(problems)}")
        facts = {
            **self._names,
            "sha256": hashlib.sha256((work / PICKLE).read_bytes()).hexdigest(),
            "bytes": (work / PICKLE).stat().st_size,
            **comparison,
            **done.facts,
            "versions": versions,
            "not installed": list(NOT_INSTALLED),
            "imports": [*imports.names, *imports.modules],
            "numerai-predict": checked,
        }
        pins = PINS[self.python]
        (work / REQUIREMENTS).write_text("".join(f"{name}=={pins[name]}\n" for name in NEEDED), encoding="utf-8")
        (work / VERIFIED).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        (work / CARD).write_text(card(self.run, self.predictor.facts, facts), encoding="utf-8")
        return facts

    @property
    def _names(self) -> dict[str, Any]:
        facts = self.predictor.facts
        return {
            "run": self.run.name,
            "variant": self.predictor.variant,
            "seeds": list(facts.seeds),
            "target": facts.target,
            "data": facts.data["label"],
            "data version": facts.data["version"],
            "synthetic": facts.data["synthetic"],
            "refit": facts.refit,
            "nlab": facts.nlab,
        }
