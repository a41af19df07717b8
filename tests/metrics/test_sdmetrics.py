"""Measures of realism that SDMetrics has too give its numbers.

SDMetrics asks for pandas before 3, so it is in no extra: its numbers are written down here, as SDMetrics 0.32.0 gives them,
and are computed again where it is installed.
"""

import numpy as np
import pytest

from numerai_lab.metrics.realism_bins import (
    BinCounts,
    feature_counts,
    largest_difference,
    mean_difference,
    pair_counts,
    pair_similarity,
    share_of_bins_met,
)
from numerai_lab.metrics.realism_copies import changed_cells
from numerai_lab.metrics.row_sample import RowSample

N_FEATURES = 5
BY_SDMETRICS = {
    "mean of TVComplement": 0.8426666666666668,
    "least TVComplement": 0.825,
    "CategoryCoverage": 0.8,
    "ContingencySimilarity": 0.7430000000000002,
    "NewRowSynthesis": 0.43,
}


def rows(seed: int, n: int) -> RowSample:
    """Rows with features that depend on each other; without `seed` 0 some bins are missing."""
    rng = np.random.default_rng(seed)
    latent = rng.integers(0, 3, (n, 1))
    features = np.minimum(latent + rng.integers(0, 3, (n, N_FEATURES)), 4 if seed == 0 else 3).astype(np.int8)
    return RowSample(features, (rng.integers(0, 5, n) / 4).astype(np.float32), np.arange(n) // 40)


REAL, MADE = rows(0, 400), rows(1, 300)


@pytest.fixture(scope="module")
def own() -> dict[str, float]:
    counts = [feature_counts(sample, REAL).shares for sample in (MADE, REAL)]
    pairs: list[BinCounts] = [pair_counts(sample, REAL) for sample in (MADE, REAL)]
    return {
        "mean of TVComplement": 1 - mean_difference(*counts),
        "least TVComplement": 1 - largest_difference(*counts),
        "CategoryCoverage": share_of_bins_met(*counts),
        "ContingencySimilarity": pair_similarity(N_FEATURES + 1)(pairs[0].shares, pairs[1].shares),
        "NewRowSynthesis": float((changed_cells(MADE.features, [REAL.features]) > 0).mean()),
    }


@pytest.mark.parametrize("name", BY_SDMETRICS)
def test_measures_are_those_of_sdmetrics(own: dict[str, float], name: str) -> None:
    assert own[name] == pytest.approx(BY_SDMETRICS[name], abs=1e-9)


def test_the_numbers_written_down_are_those_that_sdmetrics_gives() -> None:
    pytest.importorskip("sdmetrics")
    assert by_sdmetrics() == pytest.approx(BY_SDMETRICS, abs=1e-9)


def by_sdmetrics() -> dict[str, float]:
    """The measures by SDMetrics itself."""
    from itertools import combinations

    import pandas as pd
    from sdmetrics.column_pairs import ContingencySimilarity
    from sdmetrics.single_column import CategoryCoverage, TVComplement
    from sdmetrics.single_table import NewRowSynthesis

    names = [f"feature_{i}" for i in range(N_FEATURES)]
    tables = [pd.DataFrame(sample.features, columns=names).assign(target=sample.target) for sample in (REAL, MADE)]
    columns = [[table[name] for table in tables] for name in names]
    pairs = [[table[list(pair)] for table in tables] for pair in combinations(tables[0].columns, 2)]
    variations = [TVComplement.compute(*column) for column in columns]
    metadata = {"columns": {name: {"sdtype": "categorical"} for name in names}}
    return {
        "mean of TVComplement": float(np.mean(variations)),
        "least TVComplement": float(min(variations)),
        "CategoryCoverage": float(np.mean([CategoryCoverage.compute(*column) for column in columns])),
        "ContingencySimilarity": float(np.mean([ContingencySimilarity.compute(*pair) for pair in pairs])),
        "NewRowSynthesis": float(NewRowSynthesis.compute(*(table[names] for table in tables), metadata=metadata)),
    }
