"""What drawing rows by boosted trees costs at 60 columns, and how real they are, beside a copula.

Sixty features of synthetic `small`, 120 training eras of 800 rows, of which 50,000 rows are learned from; and all 120
features, through factor scores. Asked: fitted in 10 minutes on one core; 10,000 rows a minute and core; correlations of
features, and of features with the target, at most twice as far from held-out eras as those of the training eras; no memory
of training rows. The copula's figures are printed beside it and not asked for: features of the default world are drawn
nearly as a copula draws. Run with `make bench`.
"""

import time
from dataclasses import replace

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.metrics.realism import realism
from tests.bench.test_diffusion import HELD, N_NEW, N_ROWS, TRAIN, said, sample


@pytest.mark.parametrize("n_features", [60, 120])
def test_trees_draw_rows_at_a_bearable_cost_and_as_real_as_asked(n_features: int) -> None:
    panel = replace(load(Synthetic(size="small", feature_set="medium"), []).panel, n_raw=n_features)
    train, held = panel.only(TRAIN), panel.only(HELD)
    blocks = {name: [view.block(era) for era in view.eras.tolist()] for name, view in (("train", train), ("held", held))}
    used = time.process_time()
    fitted = AUGMENTERS["xgen"]().fit(train, np.random.default_rng(0))
    seconds = time.process_time() - used
    used = time.process_time()
    made = [fitted.invent(number, N_ROWS, np.random.default_rng(number)) for number in range(N_NEW)]
    rate = 60 * N_NEW * N_ROWS / (time.process_time() - used)
    copula = AUGMENTERS["copula"]().fit(train, np.random.default_rng(0))
    drawn = [copula.augment(block, np.random.default_rng(block.era)) for block in blocks["train"][::2]]
    print(f"{n_features} features: fitted in {seconds:.0f} s of CPU, {rate:,.0f} rows a minute of CPU")
    print(f"{len(fitted.n_classes_)} columns, {fitted.trees_.nbytes / 1e6:.1f} MB of trees")
    found = {
        name: realism(sample(blocks["train"][::2]), sample(blocks["held"]), sample(rows), 0)
        for name, rows in (("xgen", made), ("copula", drawn))
    }
    print(*(said(name, one) for name, one in found.items()), sep="\n")
    assert seconds < 10 * 60
    assert rate > 10_000
    value = {name: measure.value for name, measure in found["xgen"].measures.items()}
    assert value["corr_ratio"] <= 2
    assert value["target_corr_ratio"] <= 2
    assert 0.9 <= value["memorised"] <= 1.1
