"""The Python API: configs, runs and comparisons, with tables as pandas DataFrames."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numerai_lab.config.loading import load_config as load_config_file
from numerai_lab.config.loading import load_on_file, parse_config
from numerai_lab.config.plugins import load_plugins
from numerai_lab.config.schema import Config
from numerai_lab.data.frames import frame_file, named_frame
from numerai_lab.experiment import RunOptions
from numerai_lab.experiment import run as run_experiment
from numerai_lab.report import comparison
from numerai_lab.report.conclusion import conclusion_of
from numerai_lab.report.group_sentence import group_sentence
from numerai_lab.report.markup import cells, fragment
from numerai_lab.report.page import heading
from numerai_lab.report.progress import Silent, python_display
from numerai_lab.report.run_figures import figure_named, figure_names
from numerai_lab.report.tables import NOTES, summary_columns, with_interval, with_values
from numerai_lab.report.verdicts import judged, lines_of_comparison, resolution, verdicts
from numerai_lab.runs import reading
from numerai_lab.runs.layout import PREDICTIONS, REPORT
from numerai_lab.storage.folders import user_path
from numerai_lab.studies import unseal as unsealing
from numerai_lab.tournament.prediction import predict_frame

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from plotly.graph_objects import Figure as PlotlyFigure

log = logging.getLogger("nlab")
PLOT = "plot_"
KEY_COLUMNS = (
    "corr_mean",
    "delta_corr_mean",
    "delta_corr_mean_sim_low",
    "delta_corr_mean_sim_high",
    "delta_corr_mean_p_adjusted",
    "verdict",
)


@dataclass(frozen=True)
class Results:
    """A finished run. Notebooks show its verdicts and score table."""

    path: Path
    manifest: dict[str, Any]
    read: reading.Run

    @cached_property
    def config(self) -> Config:
        """The config with every default. Raises NlabError where config.yaml is damaged."""
        return self.read.config

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """One row per variant × split, as in scores.csv, indexed by variant and split."""
        return _pandas(self.read.scores).set_index(["variant", "split"])

    @cached_property
    def per_era(self) -> "pd.DataFrame":
        """One row per variant × seed × era, one column per metric."""
        return _pandas(self.read.per_era)

    @cached_property
    def predictions(self) -> "pd.DataFrame":
        """id, era, target, split, and one column per variant."""
        return _pandas(self.read.table(PREDICTIONS))

    def predict(self, rows: "pd.DataFrame | pl.DataFrame", variant: str | None = None, *, raw: bool = False) -> "pd.DataFrame":
        """Predictions of a variant for rows with the run's features, in their order, indexed by id.

        rows: ids as the index of a pandas DataFrame, or in a column `id`; a column `era` parts eras, without one all are live.
        variant: by default the best by validation. raw: a column for each seed, as predictions.parquet has them, instead of
        `prediction`, ranks within the era averaged over seeds. Raises NlabError as `nlab predict` does.
        """
        predicted = predict_frame(self.read, rows, variant, Silent())
        return _pandas(predicted.raw_table() if raw else predicted.table()).set_index("id")

    @property
    def sentence(self) -> str:
        """What the run shows, in one sentence, as `nlab show` begins."""
        return conclusion_of(self.read).sentence

    @property
    def verdicts(self) -> list[str]:
        """One sentence per variant: is the gain real?"""
        return verdicts(self.read.scores)

    @property
    def report(self) -> Path:
        """The path of the report, for a browser."""
        return self.path / REPORT

    def plots(self) -> list[str]:
        """Names of the methods that draw the report's figures."""
        return [f"{PLOT}{name}" for name in figure_names()]

    def __getattr__(self, name: str) -> "Callable[[], PlotlyFigure]":
        """`plot_forest`, `plot_differences` … give the report's figures. They raise NlabError where there is nothing to draw."""
        if name.startswith(PLOT) and name in self.plots():
            return lambda: figure_named(self.read, name.removeprefix(PLOT)).plotly()
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}; its figures: {', '.join(self.plots())}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.plots()]

    def _repr_html_(self) -> str:
        lines = [self.sentence, *heading(self.manifest), *self.manifest["warnings"], resolution(self.read.scores)]
        return _shown(self.path.name, [*filter(None, lines)], list(judged(self.read.scores).values()), self.read.scores)


@dataclass(frozen=True)
class Compared:
    """Runs side by side, best first: one table for each group of runs that may be ranked together."""

    result: comparison.Comparison

    @cached_property
    def tables(self) -> "list[pd.DataFrame]":
        """One table per group with every column, one row per run × variant × split, indexed by these three."""
        return [_pandas(group.table).set_index(["run", "variant", "split"]) for group in self.result.groups]

    @property
    def table(self) -> "pd.DataFrame":
        """The columns of the first group's table that a verdict needs; the first group holds the first run."""
        return self.tables[0][[name for name in KEY_COLUMNS if name in self.tables[0].columns]]

    @property
    def sentence(self) -> str:
        """What the runs of the first group show, in one sentence, as `nlab compare` begins."""
        return group_sentence(self.result.groups[0])

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each variant of the first group, and the number of variants judged together."""
        return lines_of_comparison(self.result.groups[0].table, self.result.groups[0].split)

    @property
    def remarks(self) -> list[str]:
        """Lines on skipped folders, and on differences between runs."""
        return [*self.result.skipped, *self.result.differences]

    def _repr_html_(self) -> str:
        parts = [
            _shown(
                f"Δ against {group.reference}",
                [group_sentence(group), *lines_of_comparison(group.table, group.split)],
                [],
                group.table,
            )
            for group in self.result.groups
        ]
        return "\n".join([*parts, fragment("notebook.html", title="", lines=self.remarks, verdicts=[], columns=[], rows=[])])


@dataclass(frozen=True)
class Unsealed:
    """A look at the holdout of a run. Notebooks show the number of the look, verdicts, and the score table."""

    read: unsealing.HoldoutScores

    @cached_property
    def scores(self) -> "pd.DataFrame":
        """Scores of the variant, the reference and the variant's placebos, indexed by variant and split (`val`, `holdout`)."""
        return _pandas(self.read.scores).set_index(["variant", "split"])

    @property
    def gain_retained(self) -> float | None:
        """Δ corr on the holdout over Δ corr on validation; None where validation showed no gain."""
        share: float | None = self.read.look.result["gain_retained"]
        return share

    @property
    def verdicts(self) -> list[str]:
        """Sentences on validation, on the holdout, and on the gain retained."""
        return list(self.read.lines)

    def _repr_html_(self) -> str:
        lines = [unsealing.stamp(self.read.look), *self.read.remarks, *self.read.lines]
        return _shown(self.read.run.name, lines, [], self.read.scores)


def load_config(source: Path | str | Mapping[str, Any], *overrides: str, plugins: Sequence[Path | str] = ()) -> Config:
    """A config from a YAML file, or from plain values; overrides as after `--set`: `"data.size=tiny"`.

    plugins: files or modules with methods of your own, as after `--plugin`; they stay loaded. Raises NlabError with every
    problem at once, and TypeError for overrides of plain values.
    """
    load_plugins([str(plugin) for plugin in plugins])
    if isinstance(source, Mapping):
        if overrides:
            raise TypeError("overrides are for files; change the values")
        return parse_config({**source}, "config")
    config, remarks = load_config_file(user_path(source), overrides)
    for remark in remarks:
        log.warning("%s", remark)
    return config


def run(
    config: Config | Path | str | Mapping[str, Any],
    runs_dir: Path | str = "runs",
    *,
    data: "pd.DataFrame | pl.DataFrame | None" = None,
    cached: bool = True,
    force: bool = False,
    plugins: Sequence[Path | str] = (),
) -> Results:
    """Runs a config into a new run folder, as `nlab run` does, and reads it.

    data: rows with id, era, target and features, in place of the config's own; the cache keeps them as a parquet file, which
    the run's config names. force: run even if memory or disk seem too small. plugins: as in `load_config`. Raises NlabError for
    invalid input, NlabFailure where the run fails.
    """
    options = RunOptions(cached=cached, force=force)
    if data is None:
        loaded = config if isinstance(config, Config) else load_config(config, plugins=plugins)
        return read_run(run_experiment(loaded, user_path(runs_dir), python_display(), options=options).path)
    load_plugins([str(plugin) for plugin in plugins])
    path = frame_file(data)
    on_frame = load_on_file(config if isinstance(config, Config | Mapping) else user_path(config), path)
    with named_frame(path):
        return read_run(run_experiment(on_frame, user_path(runs_dir), python_display(), options=options).path)


def read_run(path: Path | str) -> Results:
    """Reads the folder of a finished run.

    Raises NlabError when it is no run folder, and when the run failed or its files are damaged.
    """
    run = reading.read_run(user_path(path))
    return Results(run.path, run.manifest, run)


def compare(paths: Iterable[Path | str | Results], sort: str = "corr_mean", reference: str | None = None) -> Compared:
    """Ranks the variants of run folders, as `nlab compare` does.

    Raises NlabError when no folder can be read, two have the same name, or a name is unknown.
    """
    folders = [path.path if isinstance(path, Results) else user_path(path) for path in paths]
    return Compared(comparison.compare(folders, sort, reference))


def unseal(run: Path | str | Results, variant: str, runs_dir: Path | str | None = None, *, again: bool = False) -> Unsealed:
    """Scores a variant on the holdout of a finished run, once, as `nlab unseal` does, and writes the look into the ledger.

    runs_dir: the folder whose ledger counts looks, by default that of the run. Raises NlabError where the run has no holdout,
    and where it was looked at before, unless `again`.
    """
    path = run.path if isinstance(run, Results) else user_path(run)
    folder = None if runs_dir is None else user_path(runs_dir)
    return Unsealed(unsealing.unseal(path, variant, Silent(), again=again, runs_dir=folder))


def _pandas(table: "pl.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {name: table[name].to_numpy() if table[name].dtype.is_numeric() else table[name].to_list() for name in table.columns}
    )


def _shown(title: str, lines: Sequence[str], verdicts: Sequence[tuple[str, str]], table: "pl.DataFrame") -> str:
    frame = with_interval(table)
    columns = with_values(frame, (*summary_columns(False), NOTES))
    rows = cells(frame, columns)
    return fragment("notebook.html", title=title, lines=lines, verdicts=verdicts, columns=columns, rows=rows)
