"""`nlab export`: writes generated columns and synthetic eras of a run to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from numerai_lab.cli.outcome import OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import Plugins, expanded, say, stop

if TYPE_CHECKING:
    from numerai_lab.studies.export import Exported


def export(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="a new .parquet file; a card of the same name with .md is put beside it"),
    ] = None,
    generator: Annotated[str | None, typer.Option(help="a generator of the run, by name", show_default=False)] = None,
    augmenter: Annotated[str | None, typer.Option(help="or an augmenter of the run, by name", show_default=False)] = None,
    eras: Annotated[int, typer.Option(help="synthetic eras to write; --augmenter only")] = 200,
    seed: Annotated[int | None, typer.Option(help="which of the run's seeds; default the first")] = None,
    mlflow: Annotated[
        str | None, typer.Option(metavar="URI", help="or copy the run's config, scores and report into MLflow")
    ] = None,
    plugin: Plugins = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Write a run's generated columns, or synthetic eras, to a file, or its scores into MLflow.

    --generator: columns of train, validation and live rows with id and era. --augmenter: synthetic eras in the tournament's
    layout. A data card beside either. Nothing is fitted again. --mlflow: a tracking store, such as sqlite:///mlflow.db or
    http://localhost:5000.
    """
    from numerai_lab.report.progress import progress_display
    from numerai_lab.studies.export import export_run
    from numerai_lab.studies.export_eras import export_eras

    if mlflow is not None:
        if augmenter or generator or out:
            stop("--mlflow copies a whole run; leave --generator, --augmenter and --out out")
        from numerai_lab.studies.mlflow_export import export_to_mlflow

        name = export_to_mlflow(run, mlflow)
        print_outcome(outcome_format, lambda: {"mlflow": mlflow, "run": name}, [f"{mlflow}: MLflow run {name}"])
    elif out is None:
        stop("name the file by --out")
    elif augmenter is not None and generator is None:
        done = export_eras(run, augmenter, eras, out, progress_display(), seed)
        print_outcome(outcome_format, lambda: exported_facts(done), [exported_line(done)])
    elif generator is not None and augmenter is None:
        done = export_run(run, generator, out, progress_display(), seed)
        print_outcome(outcome_format, lambda: exported_facts(done), [exported_line(done)])
    else:
        stop("name either --generator or --augmenter")


def exported_line(exported: "Exported") -> str:
    """The path and counts of an export; says its remarks on stderr."""
    for remark in exported.remarks:
        say(f"note: {remark}")
    counts = ", ".join(f"{name} {count:,}" for name, count in exported.rows.items())
    return f"{exported.path}  {counts}"


def exported_facts(exported: "Exported") -> dict[str, Any]:
    """The files, rows by split and remarks of an export."""
    return {"files": file_facts(exported.path, exported.card), "rows": exported.rows, "remarks": list(exported.remarks)}
