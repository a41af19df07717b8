"""`nlab score`: scores a file of predictions."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import FormatOption, Plugins, Set, expanded, print_lines, print_table, stop

TruthOption = Annotated[
    Path | None,
    typer.Option(callback=expanded, help="truth.parquet of a synthetic tournament, or its folder; default that of the data"),
]


def score(
    predictions: Annotated[
        Path, typer.Argument(callback=expanded, help=".parquet or .csv: id, maybe era, a column a model", show_default=False)
    ],
    config: Annotated[
        Path | None, typer.Argument(callback=expanded, help="take data, splits and scoring of this config", show_default=False)
    ] = None,
    overrides: Set = None,
    plugin: Plugins = None,
    reference: Annotated[str | None, typer.Option(help="the column others are compared with; default the first")] = None,
    truth: TruthOption = None,
    oracle: Annotated[str | None, typer.Option(help="the column of a model that reads the oracle")] = None,
    table_format: FormatOption = "table",
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="a new folder for the scores, which `nlab compare` takes beside runs")
    ] = None,
) -> None:
    """Score a file of predictions as a run would.

    Rows are joined to the data by id. Rows that don't match are counted; too few matches are an error.
    """
    from numerai_lab.config.loading import load_part
    from numerai_lab.report.page import scores_page
    from numerai_lab.report.progress import progress_display
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_below
    from numerai_lab.runs.output_files import Tables, write_scores
    from numerai_lab.studies.rescore import Compared, score_predictions

    settings = load_part(config, overrides or [], ("data", "splits", "scoring"))
    if out is not None and out.exists():
        stop(f"--out: {out} exists already; name a new folder")
    scored = score_predictions(predictions, settings, progress_display(), Compared(reference, truth, oracle))
    if out is not None:
        page = scores_page(predictions.name, scored.head, scored.scores, settings.scoring.legacy)
        write_scores(out, Tables(scored.scores, scored.eras), page, scored.facts)
    print_table(scored.scores, table_format, summary_columns(settings.scoring.legacy), [predictions.name, *scored.head])
    if table_format == "table":
        print_lines(["", *lines_below(scored.scores)])
