"""The latents behind a synthetic world as features: what a model could read at best."""

import numpy as np

from numerai_lab.core.arrays import Float64, Int8
from numerai_lab.core.panel import BIN_TOP
from numerai_lab.data.world import World
from numerai_lab.data.world_state import State

N_COPIES = 4
"""Columns that show a cluster, so that trees which look at a tenth of the columns find it."""
N_STAGGERED = 5
"""Columns that show a coordinate together."""


def oracle_names(world: World) -> list[str]:
    """The names of `oracle_columns`; empty for a world that has none."""
    stock = State.first(1, world.features.n_own, seed=0)
    return list(oracle_columns(world, stock, np.zeros((1, world.size.n_features), np.int8)))


def oracle_columns(world: World, state: State, bins: Int8) -> dict[str, Int8]:
    """The columns of the feature set `oracle`, bins 0 to 4, by name without its prefix. bins: the era's features."""
    columns: dict[str, Int8] = {}
    if "member" in world.description.oracle:
        members = (BIN_TOP * state.members).astype(np.int8).T
        columns |= {f"cluster_{i}_{copy}": column for copy in range(N_COPIES) for i, column in enumerate(members)}
    if "torus" in world.description.oracle:
        columns |= _staggered(state.v)
    at = [world.features.blocks[i].at for i in world.description.lasting]
    lasting = np.sort(np.concatenate([*at, np.empty(0, np.int64)])).tolist()
    return columns | {f"lasting_{i:04d}": bins[:, i] for i in lasting}


def _staggered(v: Float64) -> dict[str, Int8]:
    """Coordinates in 21 steps: each column counts four of the twenty cuts, so that every cut is one split of a tree."""
    cuts = np.arange(1, 4 * N_STAGGERED + 1) / (4 * N_STAGGERED + 1)
    return {
        f"v{axis}_{i}": np.searchsorted(cuts[i::N_STAGGERED], v[:, axis]).astype(np.int8)
        for axis in range(v.shape[1])
        for i in range(N_STAGGERED)
    }
