"""Data broken on purpose: what is in its place tells nothing, or something else."""

from dataclasses import replace

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.folds import Fold
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.storage.scratch import Scratch


def permuted_targets(panel: Panel, rng: np.random.Generator, eras: tuple[int, ...] | None = None) -> Panel:
    """The panel with the targets of each era's rows (or of some eras'), auxiliary ones with them, in random order."""
    whose = np.arange(len(panel.ids))
    for era in panel.eras.tolist() if eras is None else eras:
        whose[panel.rows(era)] = rng.permutation(whose[panel.rows(era)])
    return panel.relabelled(whose)


def reordered_rows(panel: Panel, splits: Splits, space: Scratch, rng: np.random.Generator) -> Panel:
    """The panel with the rows of each validation era, everything of them, in random order."""
    whose = np.arange(len(panel.ids))
    features = space.copy_of(panel.features)
    for era in splits.validation:
        rows = panel.rows(era)
        whose[rows] = rng.permutation(whose[rows])
        features[rows] = panel.features[whose[rows]]
    extras = {name: values[whose] for name, values in panel.extras.items()}
    return replace(panel.relabelled(whose), features=features, ids=panel.ids[whose], extras=extras)


def replaced_features(panel: Panel, splits: Splits, space: Scratch, rng: np.random.Generator) -> Array:
    """The features with the rows of every validation era drawn from a training era instead."""
    features = space.copy_of(panel.features)
    for era in splits.validation:
        to, of = panel.rows(era), panel.rows(int(rng.choice(splits.train)))
        drawn = np.resize(rng.permutation(np.arange(of.start, of.stop)), to.stop - to.start)
        features[to] = panel.features[drawn]
    return features


def without_block(panel: Panel, fold: Fold, *, later: bool, space: Scratch, rng: np.random.Generator) -> tuple[Panel, int]:
    """The panel with a fold's block hidden from whom it is predicted by, and how many eras that changes.

    Targets of the block, of eras within the embargo of it, and with `later` of all that follow, are permuted; but for those
    of the block itself, features of these eras are replaced by those of eras that the fold trains on.
    """
    first, last = fold.val1[0] - fold.embargo_eras, fold.val1[-1] + fold.embargo_eras
    hidden = tuple(era for era in panel.eras.tolist() if first <= era and (later or era <= last))
    beside = tuple(era for era in hidden if era not in fold.val1)
    known = tuple(era for era in fold.train if era not in hidden)
    features = replaced_features(panel, replace(fold, train=known, val1=beside), space, rng)
    return replace(permuted_targets(panel, rng, hidden), features=features), len(hidden)
