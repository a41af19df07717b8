"""`nlab score`, `nlab audit`, `nlab methods`: predictions of others, whether a config can be trusted, what each method does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.commands.terminal import ConfigFile, HowShown, Set, expanded, print_table, say, stop

if TYPE_CHECKING:
    from numerai_lab.studies.methods import Trial


def score(
    predictions: Annotated[
        Path, typer.Argument(callback=expanded, help=".parquet or .csv: id, maybe era, a column a model", show_default=False)
    ],
    config: Annotated[
        Path | None, typer.Argument(callback=expanded, help="take data, splits and scoring of this config", show_default=False)
    ] = None,
    overrides: Set = None,
    reference: Annotated[str | None, typer.Option(help="the column others are compared with; default the first")] = None,
    how: HowShown = "table",
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="a new folder for scores.csv, scores.md and per_era.parquet")
    ] = None,
) -> None:
    """Score a file of predictions as a run would.

    Its rows are joined to the data by id; what doesn't match is counted, and too little of it is an error.
    """
    from numerai_lab.config.loading import load_part
    from numerai_lab.report.page import scores_page
    from numerai_lab.report.progress import shown
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_below
    from numerai_lab.runs.output_files import write_scores
    from numerai_lab.studies.rescore import score_predictions

    asked = load_part(config, overrides or [], ("data", "splits", "scoring"))
    if out is not None and out.exists():
        stop(f"--out: {out} exists already; name a new folder")
    found = score_predictions(predictions, asked, shown(), reference)
    if out is not None:
        write_scores(out, found.eras, found.scores, scores_page(predictions.name, found.head, found.scores, asked.scoring.legacy))
    print_table(found.scores, how, summary_columns(asked.scoring.legacy), [predictions.name, *found.head])
    if how == "table":
        print("", *lines_below(found.scores), sep="\n")


def audit(
    config: ConfigFile,
    overrides: Set = None,
    how: HowShown = "table",
    out: Annotated[Path, typer.Option(callback=expanded, help="the report, as Markdown")] = Path("audit.md"),
) -> None:
    """Look for leaks in the data, then train a config on broken data, where no score may survive.

    Targets permuted, rows reordered, validation features replaced; and what each generator,
    augmenter and fold saw. Exit code 1 if a check fails.
    """
    import polars as pl

    from numerai_lab.config.loading import load_config
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.report.progress import shown
    from numerai_lab.report.tables import Shown, markdown
    from numerai_lab.runs.output_files import check_writable, write_page
    from numerai_lab.studies.audit import CANNOT_SEE
    from numerai_lab.studies.audit import audit as audit_config

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    check_writable(out)
    found = audit_config(loaded, shown())
    table, columns = pl.DataFrame(found.rows()), [Shown(name, name, "s") for name in ("verdict", "check", "subject", "numbers")]
    verdict = f"{loaded.name}: {len(found.checks) - len(found.failed)} of {len(found.checks)} checks passed"
    verdict += " (SYNTHETIC data)" if found.synthetic else ""
    unseen = ["What this audit cannot see:", *(f"- {leak}" for leak in CANNOT_SEE)]
    write_page(out, "\n".join([f"# Audit of {loaded.name}", "", verdict, "", markdown(table, columns), "", *unseen, ""]))
    print_table(table, how, columns, wrap=True)
    if how == "table":
        print(*unseen, sep="\n")
    say(f"{verdict}; written to {out}")
    if found.failed:
        first = found.failed[0]
        raise NlabFailure(
            f"audit: {len(found.failed)} checks failed, the first: {first.check} ({first.subject}): {first.numbers}"
        )


def methods(
    config: ConfigFile,
    overrides: Set = None,
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders go, a folder a method")] = Path("runs"),
    jobs: Annotated[int, typer.Option(min=1, help="methods at a time; seconds and memory are best measured alone")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="this method alone; repeatable")] = None,
    out: Annotated[Path | None, typer.Option(callback=expanded, help="the table, as Markdown; default beside the config")] = None,
) -> None:
    """Run every generator and augmenter there is under one config's data, splits and model.

    Each in a run of its own, with raw features and against its placebo; those that the config names itself as they stand
    there, the others with their defaults. What was computed before comes from the cache; the table grows by a row a method.
    """
    from numerai_lab.config.loading import load_config
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.runs.output_files import check_writable, write_page
    from numerai_lab.studies.methods import page, run_each

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    trials: list[Trial] = []
    place = out or config.with_suffix(".md")
    check_writable(place)
    for trial in run_each(loaded, runs_dir / f"{loaded.name}_each", say, jobs, only or []):
        trials.append(trial)
        write_page(place, page(loaded, trials))  # what there is so far: all of them take hours
    print(place)
    if failed := [trial for trial in trials if trial.run is None]:
        raise NlabFailure(f"methods: {len(failed)} of {len(trials)} failed, the first: {failed[0].name}: {failed[0].failure}")
