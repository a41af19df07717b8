"""`nlab trust`: marks a run folder from elsewhere as one whose models may be opened."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption, print_outcome
from numerai_lab.cli.terminal import expanded


def trust(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    outcome_format: OutcomeOption = "text",
) -> None:
    """Mark a run that somebody else made as trusted.

    Its models are opened like those of your own runs from then on. Do it where you know who made it: a forged model can
    end or hold the process that reads it, and a library with a fault may do what the model says.
    """
    from numerai_lab.runs.output_files import trusted
    from numerai_lab.runs.reading import read_run

    n_files = trusted(read_run(run))
    line = f"{run}: trusted; {n_files} model files are marked as they are now"
    print_outcome(outcome_format, lambda: {"run": str(run), "model_files": n_files}, [line])
