"""Planted factors for encoders, and what their columns tell of them."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from numerai_lab.core.panel import Panel
from numerai_lab.generators import Generator
from numerai_lab.generators.autoencoder import RandomEncoder
from tests.generators.test_linear import held_out_r2, planted

N_FACTORS = 6
N_TRAIN = 30 * 500
SHAPE = {"n_components": 12, "hidden": 128}
TRAINING = {"batch_size": 256, "max_steps": 200, "evaluate_every": 50, "learning_rate": 3e-3}


@dataclass(frozen=True)
class Probe:
    """Of a fitted generator on planted data: R² of the factors and of the product of two of them, linear in its columns,
    learned on training eras and scored on held-out ones; spread and effective rank of its columns on held-out eras."""

    factors: float
    product: float
    least_deviation: float
    effective_rank: float


@cache
def world() -> tuple[Panel, np.ndarray]:
    """40 eras × 500 rows × 60 features on 6 factors, five bins, noise 1; the last 10 eras are held out."""
    panel, factors, _, _ = planted()
    return panel, factors


def probe(generator: Generator) -> Probe:
    panel, factors = world()
    generator.fit(panel.only(range(1, 31)), np.random.default_rng(0))
    columns = np.concatenate([generator.transform(block) for block in panel.blocks()])
    later = columns[N_TRAIN:] - columns[N_TRAIN:].mean(0)
    values = np.linalg.svd(later, compute_uv=False)
    shares = values / values.sum()
    return Probe(
        factors=held_out_r2(columns, factors, N_TRAIN),
        product=held_out_r2(columns, factors[:, :1] * factors[:, 1:2], N_TRAIN),
        least_deviation=float(later.std(0).min()),
        effective_rank=float(np.exp(-(shares * np.log(shares)).sum())),  # Roy & Vetterli 2007
    )


@cache
def untrained() -> Probe:
    """Of an encoder of the same shape with its random start."""
    return probe(RandomEncoder.model_validate(SHAPE))
