"""The files of a run that people read: scores.md, plots and report.html."""

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from numerai_lab.config import Config
from numerai_lab.report.plots import cumulative, drawn, improvement
from numerai_lab.report.tables import NOTES, Shown, coverage, formatted, markdown, summary_columns, with_interval, with_values
from numerai_lab.report.verdicts import verdicts
from numerai_lab.runs import RunFolder

if TYPE_CHECKING:
    import polars as pl


def write_report(folder: RunFolder, config: Config, eras: "pl.DataFrame", scores: "pl.DataFrame") -> None:
    """scores.md, plots/*.svg and report.html into the run folder."""
    import polars as pl

    table = with_interval(scores)
    columns = with_values(table, (*summary_columns(config.scoring.legacy), NOTES))
    folder.write_text("scores.md", scores_page(config.name, heading(folder.manifest), scores, config.scoring.legacy))
    eras = eras.filter(pl.col("split").is_in(("val1", "val2")))
    late = eras.filter(pl.col("split") == "val2")["era"]
    starts = None if late.is_empty() else int(late.to_numpy().min())
    order = list(config.variants)
    plots = {
        "cumulative_corr": drawn(cumulative(eras), "Cumulative corr", order, starts),
        "improvement": drawn(
            improvement(eras, config.reference), f"Cumulative improvement over {config.reference}", order, starts
        ),
    }
    for name, svg in plots.items():
        folder.write_text(f"plots/{name}.svg", svg)
    folder.write_text("report.html", _page(folder, config, table, columns, plots))


def scores_page(title: str, head: Sequence[str], scores: "pl.DataFrame", legacy: bool) -> str:
    """The score table as Markdown, with what stands above and below it."""
    table = with_interval(scores)
    columns = with_values(table, (*summary_columns(legacy), NOTES))
    said = [*coverage(scores), "", *(f"- {line}" for line in verdicts(scores))]
    return "\n".join([f"# {title}", "", *head, "", markdown(table, columns), "", *said, ""])


def heading(manifest: dict[str, Any]) -> list[str]:
    """What has to stand above every table: the data, said to be synthetic if it is, target, splits, leaks."""
    data, comparable = manifest["data"], manifest["comparable"]
    horizon = f"{data['horizon_days']}-day" if data["horizon_days"] else "unknown horizon"
    lines = [
        f"{'SYNTHETIC data' if data['synthetic'] else 'data'}: {comparable['data version']}; "
        f"target {data['resolved_target']} ({horizon}); {manifest['scoring']['fnc']}",
        f"train {data['train_rows']:,} rows; val1 eras {comparable['val1']}; val2 eras {comparable['val2']}",
    ]
    if manifest.get("cv"):
        cv = manifest["cv"]
        lines.append(f"cv: the training eras out of fold ({cv['folds']} folds, {cv['scheme']}), which is no validation")
    return lines + ([manifest["leak"]] if manifest["leak"] else [])


def _page(folder: RunFolder, config: Config, table: "pl.DataFrame", columns: list[Shown], plots: dict[str, str]) -> str:
    from jinja2 import Environment
    from markupsafe import Markup

    template = files("numerai_lab.report").joinpath("report.html").read_text(encoding="utf-8")
    rows = [
        [formatted(value, column.style) for value, column in zip(row, columns, strict=True)]
        for row in table.select([column.name for column in columns]).rows()
    ]
    svgs = {name: Markup(svg[svg.index("<svg") :]) for name, svg in plots.items()}  # drawn by us; labels escaped by matplotlib
    return (
        Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            config=config,
            heading=heading(folder.manifest),
            columns=columns,
            rows=rows,
            coverage=coverage(table),
            verdicts=verdicts(table),
            plots=svgs,
            manifest=folder.manifest,
            stages=folder.stages,
            config_yaml=config.to_yaml(),
        )
    )
