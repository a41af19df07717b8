"""Networks as models on eras of 5,000 × 780 random bins in a memory-map: steps against their bare matrix products.

Asked: a training step within 1.5 × of a bare loop of its matrix products. One thread, and CPU seconds, which other work on the
machine disturbs less than those of the clock. Run with `make bench`.
"""

import time

import numpy as np
import pytest
import torch

from numerai_lab.core.progress import FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import MLP, Model, TabM
from tests.bench.test_generators_neural import Product, bare_products, layer_products, seconds
from tests.conftest import make_panel

N_ERAS, N_ROWS, P = 4, 5000, 780
MLP_PRODUCTS = layer_products(N_ROWS, [P, 1024, 512, 256, 1], False)
TABM_PRODUCTS = 8 * layer_products(N_ROWS, [P, 512, 256, 1], False)


@pytest.mark.parametrize(
    ("model", "products"), [(MLP(device="cpu"), MLP_PRODUCTS), (TabM(device="cpu"), TABM_PRODUCTS)], ids=["mlp", "tabm"]
)
def test_a_training_step_takes_at_most_one_and_a_half_times_its_matrix_products(model: Model, products: list[Product]) -> None:
    panel = make_panel(N_ERAS, N_ROWS, P)
    clock: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    context = FitContext(lambda done, total, note="": clock.append(time.process_time()))
    model.fresh().fit(TrainingStream(panel, ("raw",), panel.raw_names, 0), np.random.default_rng(0), context)
    bare = seconds(bare_products(products), 5)
    torch.set_num_threads(before)
    step = float(np.median(np.diff(clock[:-1])))
    print(f"\n{N_ROWS / step:,.0f} rows/s; step {step * 1e3:.0f} ms, bare products {bare * 1e3:.0f} ms; ratio {step / bare:.2f}")
    assert step <= 1.5 * bare
