"""Which keys of their configs tell runs apart."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numerai_lab.report.tables import short
from numerai_lab.runs.layout import CONFIG
from numerai_lab.runs.reading import Run

if TYPE_CHECKING:
    import polars as pl

KEYS = ("name",)
"""Keys that differ without meaning."""


def differing(runs: Sequence[Run]) -> "pl.DataFrame":
    """A row a run: `run`, then a column of text for each dotted key whose value is not the same in all; "" where it is absent.

    Numbers are rounded to what tells them apart.
    """
    import polars as pl

    flat = {run.name: dict(_flat(_config(run))) for run in runs}
    keys = dict.fromkeys(key for values in flat.values() for key in values if key not in KEYS)
    changed_keys = [key for key in keys if len({repr(values.get(key, "")) for values in flat.values()}) > 1]
    columns = {key: short([values.get(key, "") for values in flat.values()]) for key in changed_keys}
    return pl.DataFrame({"run": list(flat), **columns}, schema=dict.fromkeys(("run", *changed_keys), pl.String))


def with_config(table: "pl.DataFrame", runs: Sequence[Run]) -> tuple["pl.DataFrame", list[str]]:
    """The table of a comparison with those columns at its end, and their names."""
    configs = differing(runs)
    keys = configs.columns[1:]
    return table.join(configs, on="run", how="left", maintain_order="left"), keys


def _config(run: Run) -> Any:
    import yaml

    path = run.path / CONFIG
    try:
        # The C loader is ten times as quick and as safe; what the strict one adds was seen to when the run began.
        return yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return {}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif path:
        yield path, "none" if value is None else value
