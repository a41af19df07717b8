"""Data broken on purpose for audits: permuted targets, reordered rows, replaced features."""

from dataclasses import replace

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.folds import Fold
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.storage.scratch import Scratch


def permuted_targets(panel: Panel, rng: np.random.Generator, eras: tuple[int, ...] | None = None) -> Panel:
    """The panel with main and auxiliary targets permuted within each era; eras: the eras to permute, None for all."""
    whose = np.arange(len(panel.ids))
    for era in panel.eras.tolist() if eras is None else eras:
        whose[panel.rows(era)] = rng.permutation(whose[panel.rows(era)])
    return panel.relabelled(whose)


def reordered_rows(panel: Panel, splits: Splits, space: Scratch, rng: np.random.Generator) -> Panel:
    """The panel with whole rows permuted within each validation era."""
    whose = np.arange(len(panel.ids))
    features = space.copy_of(panel.features)
    for era in splits.validation:
        rows = panel.rows(era)
        whose[rows] = rng.permutation(whose[rows])
        features[rows] = panel.features[whose[rows]]
    extras = {name: values[whose] for name, values in panel.extras.items()}
    return replace(panel.relabelled(whose), features=features, ids=panel.ids[whose], extras=extras)


def replaced_features(panel: Panel, splits: Splits, space: Scratch, rng: np.random.Generator) -> Array:
    """The features, with rows of every validation era replaced by rows drawn from a training era."""
    features = space.copy_of(panel.features)
    for era in splits.validation:
        to, of = panel.rows(era), panel.rows(int(rng.choice(splits.train)))
        drawn = np.resize(rng.permutation(np.arange(of.start, of.stop)), to.stop - to.start)
        features[to] = panel.features[drawn]
    return features


def without_block(panel: Panel, fold: Fold, *, later: bool, space: Scratch, rng: np.random.Generator) -> tuple[Panel, int]:
    """The panel with a fold's validation block and its embargo broken, and the number of broken eras.

    Targets are permuted in the block, in the eras within its embargo and, with `later`, in all eras after it. Features are
    replaced by those of training eras of the fold in all of these eras except the block.
    """
    first, last = fold.val1[0] - fold.embargo_eras, fold.val1[-1] + fold.embargo_eras
    hidden = tuple(era for era in panel.eras.tolist() if first <= era and (later or era <= last))
    beside = tuple(era for era in hidden if era not in fold.val1)
    known = tuple(era for era in fold.train if era not in hidden)
    features = replaced_features(panel, replace(fold, train=known, val1=beside), space, rng)
    return replace(permuted_targets(panel, rng, hidden), features=features), len(hidden)
