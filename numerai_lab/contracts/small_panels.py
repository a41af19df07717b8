"""Small panels for checks: made up, or cut from a run's own."""

from dataclasses import replace

import numpy as np

from numerai_lab.core.panel import Panel

MOST_ERAS, MOST_ROWS = 8, 150
"""Size of a panel that is cut from a larger one: eras, and rows of each."""


def invented(n_eras: int = 30, n_rows: int = 40, n_features: int = 12, seed: int = 0, binned: bool = True) -> Panel:
    """Factor features and a target with a linear signal; eras 1 … n_eras, the first half of them `train`."""
    rng = np.random.default_rng(seed)
    n = n_eras * n_rows
    latent = rng.normal(size=(n, 3))
    values = latent @ rng.normal(size=(3, n_features)) + rng.normal(size=(n, n_features))
    ranks = np.argsort(np.argsort(values, axis=0), axis=0) / n
    features = (ranks * 5).astype(np.int8) if binned else ranks.astype(np.float32)
    signal = latent[:, 0] + rng.normal(size=n)
    target = (np.searchsorted([0.05, 0.25, 0.75, 0.95], np.argsort(np.argsort(signal)) / n) / 4).astype(np.float32)
    starts = np.arange(n_eras) * n_rows
    return Panel(
        feature_names=tuple(f"feature_{i}" for i in range(n_features)),
        features=features,
        n_raw=n_features,
        top=4.0 if binned else 1.0,
        ids=np.array([f"n{i:06d}" for i in range(n)], np.bytes_),
        eras=np.arange(1, n_eras + 1, dtype=np.int32),
        bounds=np.column_stack([starts, starts + n_rows]),
        data_types=tuple("train" if i < n_eras // 2 else "validation" for i in range(n_eras)),
        target=target,
        extras={"numerai_meta_model": rng.uniform(size=n).astype(np.float32)},
        feature_sets={"all": np.arange(n_features)},
    )


def cut(panel: Panel) -> Panel:
    """The first rows of the first eras of a panel. No row is copied."""
    few = panel.only(panel.eras[:MOST_ERAS].tolist())
    ends = np.minimum(few.bounds[:, 1], few.bounds[:, 0] + MOST_ROWS)
    return replace(few, bounds=np.column_stack([few.bounds[:, 0], ends]))


def parts(panel: Panel) -> tuple[Panel, int]:
    """The eras to learn from, and a later one; the same one where there is no other."""
    eras = panel.eras.tolist()
    return panel.only(eras[:-1] or eras), eras[-1]
