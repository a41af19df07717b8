"""`nlab export`: writes generated columns and synthetic eras of a run to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import Plugins, expanded, say, stop

if TYPE_CHECKING:
    from numerai_lab.studies.export import Exported


def export(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    out: Annotated[
        Path, typer.Option(callback=expanded, help="a new .parquet file; a card of the same name with .md is put beside it")
    ],
    generator: Annotated[str | None, typer.Option(help="a generator of the run, by name", show_default=False)] = None,
    augmenter: Annotated[str | None, typer.Option(help="or an augmenter of the run, by name", show_default=False)] = None,
    eras: Annotated[int, typer.Option(help="synthetic eras to write; --augmenter only")] = 200,
    seed: Annotated[int | None, typer.Option(help="which of the run's seeds; default the first")] = None,
    plugin: Plugins = None,
) -> None:
    """Write a run's generated columns, or synthetic eras, to a file.

    --generator: columns of train, validation and live rows with id and era. --augmenter: synthetic eras in the tournament's
    layout. A data card beside either. Nothing is fitted again.
    """
    from numerai_lab.report.progress import progress_display
    from numerai_lab.studies.export import export_run
    from numerai_lab.studies.export_eras import export_eras

    if augmenter is not None and generator is None:
        print_exported(export_eras(run, augmenter, eras, out, progress_display(), seed))
    elif generator is not None and augmenter is None:
        print_exported(export_run(run, generator, out, progress_display(), seed))
    else:
        stop("name either --generator or --augmenter")


def print_exported(exported: "Exported") -> None:
    """Prints the remarks, path and counts of an export."""
    for remark in exported.remarks:
        say(f"note: {remark}")
    counts = ", ".join(f"{name} {count:,}" for name, count in exported.rows.items())
    print(f"{exported.path}  {counts}")
