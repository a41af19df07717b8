"""Neural generators on 300,000 × 780 random bins in a memory-map: steps and rows a second against bare matrix products.

Asked: a training step within 2 × of a bare loop of its matrix products, transform at half the rate of a bare forward pass,
fitting at most 4 GB beyond the page cache. One thread, and CPU seconds, which other work on the machine disturbs less than
those of the clock. Run with `make bench`.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.generators import Generator
from numerai_lab.generators.autoencoder import Autoencoder, RandomEncoder
from numerai_lab.generators.contrastive import Scarf, SubTab
from numerai_lab.generators.era_autoencoder import EraAutoencoder
from numerai_lab.generators.supervised import Siamese, SupervisedAutoencoder
from numerai_lab.neural.networks import swish
from tests.conftest import make_panel

N_ERAS, N_ROWS, P, BATCH, STEPS = 60, 5000, 780, 1024, 30
TRAINING = {"max_steps": STEPS, "evaluate_every": STEPS, "batch_size": BATCH, "device": "cpu"}
Product = tuple[int, int, int]
"""Rows, inner size, columns of a matrix product."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Panel]:
    path = tmp_path_factory.mktemp("bins") / "features.npy"
    features = np.lib.format.open_memmap(path, mode="w+", dtype=np.int8, shape=(N_ERAS * N_ROWS, P))
    rng = np.random.default_rng(0)
    for start in range(0, len(features), N_ROWS):
        features[start : start + N_ROWS] = rng.integers(0, 5, (N_ROWS, P), dtype=np.int8)
    features.flush()
    small = make_panel(N_ERAS, 2)
    starts = np.arange(N_ERAS) * N_ROWS
    mapped = np.load(path, mmap_mode="r")
    yield replace(small, features=mapped, n_raw=P, bounds=np.column_stack([starts, starts + N_ROWS]), target=None)
    path.unlink()


def layer_products(rows: int, widths: Sequence[int], gets_gradient: bool) -> list[Product]:
    """Products of a step through linear layers: forward, weights' gradient, and inputs' gradient but for raw inputs."""
    out: list[Product] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
        out += [(rows, n_in, n_out), (n_in, rows, n_out)]
        out += [(rows, n_out, n_in)] * (i > 0 or gets_gradient)
    return out


ENCODER = layer_products(BATCH, [P, 256, 256, 32], False)
SCARF = 2 * (ENCODER + layer_products(BATCH, [32, 256, 256], True)) + [(BATCH, 256, BATCH), *[(BATCH, BATCH, 256)] * 2]
MASKED = ENCODER + layer_products(BATCH, [32, 256, 5 * P], True)


def seconds(work: Callable[[], object], times: int = 15) -> float:
    """The median of some runs, after one to warm up."""
    work()
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return float(np.median(found))


def bare_products(products: Iterable[Product]) -> Callable[[], object]:
    pairs = [(torch.rand(rows, inner), torch.rand(inner, columns)) for rows, inner, columns in products]
    return lambda: [a @ b for a, b in pairs]


@pytest.mark.parametrize(
    ("model", "products"),
    [
        (Scarf.model_validate(TRAINING), SCARF),
        (Autoencoder.model_validate({"objective": "masked", **TRAINING}), MASKED),
    ],
    ids=["scarf", "masked"],
)
def test_a_training_step_takes_at_most_twice_its_matrix_products(panel: Panel, model: Generator, products: list[Product]) -> None:
    process, clock, memory = psutil.Process(), [], []

    def progress(done: int, total: int, note: str = "") -> None:
        clock.append(time.process_time())
        memory.append(anonymous(process))

    before = anonymous(process)
    model.fresh().fit(panel, np.random.default_rng(0), FitContext(progress))
    step = float(np.median(np.diff(clock[: STEPS - 1])))
    bare = seconds(bare_products(products))
    rows_per_second = BATCH / step
    print(
        f"\n{rows_per_second:,.0f} rows/s; step {step * 1e3:.1f} ms, bare products {bare * 1e3:.1f} ms; ratio {step / bare:.2f}"
    )
    print(f"fit: {(max(memory) - before) / 1e9:.2f} GB beyond the page cache, at its peak")
    assert step <= 2 * bare
    assert max(memory) - before <= 4e9


def anonymous(process: psutil.Process) -> int:
    """Bytes of a process that are not pages of files."""
    info = process.memory_info()
    return int(info.rss - info.shared)


def bare_forward(
    stacks: Sequence[Sequence[int]], rows: int, activate: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[], object]:
    """Linear layers, stack after stack, on float32 rows that lie ready."""
    layers = [[(torch.rand(n_out), torch.rand(n_in, n_out)) for n_in, n_out in itertools.pairwise(sizes)] for sizes in stacks]
    inputs = [torch.rand(rows, sizes[0]) for sizes in stacks]

    def work() -> None:
        with torch.inference_mode():
            for hidden, stack in zip(inputs, layers, strict=True):
                for bias, weight in stack:
                    hidden = activate(torch.addmm(bias, hidden, weight))

    return work


@pytest.mark.parametrize(
    ("model", "stacks"),
    [
        (RandomEncoder(device="cpu"), [[P, 256, 256, 32]]),
        (Autoencoder.model_validate(TRAINING | {"max_steps": 1}), [[P, 256, 256, 32]]),
        (Autoencoder.model_validate(TRAINING | {"max_steps": 1, "emit": "deep_stack"}), [[P, 256, 256]]),
        (Scarf.model_validate(TRAINING | {"max_steps": 1}), [[P, 256, 256, 32]]),
        (SubTab.model_validate(TRAINING | {"max_steps": 1}), [[341, 256, 256, 32]] * 4),
        (EraAutoencoder.model_validate(TRAINING | {"max_steps": 1}), [[P, 100, 256], [P + 257, 256, 256, 12]]),
        (Siamese.model_validate(TRAINING | {"max_steps": 1}), [[P, 256, 256, 32]]),
        (SupervisedAutoencoder.model_validate(TRAINING | {"max_steps": 1}), [[P, 32], [P + 32, 256, 128, 128, 64, 1]]),
        (
            SupervisedAutoencoder.model_validate(TRAINING | {"max_steps": 1, "preset": "original"}),
            [[P, 96], [P + 96, 896, 448, 448, 256, 1]],
        ),
    ],
    ids=[
        "random_encoder",
        "autoencoder",
        "deep_stack",
        "contrastive",
        "subtab",
        "era_autoencoder",
        "siamese",
        "supervised_autoencoder",
        "original",
    ],
)
def test_transform_runs_at_half_the_rate_of_a_bare_forward_pass(panel: Panel, model: Generator, stacks: list[list[int]]) -> None:
    if model.uses_labels:
        panel = replace(panel, target=np.random.default_rng(1).random(N_ERAS * N_ROWS, np.float32))
    fitted = model.fresh().fit(panel, np.random.default_rng(0))
    block = panel.block(30)
    activate = {EraAutoencoder: torch.sigmoid_, SupervisedAutoencoder: swish}.get(type(model), torch.relu_)
    took, bare = seconds(lambda: fitted.transform(block)), seconds(bare_forward(stacks, len(block), activate))
    print(f"\n{len(block) / took:,.0f} rows/s, bare forward pass {len(block) / bare:,.0f} rows/s; ratio {bare / took:.2f}")
    assert took <= 2 * bare
