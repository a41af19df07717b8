"""Random streams derived from a seed and a name."""

import hashlib

import numpy as np


def rng_for(seed: int, *path: str | int) -> np.random.Generator:
    """The random stream of one component: the same for the same (seed, path), independent of every other."""
    digest = hashlib.sha256("/".join(map(str, path)).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype=np.uint32).tolist()])
