"""`nlab check-plugin`: tries the methods of a plug-in as the suite tries the built-in ones."""

from dataclasses import asdict
from typing import Annotated

import typer

from numerai_lab.cli.outcome import OutcomeOption, print_outcome
from numerai_lab.cli.terminal import put


def check_plugin(
    plugin: Annotated[str, typer.Argument(metavar="FILE", help="a Python file, or an installed module", show_default=False)],
    outcome_format: OutcomeOption = "text",
) -> None:
    """Try the methods of a plug-in on made-up rows.

    Each is fitted, saved, loaded and asked for the same again, with its default parameters: a line a check. Exit code 1 if a
    check fails.
    """
    from numerai_lab.config.plugins import load_plugins
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.studies.plugin_checks import plugin_checks

    (loaded,) = load_plugins([plugin])
    checks = []
    for check in plugin_checks(loaded):
        checks.append(check)
        if outcome_format == "text":
            put(check)  # at once: some take minutes
    print_outcome(outcome_format, lambda: [asdict(check) for check in checks])
    if failed := sum(bool(check.broken) for check in checks):
        raise NlabFailure(f"check-plugin: {failed} checks of {loaded.name} failed")
