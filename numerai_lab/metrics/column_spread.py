"""Diagnostics of generated columns: their spread by split, and their shift from training to validation."""

from collections.abc import Sequence

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64

SAMPLE = 100
"""Rows per era that distributions are compared on."""
SHOWN = 200


class Diagnosis:
    """Mean and standard deviation of each column by split, and the Kolmogorov–Smirnov distance of train and validation."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._sums: dict[str, Float64] = {}
        self._samples: dict[str, list[Array]] = {}

    def add(self, split: str, values: Float32) -> None:
        """Adds the rows of one era."""
        x = values.astype(np.float64)
        sums = np.vstack([np.full(x.shape[1], len(x)), x.sum(0), (x**2).sum(0)])
        self._sums[split] = self._sums.get(split, 0) + sums
        self._samples.setdefault(split, []).append(values[:: max(1, len(values) // SAMPLE)])

    def spread(self, split: str) -> tuple[Float64, Float64]:
        """Mean and standard deviation of each column."""
        n, total, squares = self._sums[split]
        mean = total / n
        return mean, np.sqrt(np.maximum(squares / n - mean**2, 0))

    def shift(self, split: str, other_split: str) -> Float64:
        """Kolmogorov–Smirnov distance of each column between two splits, by a sample of rows of every era."""
        from scipy.stats import ks_2samp

        a, b = (np.concatenate(self._samples[part]) for part in (split, other_split))
        return np.array([ks_2samp(a[:, i], b[:, i], method="asymp").statistic for i in range(a.shape[1])])

    def lines(self) -> list[str]:
        """Lines of Markdown: a table with a row per column, and the largest shift."""
        splits = [split for split in self._sums if self._sums[split][0, 0]]
        shift = self.shift("train", "validation") if {"train", "validation"} <= set(splits) else None
        head = ["column", *(f"{what} ({split})" for split in splits for what in ("mean", "sd"))]
        head += ["KS train, validation"] if shift is not None else []
        spreads = [self.spread(split) for split in splits]
        lines = ["## Diagnostics", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        for i, name in enumerate(self.names[:SHOWN]):
            cells = [f"{part[i]:.4g}" for spread in spreads for part in spread]
            cells += [f"{shift[i]:.3f}"] if shift is not None else []
            lines.append("| " + " | ".join([name, *cells]) + " |")
        if len(self.names) > SHOWN:
            lines.append(f"\nThe other {len(self.names) - SHOWN} columns are left out here.")
        if shift is not None:
            lines += [
                "",
                f"Largest distance between train and validation: {shift.max():.3f} ({self.names[int(shift.argmax())]}).",
            ]
        return lines
