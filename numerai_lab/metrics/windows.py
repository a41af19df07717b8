"""Metrics over the last eras that have a score."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from numerai_lab.core.arrays import Float64
from numerai_lab.metrics import METRICS

Key = TypeVar("Key", bound=Hashable)


def with_windows(members: Mapping[Key, Mapping[str, Float64]]) -> dict[Key, dict[str, Float64]]:
    """Members with the metrics over the last eras added, NaN in all earlier eras.

    members: metric → seeds × eras, with the same eras in order. The last eras are the same for all
    members: those in which any of them has the score of the whole metric.
    """
    out = {key: dict(series) for key, series in members.items()}
    for name, metric in METRICS.items():
        if metric.window is None or not out:
            continue
        base, n_last = metric.window
        scored = [np.isfinite(series[base]).any(0) for series in out.values() if base in series]
        if len(scored) < len(out):
            continue
        known = np.flatnonzero(np.any(scored, axis=0))
        last = known[-n_last:]
        for series in out.values():
            if len(last) == len(known):
                series[name] = series[base]  # the same array, so that nothing is computed twice of it
                continue
            series[name] = np.full_like(series[base], np.nan)
            series[name][:, last] = series[base][:, last]
    return out
