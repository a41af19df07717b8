"""Copies a finished run into MLflow: parameters, scores by variant and by seed, tables and the report."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.core.errors import NlabError, NlabFailure
from numerai_lab.core.requirements import absent, how_to_install
from numerai_lab.runs.layout import CONFIG, PER_ERA, REPORT, SCORES
from numerai_lab.runs.reading import Run, read_run
from numerai_lab.runs.run_tables import settings_of

if TYPE_CHECKING:
    import polars as pl
    from mlflow.tracking import MlflowClient

TAG = "nlab.run"
"""Of the MLflow run that a run folder became: the folder's name and the stamp of its manifest."""
PARENT = "mlflow.parentRunId"
SPLITS = ("val1", "val2", "val", "cv", "walk")
LONGEST = 6000
"""Characters of a parameter's value that MLflow takes."""


def export_to_mlflow(path: Path, uri: str) -> str:
    """Writes a run into the tracking store at a URI, in the experiment of its config's name; returns the id of the MLflow run.

    The run folder is one MLflow run with the config's keys as parameters and scores.csv, per_era.parquet, config.yaml and the
    report as artefacts. Each variant is a run nested in it with the numbers of scores.csv as metrics, `<split>/<column>`, and
    each seed of a variant a run nested in that, with the means of its eras and corr by era. Raises NlabError where mlflow is
    absent, the store can't be used, or holds this run already.
    """
    if absent(["mlflow"]):
        raise NlabError(f"export: --mlflow needs {how_to_install(['mlflow'])}")
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    run = read_run(path)
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, str(run.manifest.get("name") or run.name), uri)
        return _exported(client, experiment, run)
    except MlflowException as error:
        raise NlabFailure(f"export: {uri}: {(str(error).splitlines() or ['no answer'])[0]}") from error


def _experiment(client: "MlflowClient", name: str, uri: str) -> str:
    """The id of the experiment, which is made where there is none; of a SQLite file, with artefacts beside that file."""
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    file = uri.removeprefix("sqlite:///")
    place = (Path(file).absolute().parent / "mlartifacts").as_uri() if file != uri else None
    return str(client.create_experiment(name, artifact_location=place))


def _exported(client: "MlflowClient", experiment: str, run: Run) -> str:
    identity = f"{run.name} {run.manifest['started']}"
    if client.search_runs([experiment], f"tags.`{TAG}` = '{identity}'", max_results=1):
        raise NlabError(f"export: {run.name} is there already; remove it in MLflow to export it again")
    root = _new(client, experiment, run.name, _tags(run))
    try:
        _write(client, experiment, root, run)
    except BaseException:
        client.delete_run(root)  # without the tag that says it is whole, the next try begins anew
        raise
    client.set_tag(root, TAG, identity)
    client.set_terminated(root)
    return root


def _write(client: "MlflowClient", experiment: str, root: str, run: Run) -> None:
    for key, value in _parameters(run).items():
        client.log_param(root, key, value)
    for file in (SCORES, PER_ERA, CONFIG, REPORT):
        if (run.path / file).is_file():
            run.content(file)  # raises where it is not what was written
            client.log_artifact(root, str(run.path / file))
    for variant in run.scores["variant"].unique(maintain_order=True):
        _variant(client, experiment, root, run, variant)


def _parameters(run: Run) -> dict[str, str]:
    """The config's keys, with _ for characters that MLflow takes in no name."""
    parameters: dict[str, str] = {}
    for key, value in settings_of(run):
        name = plain = re.sub(r"[^\w\-. :/]", "_", key)
        number = 1
        while name in parameters:
            number += 1
            name = f"{plain}_{number}"
        parameters[name] = str(value)[:LONGEST]
    return parameters


def _variant(client: "MlflowClient", experiment: str, root: str, run: Run, variant: str) -> None:
    """The run of a variant, and those of its seeds."""
    scores = run.scores.filter(variant=variant)
    compared = [name for name in ("reference", "placebo") if name in scores.columns and scores[name][0]]
    texts: dict[str, str] = {str(name): str(scores[name][0]) for name in compared}
    verdicts = {f"verdict.{row['split']}": row["verdict"] for row in scores.to_dicts() if row.get("verdict")}
    own = _new(client, experiment, variant, {PARENT: root, **texts, **verdicts})
    _log(client, own, {f"{row['split']}/{name}": value for row in scores.to_dicts() for name, value in row.items()})
    eras = run.per_era.filter(variant=variant)
    for seed in eras["seed"].unique().sort():
        rows = eras.filter(seed=seed)
        child = _new(client, experiment, f"{variant}@{seed}", {PARENT: own})
        client.log_param(child, "seed", seed)
        _log(client, child, dict(_means(rows)))
        for era, corr in rows.select("era", "corr").drop_nulls().drop_nans().sort("era").iter_rows():
            client.log_metric(child, "corr", corr, step=era)
        client.set_terminated(child)
    client.set_terminated(own)


def _means(eras: "pl.DataFrame") -> Iterator[tuple[str, Any]]:
    """`<split>/<metric>_mean` of one seed over the eras that have the metric."""
    names = [name for name, dtype in eras.schema.items() if dtype.is_float()]
    for split in eras["split"].unique().sort():
        part = eras.filter(split=split)
        yield from ((f"{split}/{name}_mean", part[name].drop_nans().drop_nulls().mean()) for name in names)


def _log(client: "MlflowClient", run_id: str, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            client.log_metric(run_id, name, value)


def _new(client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str]) -> str:
    return str(client.create_run(experiment, tags=dict(tags), run_name=name).info.run_id)


def _tags(run: Run) -> dict[str, str]:
    data = run.manifest["data"]
    facts = {
        "nlab.version": run.manifest.get("nlab"),
        "nlab.data": run.manifest["comparable"]["data version"],
        "nlab.synthetic": "SYNTHETIC" if data["synthetic"] else "no",
        "nlab.target": data["resolved_target"],
        "nlab.leak": run.manifest["leak"],
    }
    return {name: str(value) for name, value in facts.items() if value}
