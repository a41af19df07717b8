"""`nlab score` and `nlab audit`: other people's predictions, and whether a config can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.terminal import ConfigFile, HowShown, Set, print_table, say, stop


def score(
    predictions: Annotated[Path, typer.Argument(help=".parquet or .csv: id, maybe era, a column a model", show_default=False)],
    config: Annotated[
        Path | None, typer.Argument(help="take data, splits and scoring of this config", show_default=False)
    ] = None,
    overrides: Set = None,
    reference: Annotated[str | None, typer.Option(help="the column others are compared with; default the first")] = None,
    how: HowShown = "table",
    out: Annotated[Path | None, typer.Option(help="a new folder for scores.csv, scores.md and per_era.parquet")] = None,
) -> None:
    """Score a file of predictions as a run would.

    Its rows are joined to the data by id; what doesn't match is counted, and too little of it is an error.
    """
    from numerai_lab.config import load_part
    from numerai_lab.report.page import scores_page
    from numerai_lab.report.progress import shown
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import verdicts
    from numerai_lab.rescore import score_predictions
    from numerai_lab.runs import write_scores

    asked = load_part(config, overrides or [], ("data", "splits", "scoring"))
    if out is not None and out.exists():
        stop(f"--out: {out} exists already; name a new folder")
    found = score_predictions(predictions, asked, shown(), reference)
    if out is not None:
        write_scores(out, found.eras, found.scores, scores_page(predictions.name, found.head, found.scores, asked.scoring.legacy))
    print_table(found.scores, how, summary_columns(asked.scoring.legacy), [predictions.name, *found.head])
    if how == "table":
        print("", *verdicts(found.scores), sep="\n")


def audit(
    config: ConfigFile,
    overrides: Set = None,
    how: HowShown = "table",
    out: Annotated[Path, typer.Option(help="the report, as Markdown")] = Path("audit.md"),
) -> None:
    """Train a config on broken data, where no score may survive.

    Targets permuted and exchanged, validation features replaced; and what each generator saw. Exit code 1 if a check fails.
    """
    import polars as pl

    from numerai_lab.audit import audit as audit_config
    from numerai_lab.basics import NlabFailure
    from numerai_lab.config import load_config
    from numerai_lab.report.progress import shown
    from numerai_lab.report.tables import Shown, markdown

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    found = audit_config(loaded, shown())
    table, columns = pl.DataFrame(found.rows()), [Shown(name, name, "s") for name in ("verdict", "check", "subject", "numbers")]
    verdict = f"{loaded.name}: {len(found.checks) - len(found.failed)} of {len(found.checks)} checks passed"
    out.write_text("\n".join([f"# Audit of {loaded.name}", "", verdict, "", markdown(table, columns), ""]), encoding="utf-8")
    print_table(table, how, columns, wrap=True)
    say(f"{verdict}; written to {out}")
    if found.failed:
        first = found.failed[0]
        raise NlabFailure(
            f"audit: {len(found.failed)} checks failed, the first: {first.check} ({first.subject}): {first.numbers}"
        )
