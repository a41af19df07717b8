"""The data of a config as commands see it: nothing of the holdout, which `nlab unseal` alone reads."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float32
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.core.splits import EraTable, Splits, embargo_eras, make_splits
from numerai_lab.data.reader import Loaded, load
from numerai_lab.runs.reading import Run


def load_sealed(config: Config, progress: Progress = no_progress, *, verify: bool = False) -> tuple[Loaded, Splits]:
    """The data up to the last era of val2, and its splits; without a holdout, all data.

    verify: as in `load`. Raises NlabError as `load` and `make_splits` do.
    """
    loaded = load(config.data, config.extra_sets, progress, verify=verify)
    splits = splits_of(config, loaded.panel)
    return (sealed(loaded, splits.scored) if splits.holdout else loaded), splits


def load_sealed_for(run: Run, config: Config, progress: Progress = no_progress) -> Loaded:
    """The data of a finished run up to where that run's own holdout begins, whatever has been added since.

    Raises NlabError as `load` does, and when the data has another number of features than the run read.
    """
    loaded = load(config.data, config.extra_sets, progress)
    splits, n_features = run.manifest["splits"], run.manifest["data"]["features"]
    if loaded.panel.n_raw != n_features:
        raise NlabError(f"{run.path}: was made of {n_features} features, the data now has {loaded.panel.n_raw}")
    return sealed(loaded, [*splits["val1"], *splits["val2"]]) if splits.get("holdout") else loaded


def splits_of_run(manifest: Mapping[str, Any], config: Config, panel: Panel) -> Splits:
    """The splits of a finished run, as its manifest records them."""
    recorded = {"holdout": [], **manifest["splits"]}
    train, embargo, val1, val2, holdout = (tuple(recorded[part]) for part in ("train", "embargo", "val1", "val2", "holdout"))
    sizes = embargo_eras(config.splits.embargo, panel.reach_days, "splits.embargo", panel.days_per_era)
    return Splits(train, embargo, val1, val2, *sizes, holdout)


def sealed(loaded: Loaded, scored: Sequence[int]) -> Loaded:
    """The data without any row, feature or target of the eras after the last scored one."""
    panel = loaded.panel.until(max(scored))
    return replace(loaded, panel=panel, content=replace(loaded.content, panel=panel))


def with_hidden_targets(panel: Panel, eras: Sequence[int]) -> Panel:
    """The panel with the targets of some eras unknown (NaN), auxiliary ones too; every row stays where it is."""

    def hidden(values: Float32) -> Float32:
        masked = np.array(values)
        for era in eras:
            masked[panel.rows(era)] = np.nan
        return masked

    if not eras or panel.target is None:
        return panel
    auxiliary = {name: replace(target, values=hidden(target.values)) for name, target in panel.auxiliary.items()}
    return replace(panel, target=hidden(panel.target), auxiliary=auxiliary)


def splits_of(config: Config, panel: Panel) -> Splits:
    """The splits of a panel, with the embargo of the longest horizon of all targets. Raises NlabError as `make_splits` does."""
    return make_splits(config.splits, era_table(panel), panel.reach_days)


def era_table(panel: Panel) -> EraTable:
    """The era table of a panel."""
    assert panel.target is not None
    table = EraTable.of(panel.eras, panel.bounds, panel.data_types, panel.target)
    return replace(table, dates=panel.dates, days_per_era=panel.days_per_era)
