"""Counts the content of a panel, era by era, for `nlab data info`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.core.arrays import Int64
from numerai_lab.core.eras import DAYS_PER_ERA, era_name
from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.panel import Auxiliary, Panel
from numerai_lab.data.reader import Loaded


@dataclass(frozen=True)
class Inventory:
    """Counts of a panel.

    eras, n_rows: one entry per era; absent: eras × features, true where a feature is the middle bin in every row; dates: ISO
    date by era, empty where eras are plain numbers.
    """

    eras: list[int]
    n_rows: list[int]
    absent: NDArray[np.bool_]
    facts: dict[str, str]
    dates: Mapping[int, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--format json`."""
        eras = zip(self.eras, self.n_rows, self.absent.sum(1).tolist(), strict=True)
        day = {era: {"date": iso} for era, iso in self.dates.items()}
        return {**self.facts, "by_era": [{"era": e, **day.get(e, {}), "rows": n, "absent_features": a} for e, n, a in eras]}


def inventory(loaded: Loaded) -> Inventory:
    """Rows, eras, data types, target distribution, coverage of other models, absent features, sizes."""
    panel = loaded.panel
    n_rows = panel.bounds[:, 1] - panel.bounds[:, 0]
    absent = loaded.store.absent()[:, : panel.n_raw]
    facts = {
        **({"SYNTHETIC": "rows made up by nlab; they tell nothing of markets"} if loaded.synthetic else {}),
        "rows": f"{len(panel.ids):,}",
        "eras": f"{_eras(panel)} ({len(panel.eras)}), {n_rows.min():,} to {n_rows.max():,} rows each",
        "data types": ", ".join(f"{kind or 'none'} {n} eras" for kind, n in _counted(panel.data_types)),
        "features": f"{panel.n_raw} ({panel.features.dtype})",
        "absent features": _absent(panel, absent.sum(1).tolist()),
        "target": f"{loaded.target} ({loaded.horizon_days or 'unknown'} days)",
        "target values": _distribution(loaded),
        **{f"auxiliary {name}": _auxiliary(auxiliary) for name, auxiliary in panel.auxiliary.items()},
        **{f"extra {name}": _coverage(loaded, name, n_rows) for name in panel.extras},
        "store": f"{loaded.store.folder.name}, {human_bytes(loaded.store.n_bytes)} on disk",
        "as float32": f"{human_bytes(4.0 * panel.features.size)} in memory, which nlab never needs",
    }
    return Inventory(panel.eras.tolist(), n_rows.tolist(), absent, facts, panel.dates)


def _eras(panel: Panel) -> str:
    """Text such as `1 to 100`, or `20200103 to 20201225, weeks 1 to 52`."""
    first, last = panel.eras[[0, -1]].tolist()
    step = "weeks" if panel.days_per_era == DAYS_PER_ERA else f"steps of {panel.days_per_era} business days"
    return (
        f"{first} to {last}" if not panel.dates else f"{_named(panel, first)} to {_named(panel, last)}, {step} {first} to {last}"
    )


def _named(panel: Panel, era: int) -> str:
    return era_name(era, panel.dates)


def _counted(values: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(value, values.count(value)) for value in dict.fromkeys(values)]


def _absent(panel: Panel, absent: list[int]) -> str:
    concerned = [era for era, n in zip(panel.eras.tolist(), absent, strict=True) if n]
    if not concerned:
        return "none"
    return f"up to {max(absent)} in {len(concerned)} eras, the last is {_named(panel, concerned[-1])}"


def _distribution(loaded: Loaded) -> str:
    target = np.asarray(loaded.panel.target)
    known = target[np.isfinite(target)]
    values, counts = np.unique(known, return_counts=True)
    shares = [f"{value:g}: {count / len(known):.1%}" for value, count in zip(values, counts, strict=True)]
    missing = f"; missing {1 - len(known) / len(target):.1%}"
    return (", ".join(shares) if len(shares) <= 9 else f"{len(shares)} values") + missing


def _auxiliary(target: Auxiliary) -> str:
    return f"{target.horizon_days or 'unknown'} days; missing {np.isnan(target.values).mean():.1%}"


def _coverage(loaded: Loaded, name: str, n_rows: Int64) -> str:
    panel = loaded.panel
    has = np.array([np.isfinite(panel.extras[name][panel.rows(era)]).mean() for era in panel.eras.tolist()])
    covered = panel.eras[has > 0]
    if not len(covered):
        return "no era"
    first, last = (_named(panel, era) for era in covered[[0, -1]].tolist())
    return f"eras {first} to {last} ({len(covered)}), {(has * n_rows).sum() / n_rows.sum():.1%} of all rows"
