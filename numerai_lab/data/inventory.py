"""What a panel holds, counted era by era: for `nlab data info`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerai_lab.basics import Int64, human_bytes
from numerai_lab.data.reader import Loaded
from numerai_lab.panel import Auxiliary


@dataclass(frozen=True)
class Inventory:
    """Counts of a panel. eras, n_rows: one entry an era; absent: eras × features, true where a feature is all middle bin."""

    eras: list[int]
    n_rows: list[int]
    absent: NDArray[np.bool_]
    facts: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--format json`."""
        eras = zip(self.eras, self.n_rows, self.absent.sum(1).tolist(), strict=True)
        return {**self.facts, "by_era": [{"era": e, "rows": n, "absent_features": a} for e, n, a in eras]}


def inventory(loaded: Loaded) -> Inventory:
    """Rows, eras, data types, target distribution, coverage of other models, absent features, sizes."""
    panel = loaded.panel
    n_rows = panel.bounds[:, 1] - panel.bounds[:, 0]
    absent = loaded.store.absent()[:, : panel.n_raw]
    facts = {
        **({"SYNTHETIC": "rows made up by nlab; they tell nothing of markets"} if loaded.synthetic else {}),
        "rows": f"{len(panel.ids):,}",
        "eras": f"{panel.eras[0]} to {panel.eras[-1]} ({len(panel.eras)}), {n_rows.min():,} to {n_rows.max():,} rows each",
        "data types": ", ".join(f"{kind or 'none'} {n} eras" for kind, n in _counted(panel.data_types)),
        "features": f"{panel.n_raw} ({panel.features.dtype})",
        "absent features": _absent(panel.eras.tolist(), absent.sum(1).tolist()),
        "target": f"{loaded.target} ({loaded.horizon_days or 'unknown'} days)",
        "target values": _distribution(loaded),
        **{f"auxiliary {name}": _auxiliary(each) for name, each in panel.auxiliary.items()},
        **{f"extra {name}": _coverage(loaded, name, n_rows) for name in panel.extras},
        "store": f"{loaded.store.folder.name}, {human_bytes(loaded.store.n_bytes)} on disk",
        "as float32": f"{human_bytes(4.0 * panel.features.size)} in memory, which nlab never needs",
    }
    return Inventory(panel.eras.tolist(), n_rows.tolist(), absent, facts)


def _counted(values: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(value, values.count(value)) for value in dict.fromkeys(values)]


def _absent(eras: list[int], absent: list[int]) -> str:
    concerned = [era for era, n in zip(eras, absent, strict=True) if n]
    return f"up to {max(absent)} in {len(concerned)} eras, the last is {concerned[-1]}" if concerned else "none"


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
    return f"eras {covered[0]} to {covered[-1]} ({len(covered)}), {(has * n_rows).sum() / n_rows.sum():.1%} of all rows"
