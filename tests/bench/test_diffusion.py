"""What a diffusion model of synthetic `small` (120 features, 120 eras) costs, and how real its eras are, beside a copula.

Asked: fitted in 15 minutes on 2 cores; 50,000 rows a minute and core; correlations of features, and of features with the
target, at most twice as far from held-out eras as those of the training eras; no memory of training rows (distance to the
nearest .9 to 1.1 of that of held-out rows). The copula's figures are printed beside it and not asked for: features of the
default world are drawn nearly as a copula draws. Run with `make bench`.
"""

import time

import numpy as np

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.panel import Block
from numerai_lab.data.reader import load
from numerai_lab.data.synthetic import Synthetic
from numerai_lab.metrics.realism import Realism, realism
from numerai_lab.metrics.row_sample import RowSample

TRAIN, HELD = range(1, 121), range(125, 161)
N_NEW, N_ROWS = 60, 800


def sample(blocks: list[Block]) -> RowSample:
    """A third of the rows of each era."""
    parts = [(block.features[::3], block.target[::3]) for block in blocks if block.target is not None]
    features, targets = (np.concatenate(each) for each in zip(*parts, strict=True))
    return RowSample(features, targets, np.repeat(np.arange(len(parts)), [len(target) for _, target in parts]))


def test_a_diffusion_model_of_the_small_tournament_is_quick_and_as_real_as_asked() -> None:
    panel = load(Synthetic(size="small", feature_set="medium"), []).panel
    train, held = panel.only(TRAIN), panel.only(HELD)
    blocks = {name: [view.block(era) for era in view.eras.tolist()] for name, view in (("train", train), ("held", held))}
    start, used = time.perf_counter(), time.process_time()
    fitted = AUGMENTERS["diffusion"]().fit(train, np.random.default_rng(0))
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    used = time.process_time()
    made = [fitted.invent(number, N_ROWS, np.random.default_rng(number)) for number in range(N_NEW)]
    rate = 60 * N_NEW * N_ROWS / (time.process_time() - used)
    copula = AUGMENTERS["copula"]().fit(train, np.random.default_rng(0))
    drawn = [copula.augment(block, np.random.default_rng(block.era)) for block in blocks["train"][::2]]
    print(f"fitted in {seconds:.0f} s, {cpu:.0f} s of CPU; {rate:,.0f} rows a minute of CPU")
    found = {}
    for name, rows in (("diffusion", made), ("copula", drawn)):
        found[name] = realism(sample(blocks["train"][::2]), sample(blocks["held"]), sample(rows), 0)
        print(said(name, found[name]))
    best = found["diffusion"]
    print(
        f"ratio of correlation error to the copula's {best['corr'].value / found['copula']['corr'].value:.2f}, "
        f"to the floor {best['corr_ratio'].value:.2f}"
    )
    assert seconds < 15 * 60
    assert rate > 50_000
    assert best["corr_ratio"].value <= 2
    assert best["target_corr_ratio"].value <= 2
    assert 0.9 <= best["memorised"].value <= 1.1


def said(name: str, found: Realism) -> str:
    value = {key: measure.value for key, measure in found.measures.items()}
    real = {key: measure.real for key, measure in found.measures.items()}
    return (
        f"{name}: correlation error {value['corr']:.4f} (floor {real['corr']:.4f}), with the target {value['target_corr']:.4f} "
        f"(floor {real['target_corr']:.4f}), AUC {value['auc']:.3f} (real {real['auc']:.3f}), memory {value['memorised']:.3f}, "
        f"corr learned from it {value['tstr']:+.4f} (from real rows {real['tstr']:+.4f}), diversity {value['diversity']:.2f}"
    )
