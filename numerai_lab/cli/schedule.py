"""`nlab schedule`: prints a file that has a machine predict and submit in every round."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from numerai_lab.cli.outcome import OutcomeOption, print_outcome
from numerai_lab.cli.terminal import expanded, put_text, say


def schedule(
    kind: Annotated[
        Literal["cron", "github", "systemd", "numerai-node"],
        typer.Option("--as", help="what the file is for", show_default=False),
    ],
    run: Annotated[Path, typer.Argument(callback=expanded, help="the run folder that predicts")] = Path("runs/RUN"),
    model: Annotated[str, typer.Option(help="name of your model at Numerai")] = "MODEL",
    variant: Annotated[str | None, typer.Option(help="the variant that predicts; default: the best by validation")] = None,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Print a file that has a machine predict and submit in every round.

    It names the variables or the file that hold the keys, and holds none. Save it under the name that its first line says.
    """
    from numerai_lab.tournament.schedule import Schedule, scheduled

    text = scheduled(kind, Schedule(run, model, variant))
    absent = [name for name, given in (("the run folder", run.is_dir()), ("--model", model != "MODEL")) if not given]
    if outcome_format == "text":
        put_text(text)
    print_outcome(outcome_format, lambda: {"as": kind, "text": text, "absent": absent})
    if absent:
        say(f"note: set {' and '.join(absent)} in the file, or name what is there")
