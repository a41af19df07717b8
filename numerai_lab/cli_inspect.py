"""`nlab inspect`: what the generators of a run learned."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.terminal import HowShown, print_table, say


def inspect(
    run: Annotated[Path, typer.Argument(help="a finished run folder", show_default=False)],
    how: HowShown = "table",
) -> None:
    """Look at what a run's generators learned.

    What is new in their columns, whether seeds agree, drift, importance: a table, and inspection.html in the run folder.
    """
    from numerai_lab.finished import read_run
    from numerai_lab.inspection import inspected
    from numerai_lab.report.inspection_page import COLUMNS, LEGEND, inspection_page, inspection_table
    from numerai_lab.report.page import heading
    from numerai_lab.report.progress import shown
    from numerai_lab.runs import write_page

    found = read_run(run)
    generators = inspected(found, shown())
    if not generators:
        say(f"{found.name}: no generators")
        return
    page = found.path / "inspection.html"
    write_page(page, inspection_page(f"Generators of {found.name}", heading(found.manifest), generators))
    print_table(inspection_table(generators), how, COLUMNS, [found.name])
    if how == "table":
        print("", *LEGEND, sep="\n")
    say(f"page: {page}")
