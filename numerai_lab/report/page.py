"""The pages of a run: scores.md, plots and report.html."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError
from numerai_lab.report.choice import chosen
from numerai_lab.report.conclusion import conclusion_of
from numerai_lab.report.forest import forest
from numerai_lab.report.markup import Cell, cells, render
from numerai_lab.report.plots import cumulative, drawn, improvement
from numerai_lab.report.realism import realism_cells
from numerai_lab.report.run_figures import run_figures, val2_starts, validation
from numerai_lab.report.tables import NOTES, coverage, markdown, summary_columns, with_interval, with_values
from numerai_lab.report.verdicts import resolution, verdicts
from numerai_lab.runs.layout import REPORT, SCORES_PAGE, plot_file
from numerai_lab.runs.output_files import replace_page
from numerai_lab.runs.reading import Run
from numerai_lab.runs.writing import RunFolder

if TYPE_CHECKING:
    import polars as pl

INSPECTION = "inspection.html"
"""The page that `nlab inspect` writes beside the report."""
DEAREST = 12
"""Number of the slowest phases that a report shows."""


def write_report(folder: RunFolder, config: Config, eras: "pl.DataFrame", scores: "pl.DataFrame") -> None:
    """Writes scores.md, plots/*.svg and report.html into the run folder."""
    written = Run(folder.work, {**folder.manifest, "stages": folder.phases}, scores, eras, under_construction=True)
    folder.write_text(SCORES_PAGE, _scores_page_of(written, config))
    scored, order = validation(eras), list(config.variants)
    starts = val2_starts(scored)
    plots = {
        "cumulative_corr": (cumulative(scored), "Cumulative corr"),
        "improvement": (improvement(scored, config.reference), f"Cumulative improvement over {config.reference}"),
    }
    for name, (curves, title) in plots.items():
        folder.write_text(plot_file(name), drawn(curves, title, order, starts))
    folder.write_text(REPORT, report_page(written, config))


def redrawn(run: Run) -> None:
    """Writes report.html and scores.md of a finished run again. Raises NlabError as `drawn_anew` does."""
    page = drawn_anew(run)
    with _of_this_version(run):
        table = _scores_page_of(run, run.config)
    replace_page(run.path, REPORT, page)
    replace_page(run.path, SCORES_PAGE, table)


def drawn_anew(run: Run, *, with_models: bool = True) -> str:
    """The HTML of report.html of a finished run, as this version draws it. with_models: as in `run_figures`.

    Raises NlabError where the run folder holds values that this version can't draw.
    """
    with _of_this_version(run):
        return report_page(run, run.config, with_models=with_models)


@contextmanager
def _of_this_version(run: Run) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise NlabError(f"{run.path}: its manifest has no {error}; a run of another version of nlab?") from error


def _scores_page_of(run: Run, config: Config) -> str:
    head = [conclusion_of(run).sentence, "", *heading(run.manifest)]
    return scores_page(config.name, head, run.scores, config.scoring.legacy)


def scores_page(title: str, head: Sequence[str], scores: "pl.DataFrame", legacy: bool) -> str:
    """The score table as Markdown, with the lines above and below it."""
    table = with_interval(scores)
    columns = with_values(table, (*summary_columns(legacy), NOTES))
    lines = [*coverage(scores), "", *(f"- {line}" for line in verdicts(scores)), "", resolution(scores)]
    return "\n".join([f"# {title}", "", *head, "", markdown(table, columns), "", *lines, ""])


def heading(manifest: dict[str, Any]) -> list[str]:
    """Lines above every table: the data and whether it is synthetic, target, splits, leaks."""
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
    if manifest.get("retrain"):
        every, window = manifest["retrain"]["every"], manifest["retrain"]["window"]
        eras = "all eras before it" if window == "expanding" else f"the {window} eras before it"
        lines.append(f"walk: val1 and val2 by models fitted again every {every} eras on {eras}, the embargo between")
    return [*lines, *_of_holdout(manifest), *(stamp for stamp in (manifest["leak"], chosen(manifest)) if stamp)]


def _of_holdout(manifest: Mapping[str, Any]) -> list[str]:
    """A line that the holdout is sealed, or the number of looks at it through this run; none without a holdout."""
    eras, looks = manifest.get("holdout"), manifest.get("looks", 0)
    if not eras:
        return []
    times = "once" if looks == 1 else f"{looks} times"
    unsealed = f"holdout eras {eras}, unsealed {times} through this run: see holdout.csv"
    return [unsealed if looks else f"holdout eras {eras} are sealed: no score here is of them; `nlab unseal` scores them once"]


def report_page(run: Run, config: Config, *, with_models: bool = True) -> str:
    """The HTML of report.html, from the run folder. with_models: as in `run_figures`."""
    table = with_interval(run.scores)
    columns = with_values(table, (*summary_columns(config.scoring.legacy), NOTES))
    judged = conclusion_of(run)
    words = {line.variant: line.words for line in (judged.reference, *judged.lines) if line is not None}
    splits = dict.fromkeys(table["split"].to_list())
    groups = {split: _explained(cells(table.filter(split=split), columns), words) for split in splits}
    figures, picture = run_figures(run, config, with_models=with_models), forest(judged)
    costs: Mapping[str, Mapping[str, float]] = run.manifest.get("costs", {})
    return render(
        REPORT,
        [*filter(None, [picture]), *(figure for section in figures.values() for figure in section)],
        plots=figures,
        forest=picture,
        conclusion=judged,
        words=words,
        run_name=run.name,
        config=config,
        manifest=run.manifest,
        heading=heading(run.manifest),
        columns=columns,
        groups=groups,
        coverage=coverage(table),
        realism=realism_cells(run),
        inspection=INSPECTION if (run.path / INSPECTION).is_file() else "",
        stages=_costs(run.manifest["stages"]),
        dearest=_costs(dict(sorted(costs.items(), key=lambda cost: -cost[1].get("seconds", 0))[:DEAREST])),
        facts=_facts(run.manifest),
        config_yaml=config.to_yaml(),
    )


def _explained(rows: list[list[Cell]], words: Mapping[str, str]) -> list[list[Cell]]:
    """Rows of cells in which the name of a variant, the first, says what it is."""
    return [[replace(row[0], title=words.get(row[0].text, "")), *row[1:]] for row in rows]


def _costs(costs: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str, str]]:
    """Name, seconds and gigabytes of stages as text, blank where an older run did not record them."""
    return [
        (
            name,
            f"{cost['seconds']:.1f}" if "seconds" in cost else "",
            f"{cost['peak_bytes'] / 1e9:.2f}" if "peak_bytes" in cost else "",
        )
        for name, cost in costs.items()
    ]


def _facts(manifest: Mapping[str, Any]) -> dict[str, object]:
    """Facts of the data and of the run, by term."""
    data, machine, hits = manifest["data"], manifest["machine"], manifest["cache_hits"]
    gpu = [machine["gpu"]] if machine.get("gpu") else []
    saved = sum(hit["seconds_saved"] for hit in hits)
    return {
        "data": manifest["comparable"]["data version"],
        "identity of the files": data["identity"],
        "stores": f"{data['store']} (features), {data['labels']} (targets)",
        "rows": f"{data['rows']:,}, of which {data['train_rows']:,} train; {data['features']} features",
        "target": f"{data['target']}, that is {data['resolved_target']}",
        "scored rows": manifest["comparable"]["scored rows"],
        "seeds": ", ".join(map(str, manifest["seeds"])),
        "started": manifest["started"],
        "command": f"nlab {' '.join(manifest['command'])}",
        "machine": ", ".join([machine["platform"], f"{machine['cores']} cores", f"{machine['memory_bytes'] / 1e9:.0f} GB", *gpu]),
        "from the cache": f"{len(hits)} stages, {saved:.0f} s saved" if hits else "nothing",
        "packages": ", ".join(f"{name} {version}" for name, version in manifest["packages"].items()),
    }
