"""`nlab inspect`: diagnostics of a run's generators, and realism of its synthetic eras."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, TableFormat, expanded, print_table, say

if TYPE_CHECKING:
    from numerai_lab.runs.reading import Run


def inspect(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    rows: Annotated[bool, typer.Option("--rows", help="only how real invented rows are")] = False,
    table_format: FormatOption = "table",
) -> None:
    """Look at what a run's generators learned, and at its synthetic eras.

    Columns: information beyond raw features, agreement between seeds, drift, importance, as a table and inspection.html in
    the run folder. Synthetic eras: correlations and bins beside those of held-out eras, copies, corr of trees trained on them.
    """
    from numerai_lab.report.inspection_page import COLUMNS, LEGEND, inspection_page, inspection_table
    from numerai_lab.report.page import INSPECTION, heading, redrawn
    from numerai_lab.report.progress import progress_display
    from numerai_lab.report.realism import realism_cells
    from numerai_lab.runs.layout import REALISM
    from numerai_lab.runs.output_files import write_page
    from numerai_lab.runs.reading import read_run
    from numerai_lab.studies.inspection import inspected

    done = read_run(run)
    if rows:
        _print_realism(done, table_format)
        return
    generators = inspected(done, progress_display())
    if not generators:
        say(f"{done.name}: no generators")
        if (run / REALISM).is_file():
            _print_realism(done, table_format)
        return
    page = done.path / INSPECTION
    write_page(page, inspection_page(f"Generators of {done.name}", heading(done.manifest), generators, realism_cells(done)))
    redrawn(done)  # report.html links to the page now
    print_table(inspection_table(generators), table_format, COLUMNS, [done.name])
    if table_format == "table":
        print("", *LEGEND, sep="\n")
        if (run / REALISM).is_file():
            _print_realism(done, table_format)
    say(f"page: {page}")


def _print_realism(run: "Run", table_format: TableFormat) -> None:
    from numerai_lab.report.realism import COLUMNS, LEGEND, realism_table, remarks

    table = realism_table(run)
    print_table(table, table_format, COLUMNS, [run.name])
    if table_format == "table":
        print("", *LEGEND, *remarks(table), sep="\n")
