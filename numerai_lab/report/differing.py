"""Config keys whose values differ between runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    return _differing({run.name: config_values(run) for run in runs})


def _differing(configs: Mapping[str, Mapping[str, Any]]) -> "pl.DataFrame":
    import polars as pl

    first = next(iter(configs.values()), {})
    # Sections that runs share are parsed once, and are then the very same object.
    same = {key for key, section in first.items() if all(values.get(key) is section for values in configs.values())}
    by_run = {
        run: dict(flat({key: section for key, section in values.items() if key not in same})) for run, values in configs.items()
    }
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
    values = {run.name: config_values(run) for run in runs}
    configs = _differing({name: config for name, config in values.items() if config})  # scored files have none
    keys = configs.columns[1:]
    if not keys:
        return []
    named = f"{', '.join(keys[:KEYS_SHOWN])}{' …' * (len(keys) > KEYS_SHOWN)}"
    more = f"; {len(keys) - KEYS_SHOWN} more keys differ (--only-changed)" if len(keys) > KEYS_SHOWN else ""
    if len(runs) > RUNS_SHOWN:
        differ = "1 config key differs" if len(keys) == 1 else f"{len(keys)} config keys differ"
        return [f"{differ} between these {len(runs)} runs: {named} (--only-changed shows the values)"]
    lines = []
    for row in configs.to_dicts():
        shown = [f"{key} {row[key]}" for key in keys[:KEYS_SHOWN] if row[key] != ""]
        lines.append(f"{row['run']}: {', '.join(shown) or 'none of these keys'}{more}")
    return lines
