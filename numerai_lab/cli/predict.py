"""`nlab predict`: predictions of a finished run for the rows of a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.outcome import OutcomeFormat, OutcomeOption, file_facts, print_outcome
from numerai_lab.cli.terminal import Plugins, expanded, say

if TYPE_CHECKING:
    from numerai_lab.tournament.live import Written

Out = Annotated[Path, typer.Option(callback=expanded, help="the CSV of id,prediction to write")]
Chosen = Annotated[str | None, typer.Option(help="a variant of the run; default the best by validation", show_default=False)]


def predict(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    rows: Annotated[
        Path, typer.Argument(metavar="FILE", callback=expanded, help="rows with the run's features", show_default=False)
    ],
    out: Out,
    variant: Chosen = None,
    plugin: Plugins = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Predict the rows of a file with a finished run.

    Writes ranks within the era, 0 to 1, averaged over seeds. The run folder is enough: nothing is fitted and no other data is
    read. Columns may stand in any order.
    """
    from numerai_lab.report.progress import progress_display
    from numerai_lab.tournament.live import predict_file

    print_written(predict_file(run, rows, out, progress_display(), variant), outcome_format)


def print_written(written: "Written", how: OutcomeFormat) -> None:
    """Prints the facts of a file of predictions, and on stderr what stands beside them."""
    for remark in written.remarks:
        say(f"note: {remark}")
    lines = [*(f"{name}: {value}" for name, value in written.facts.items()), f"written to {written.path}"]
    remarks = list(written.remarks)
    print_outcome(how, lambda: {"files": file_facts(written.path), "facts": dict(written.facts), "remarks": remarks}, lines)
