"""`nlab inspect`: diagnostics of a run's generators, and realism of its synthetic eras."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, Plugins, TableFormat, expanded, print_table, put, say

if TYPE_CHECKING:
    from numerai_lab.report.inspected import Inspected
    from numerai_lab.report.probes import Probed
    from numerai_lab.runs.reading import Run


def inspect(
    run: Annotated[Path, typer.Argument(callback=expanded, help="a finished run folder", show_default=False)],
    rows: Annotated[bool, typer.Option("--rows", help="only how real invented rows are")] = False,
    probes: Annotated[bool, typer.Option("--probes", help="only how well simple predictors do with the columns alone")] = False,
    plugin: Plugins = None,
    table_format: FormatOption = "table",
) -> None:
    """Look at what a run's generators learned, and at its synthetic eras.

    Columns: information beyond raw features, agreement between seeds, drift, importance, and out-of-sample scores of a linear
    and a k-NN probe, as tables and inspection.html in the run folder. Synthetic eras: correlations and bins beside those of
    held-out eras, copies, corr of trees trained on them.
    """
    from numerai_lab.report.progress import progress_display
    from numerai_lab.runs.layout import REALISM
    from numerai_lab.runs.reading import read_run
    from numerai_lab.studies.inspection import inspected
    from numerai_lab.studies.probes import probed

    done = read_run(run)
    if rows:
        _print_realism(done, table_format)
        return
    if probes:
        _print_probes(probed(done, progress_display()), done, table_format)
        return
    if generators := inspected(done, progress_display()):
        _print_generators(generators, probed(done, progress_display()), done, table_format)
    else:
        say(f"{done.name}: no generators")
        if (run / REALISM).is_file():
            _print_realism(done, table_format)


def _print_generators(
    generators: "Sequence[Inspected]", probes: "Sequence[Probed]", run: "Run", table_format: TableFormat
) -> None:
    """Writes the page, and prints its tables."""
    from numerai_lab.report.inspection_page import COLUMNS, LEGEND, inspection_page, inspection_table
    from numerai_lab.report.page import INSPECTION, heading, redrawn
    from numerai_lab.report.probes import probe_cells
    from numerai_lab.report.realism import realism_cells
    from numerai_lab.runs.layout import REALISM
    from numerai_lab.runs.output_files import write_page

    page, title, head = run.path / INSPECTION, f"Generators of {run.name}", heading(run.manifest)
    write_page(page, inspection_page(title, head, generators, realism_cells(run), probe_cells(probes)))
    redrawn(run)  # report.html links to the page now
    print_table(inspection_table(generators), table_format, COLUMNS, [run.name])
    if table_format == "table":
        put("", *LEGEND)
        _print_probes(probes, run, table_format)
        if (run.path / REALISM).is_file():
            _print_realism(run, table_format)
    say(f"page: {page}")


def _print_probes(probes: "Sequence[Probed]", run: "Run", table_format: TableFormat) -> None:
    from numerai_lab.report.probes import COLUMNS, LEGEND, probe_table

    if not probes:
        say(f"{run.name}: no probes: it keeps no generators, or fewer than two training or validation eras have targets")
        return
    print_table(probe_table(probes), table_format, COLUMNS, [run.name])
    if table_format == "table":
        put("", *LEGEND)


def _print_realism(run: "Run", table_format: TableFormat) -> None:
    from numerai_lab.report import realism as tables

    table, curve = tables.realism_table(run), tables.curve_table(run)
    print_table(table, table_format, tables.COLUMNS, [run.name])
    if table_format != "table":
        return
    put("", *tables.LEGEND, *tables.remarks(table), "")
    if curve is not None:
        print_table(curve.drop("corr_low", "corr_high"), table_format, tables.CURVE_COLUMNS)
        put("", *tables.CURVE_LEGEND, "")
    print_table(tables.measures_table(table), table_format, tables.MEASURES)
    put("", *tables.MEASURES_LEGEND)
