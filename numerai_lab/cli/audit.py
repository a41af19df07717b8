"""`nlab audit`: checks data and config for leaks."""

from pathlib import Path
from typing import Annotated

import typer

from numerai_lab.cli.terminal import ConfigFile, FormatOption, Plugins, Set, expanded, print_table, put, say


def audit(
    config: ConfigFile,
    overrides: Set = None,
    plugin: Plugins = None,
    table_format: FormatOption = "table",
    out: Annotated[Path, typer.Option(callback=expanded, help="the report, as Markdown")] = Path("audit.md"),
) -> None:
    """Look for leaks in the data, then train a config on broken data, where no score may survive.

    Targets permuted, rows reordered, validation features replaced; and what each generator,
    augmenter and fold saw. Exit code 1 if a check fails.
    """
    import polars as pl

    from numerai_lab.config.loading import load_config
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.report.progress import progress_display
    from numerai_lab.report.tables import TableColumn, markdown
    from numerai_lab.runs.output_files import check_writable, write_page
    from numerai_lab.studies.audit import CANNOT_SEE
    from numerai_lab.studies.audit import audit as audit_config

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    check_writable(out)
    result = audit_config(loaded, progress_display())
    table = pl.DataFrame(result.rows())
    columns = [TableColumn(name, name, "s") for name in ("verdict", "check", "subject", "numbers")]
    verdict = f"{loaded.name}: {len(result.checks) - len(result.failed)} of {len(result.checks)} checks passed"
    verdict += " (SYNTHETIC data)" if result.synthetic else ""
    unseen = ["What this audit cannot see:", *(f"- {leak}" for leak in CANNOT_SEE)]
    write_page(out, "\n".join([f"# Audit of {loaded.name}", "", verdict, "", markdown(table, columns), "", *unseen, ""]))
    print_table(table, table_format, columns, wrap=True)
    if table_format == "table":
        put(*unseen)
    say(f"{verdict}; written to {out}")
    if result.failed:
        first = result.failed[0]
        first_text = f"{first.check} ({first.subject}): {first.numbers}"
        raise NlabFailure(f"audit: {len(result.failed)} checks failed, the first: {first_text}")
