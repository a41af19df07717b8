"""What the report on invented rows costs at its bounds: 20,000 rows of 780 features each, and a search for copies among millions.

Asked: 2 minutes of CPU in all; 5 seconds of CPU for a million training rows searched. Run with `make bench`.
"""

import time

import numpy as np

from numerai_lab.metrics.augmentation_curve import augmentation_curve
from numerai_lab.metrics.realism import realism
from numerai_lab.metrics.realism_copies import changed_cells
from numerai_lab.metrics.row_sample import RowSample

N_ROWS, N_FEATURES, N_SEARCHED, BLOCK = 20_000, 780, 1_000_000, 5000


def rows(seed: int, first_era: int) -> RowSample:
    """Rows of 60 eras whose features have 20 factors, the first of which the target knows."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(0).normal(size=(20, N_FEATURES)).astype(np.float32)
    factors = rng.normal(size=(N_ROWS, 20)).astype(np.float32)
    values = factors @ loadings + 3 * rng.normal(size=(N_ROWS, N_FEATURES)).astype(np.float32)
    target = np.clip(np.floor(factors[:, 0] + 2.5 + rng.normal(size=N_ROWS)), 0, 4) / 4
    features = np.clip(np.floor(values / 4 + 2.5), 0, 4).astype(np.int8)
    return RowSample(features, target.astype(np.float32), first_era + np.arange(N_ROWS) // 334)


def test_the_report_on_invented_rows_is_cheap_beside_a_fit() -> None:
    train, held, invented = rows(1, 0), rows(2, 100), rows(3, 200)
    used = time.process_time()
    realism(train, held, invented, 0)
    measured = time.process_time() - used
    augmentation_curve(train, held, invented, 0)
    drawn = time.process_time() - used - measured
    used = time.process_time()
    changed_cells(
        np.concatenate([invented.features, held.features]), (train.features[:BLOCK] for _ in range(N_SEARCHED // BLOCK))
    )
    searched = time.process_time() - used
    print(f"measures {measured:.0f} s of CPU, curve {drawn:.0f} s, a million rows searched {searched:.1f} s")
    assert measured + drawn < 120
    assert searched < 5
