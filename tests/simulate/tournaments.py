"""Simulated tournaments of means over eras, whose truth is known."""

import numpy as np

from numerai_lab.metrics.multiplicity import FamilyTest, family_test
from numerai_lab.metrics.significance import mean_differences
from tests.metrics.test_significance import overlapping_noise


def twin(base: np.ndarray, rng: np.random.Generator, n_eras: int) -> np.ndarray:
    """The same scores but for so many eras."""
    scores = base.copy()
    at = rng.choice(len(base), n_eras, replace=False)
    scores[at] += 0.3 * rng.normal(size=n_eras)
    return scores


def judged(scores: np.ndarray, resamples: int) -> FamilyTest:
    """eras × members, the first of which is the reference."""
    return family_test(mean_differences(scores[:, 1:] - scores[:, :1], 4, resamples=resamples))


def family_error(n: int, resamples: int, n_eras: int = 60) -> float:
    """How often any of 20 equal variants, of which two are twins of the reference (1 to 4 eras), is called different."""
    rng, wrong = np.random.default_rng(n_eras), 0
    for _ in range(n):
        scores = overlapping_noise(rng, n_eras, 21)
        scores[:, 1] = twin(scores[:, 0], rng, int(rng.integers(1, 5)))
        scores[:, 2] = twin(scores[:, 0], rng, int(rng.integers(1, 5)))
        wrong += bool((judged(scores, resamples).p < 0.05).any())
    return wrong / n


def found_beside_twin(n: int, resamples: int, n_differing: int, n_eras: int = 60) -> float:
    """How often a gain of 8 standard errors is called better beside a variant that differs in so many eras."""
    rng, hits = np.random.default_rng(n_differing), 0
    for _ in range(n):
        scores = overlapping_noise(rng, n_eras, 3)
        scores[:, 1] += 8 * np.sqrt(2 / n_eras)
        scores[:, 2] = twin(scores[:, 0], rng, n_differing)
        hits += bool(judged(scores, resamples).low[0] > 0)
    return hits / n


def found_at_resolution(n: int, resamples: int, n_eras: int, n_variants: int) -> float:
    """How often a gain of just the size of the stated resolution, planted in one variant, is called better."""
    rng, hits = np.random.default_rng(n_eras + n_variants), 0
    for _ in range(n):
        scores = overlapping_noise(rng, n_eras, n_variants + 1)
        scores[:, 1] += judged(scores, resamples).resolution
        hits += bool(judged(scores, resamples).low[0] > 0)
    return hits / n
