"""`nlab export` and `nlab transform`: generated columns as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.terminal import ConfigFile, Set, say

if TYPE_CHECKING:
    from numerai_lab.export import Exported


def export(
    run: Annotated[Path, typer.Argument(help="a finished run folder", show_default=False)],
    generator: Annotated[str, typer.Option(help="a generator of the run, by name", show_default=False)],
    out: Annotated[Path, typer.Option(help="a new .parquet file; a card of the same name with .md is put beside it")],
    seed: Annotated[int | None, typer.Option(help="which of the run's seeds; default the first")] = None,
) -> None:
    """Write a run's generated columns to a file.

    Train, validation and live rows with id and era, and a data card. Nothing is fitted again.
    """
    from numerai_lab.export import export_run
    from numerai_lab.report.progress import shown

    _tell(export_run(run, generator, out, shown(), seed))


def transform(
    config: ConfigFile,
    overrides: Set = None,
    out: Annotated[Path | None, typer.Option(help="a new folder; default NAME_columns", show_default=False)] = None,
) -> None:
    """Download, fit generators and write their columns.

    One file a generator, in a new folder, as `nlab export` writes them; no model is trained.
    """
    from numerai_lab.config import load_config
    from numerai_lab.export import transform as transform_config
    from numerai_lab.report.progress import shown

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
