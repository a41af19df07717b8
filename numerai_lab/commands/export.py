"""`nlab export` and `nlab transform`: generated columns and synthetic eras as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.commands.terminal import ConfigFile, Set, expanded, say, stop

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
) -> None:
    """Write a run's generated columns, or synthetic eras, to a file.

    --generator: columns of train, validation and live rows with id and era. --augmenter: synthetic eras in the tournament's
    layout. A data card beside either. Nothing is fitted again.
    """
    from numerai_lab.report.progress import shown
    from numerai_lab.studies.export import export_run
    from numerai_lab.studies.export_eras import export_eras

    if augmenter is not None and generator is None:
        _tell(export_eras(run, augmenter, eras, out, shown(), seed))
    elif generator is not None and augmenter is None:
        _tell(export_run(run, generator, out, shown(), seed))
    else:
        stop("name either --generator or --augmenter")


def transform(
    config: ConfigFile,
    overrides: Set = None,
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="a new folder; default NAME_columns", show_default=False)
    ] = None,
) -> None:
    """Download, fit generators and write their columns.

    One file a generator, in a new folder, as `nlab export` writes them; no model is trained.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.report.progress import shown
    from numerai_lab.studies.export import transform as transform_config

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    for exported in transform_config(loaded, out or Path(f"{loaded.name}_columns"), shown()):
        _tell(exported)


def _tell(exported: "Exported") -> None:
    for remark in exported.remarks:
        say(f"note: {remark}")
    counts = ", ".join(f"{name} {count:,}" for name, count in exported.rows.items())
    print(f"{exported.path}  {counts}")
