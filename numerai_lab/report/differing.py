"""Config keys whose values differ between runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from numerai_lab.report.tables import short
from numerai_lab.runs.reading import Run
from numerai_lab.runs.run_tables import config_values, flat

if TYPE_CHECKING:
    import polars as pl

RUNS_SHOWN, KEYS_SHOWN = 20, 8
"""Most runs, and most keys, whose differences are printed in lines."""
KEYS = ("name",)
"""Keys whose differences mean nothing."""


def differing(runs: Sequence[Run]) -> "pl.DataFrame":
    """One row per run: `run`, then a column of text for each dotted key whose values differ; "" where a run lacks it.

    Numbers have as few digits as tell them apart.
    """
    import polars as pl

    by_run = {run.name: dict(flat(config_values(run))) for run in runs}
    keys = dict.fromkeys(key for values in by_run.values() for key in values if key not in KEYS)
    changed_keys = [key for key in keys if len({repr(values.get(key, "")) for values in by_run.values()}) > 1]
    columns = {key: short([values.get(key, "") for values in by_run.values()]) for key in changed_keys}
    return pl.DataFrame({"run": list(by_run), **columns}, schema=dict.fromkeys(("run", *changed_keys), pl.String))


def with_config(table: "pl.DataFrame", runs: Sequence[Run]) -> tuple["pl.DataFrame", list[str]]:
    """The table of a comparison with a column at its end for each config key that differs, and these keys."""
    configs = differing(runs)
    keys = configs.columns[1:]
    return table.join(configs, on="run", how="left", maintain_order="left"), keys


def lines_of_differences(runs: Sequence[Run]) -> list[str]:
    """A line for each run with the values of the keys that differ; of many runs or keys their number and names."""
    configs = differing([run for run in runs if config_values(run)])  # scored files have none
    keys = configs.columns[1:]
    if not keys:
        return []
    named = f"{', '.join(keys[:KEYS_SHOWN])}{' …' * (len(keys) > KEYS_SHOWN)}"
    more = f"; {len(keys) - KEYS_SHOWN} more keys differ (--only-changed)" if len(keys) > KEYS_SHOWN else ""
    if len(runs) > RUNS_SHOWN:
        return [f"{len(keys)} config keys differ between these {len(runs)} runs: {named} (--only-changed shows the values)"]
    lines = []
    for row in configs.to_dicts():
        values = [f"{key} {row[key]}" for key in keys[:KEYS_SHOWN] if row[key] != ""]
        lines.append(f"{row['run']}: {', '.join(values) or 'none of these keys'}{more}")
    return lines
