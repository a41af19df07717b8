"""`nlab live`: predictions of a finished run for the tournament's live rows."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption
from numerai_lab.cli.predict import Chosen, Out, print_written
from numerai_lab.cli.terminal import Plugins, expanded


def live(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    out: Out,
    variant: Chosen = None,
    plugin: Plugins = None,
    data: Annotated[
        Path | None,
        typer.Option(callback=expanded, help="a file of live rows; default those of the run's data source", show_default=False),
    ] = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="train the variant again on all resolved eras before; that model is never scored")
    ] = False,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Predict the live rows with a finished run, for the tournament.

    The run folder and the live rows are enough. With Numerai's data they are fetched anew for the current round; rows of an
    earlier round are never used. The file is checked as Numerai checks submissions. `nlab submit` sends it.
    """
    from numerai_lab.report.progress import progress_display
    from numerai_lab.tournament.live import live as predict_live

    print_written(predict_live(run, out, progress_display(), variant, data, refit=refit), outcome_format)
