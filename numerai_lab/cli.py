"""The `nlab` command: parses arguments, calls one function, prints. Heavy imports live inside the commands."""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from numerai_lab.commands.cache import cache_app
from numerai_lab.commands.checks import audit, methods, score
from numerai_lab.commands.data import data_app
from numerai_lab.commands.export import export, transform
from numerai_lab.commands.inspect import inspect
from numerai_lab.commands.look import list_, open_, show
from numerai_lab.commands.new import kinds, new, schema
from numerai_lab.commands.power import power
from numerai_lab.commands.sweep import sweep
from numerai_lab.commands.terminal import ConfigFile, Format, HowShown, Set, by_suffix, expanded, print_table, say
from numerai_lab.commands.unseal import ledger, unseal

if TYPE_CHECKING:
    from numerai_lab.config.schema import Config
    from numerai_lab.experiment import How

app = typer.Typer(
    help="Find out whether unsupervised features and synthetic rows make Numerai models better.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")


@app.command()
def run(
    config: ConfigFile,
    overrides: Set = None,
    runs_dir: Annotated[Path, typer.Option(callback=expanded, help="where run folders go")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and do nothing")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the newest killed run of this config")] = False,
    force: Annotated[bool, typer.Option("--force", help="run even if memory or disk seem too small")] = False,
    cached: Annotated[bool, typer.Option("--cache/--no-cache", help="take finished stages from the cache")] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="read data and cache through, not only what changed since it was last read")
    ] = False,
    how: HowShown = "table",
) -> None:
    """Run a config into a new, scored run folder."""
    from numerai_lab.config.loading import load_config
    from numerai_lab.runs.writing import unfinished_runs

    loaded, remarks = load_config(config, overrides or [])
    if dry_run:
        _print_plan(loaded, remarks, how)
        return
    from numerai_lab.experiment import How

    unfinished = unfinished_runs(runs_dir, loaded)
    if resume and not unfinished:
        say(f"no unfinished run of this config in {runs_dir}: starting a new one")
    if unfinished and not resume:
        say(f"unfinished run of this config: `nlab resume {unfinished[0]}` goes on with it")
    go_on_in = unfinished[0] if resume and unfinished else None
    _run(loaded, runs_dir, remarks, How(cached, go_on_in, force, verify=verify), how)


@app.command()
def resume(
    folder: Annotated[
        Path, typer.Argument(callback=expanded, help="the .unfinished-… folder of a run that was killed", show_default=False)
    ],
    how: HowShown = "table",
) -> None:
    """Go on with a run that was killed."""
    from numerai_lab.config.loading import load_config
    from numerai_lab.experiment import How
    from numerai_lab.runs.layout import CONFIG
    from numerai_lab.runs.writing import unfinished_run

    found = unfinished_run(folder)
    loaded, remarks = load_config(found / CONFIG)
    _run(loaded, found.parent, remarks, How(unfinished=found), how)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(callback=expanded, help="run folders", show_default=False)],
    sort: Annotated[str, typer.Option(help="column to rank by, over val1 and val2 together; best first")] = "corr_mean",
    reference: Annotated[str | None, typer.Option(help="variant, or run/variant, that others are compared with")] = None,
    how: HowShown = "table",
    out: Annotated[
        Path | None, typer.Option(callback=expanded, help="write the table into this file instead of printing it")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(callback=expanded, help="also write a page to sort and filter, with plots, into this file")
    ] = None,
    only_changed: Annotated[
        bool, typer.Option("--only-changed", help="add the config's keys that are not the same in all runs")
    ] = False,
) -> None:
    """Set runs side by side.

    One table a group of runs that saw the same data, target, horizon and eras.
    """
    import polars as pl

    from numerai_lab.report.comparison import compare as compare_runs
    from numerai_lab.report.differing import with_config
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_of_comparison

    found = compare_runs(runs, sort, reference)
    for line in (*found.skipped, *found.differences):
        say(line)
    if html is not None:
        from numerai_lab.report.comparison_page import comparison_page
        from numerai_lab.runs.output_files import write_page

        write_page(html, comparison_page(found, html))
        say(f"page: {html}")
    told = [with_config(group.table, group.members) if only_changed else (group.table, []) for group in found.groups]
    if how == "table" and out is None:
        for group, (table, keys) in zip(found.groups, told, strict=True):
            same = "; ".join(f"{key} {value}" for key, value in group.comparable.items())
            print_table(table, how, summary_columns(False, keys), [f"Δ against {group.reference}", same])
            print("", *lines_of_comparison(group.table), sep="\n")
        return
    tables = [table.with_columns(pl.lit(i).alias("group")) for i, (table, _) in enumerate(told, start=1)]
    print_table(pl.concat(tables, how="diagonal_relaxed"), how if how != "table" else by_suffix(out), (), (), out)


@app.command()
def validate(config: ConfigFile, overrides: Set = None) -> None:
    """Check a config, and say every problem at once."""
    from numerai_lab.config.loading import load_config

    loaded, remarks = load_config(config, overrides or [])
    for remark in remarks:
        say(remark)
    print(f"{config}: valid; {len(loaded.variants)} variants: {', '.join(loaded.variants)}")


app.command()(score)
app.command()(audit)
app.command()(methods)
app.command()(export)
app.command()(transform)
app.command()(show)
app.command()(sweep)
app.command()(power)
app.command()(inspect)
app.command()(unseal)
app.command()(ledger)
app.command("open")(open_)
app.command("list")(list_)
app.command()(new)
app.command()(schema)


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="a generator, augmenter, model, metric or source", autocompletion=kinds)],
    how: HowShown = "table",
) -> None:
    """Explain a method: parameters, output, source. As CSV, its parameters alone."""
    import polars as pl

    from numerai_lab.commands.catalogue import description
    from numerai_lab.report.tables import Shown

    found = description(name)
    if how == "json":
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    parameters = pl.DataFrame(found["parameters"], schema=dict.fromkeys(("name", "type", "default", "says"), pl.String))
    if how != "csv":
        mark, end = ("# ", "\n") if how == "md" else ("", "")
        print(f"{mark}{found['name']} ({found['family']})\n\n{found['text']}\n\nEmits: {found['emits']}.{end}")
    print_table(
        parameters,
        how,
        (
            Shown("name", "parameter", "s"),
            Shown("type", "type", "s"),
            Shown("default", "default", "s"),
            Shown("says", "says", "s"),
        ),
        wrap=True,
    )


def main() -> None:
    """Entry point: exit code 0, 1 (failure), 2 (bad input)."""
    _log_to_stderr()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends as Ctrl-C does: nothing half-written stays
    from numerai_lab.core.errors import NlabError, NlabFailure, told

    try:
        app(prog_name="nlab")
    except NlabError as error:
        say(f"nlab: {error}")
        sys.exit(1 if isinstance(error, NlabFailure) else 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of a pipe went away: not our error
        sys.exit(1)
    except Exception as error:
        failure = told(error)
        if failure is error:
            raise
        say(f"nlab: {failure}")
        sys.exit(1)


def _run(config: "Config", runs_dir: Path, remarks: list[str], manner: "How", how: Format) -> None:
    from numerai_lab.experiment import run as run_experiment
    from numerai_lab.report.page import heading
    from numerai_lab.report.progress import shown
    from numerai_lab.report.tables import summary_columns
    from numerai_lab.report.verdicts import lines_below

    done = run_experiment(config, runs_dir, shown(), remarks, manner)
    print_table(done.scores, how, summary_columns(config.scoring.legacy), [done.name, *heading(done.manifest)])
    if how == "table":
        print("", *lines_below(done.scores), sep="\n")
    say(f"run folder: {done.path}")


def _print_plan(config: "Config", remarks: list[str], how: Format) -> None:
    from numerai_lab.fitting.plan import plan

    found = plan(config)
    for remark in remarks:
        say(remark)
    if how == "json":
        print(json.dumps({"config": config.resolved(), **found.as_dict()}, indent=1, ensure_ascii=False))
        return
    print(config.to_yaml())
    print("\n".join(found.lines()))


def _log_to_stderr() -> None:
    log = logging.getLogger("nlab")
    log.setLevel(logging.INFO)
    log.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
