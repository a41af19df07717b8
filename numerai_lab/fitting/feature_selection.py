"""The raw features that a generator selects. Only here may training labels steer a generator's inputs."""

from dataclasses import replace

import numpy as np

from numerai_lab.core.arrays import Float64, Int64
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.panel import Panel, release_pages
from numerai_lab.generators import Generator
from numerai_lab.generators.select import Select
from numerai_lab.metrics.era import pearson
from numerai_lab.storage.scratch import Scratch

LABELLED = "selected with training labels"
"""The stamp of variants whose generator chose its features by the target of training eras."""


def chosen(select: Select, train: Panel) -> Int64:
    """Positions of the selected features among the raw ones, rising. train: the training eras, with their target.

    Raises NlabError for an unknown feature set, or when fewer features are left than asked for.
    """
    eligible = _eligible(select, train)
    if select.top_k is None:
        return eligible
    variance = variance_of_corr(train)[eligible]
    order = np.argsort(variance if select.keep == "lowest" else -variance, kind="stable")  # NaN comes last either way
    return np.sort(eligible[order[: select.top_k]])


def _eligible(select: Select, train: Panel) -> Int64:
    """Positions of the raw features that may be selected, rising. Raises NlabError as `chosen` does."""
    positions = np.arange(train.n_raw)
    if select.features is not None:
        for name in select.features:
            if name not in train.feature_sets:
                raise NlabError(f"select.features: the data has no feature set {name!r}; {nearest(name, train.feature_sets)}")
        united = np.unique(np.concatenate([train.feature_sets[name] for name in select.features]))
        positions = united[united < train.n_raw]
    if not len(positions):
        raise NlabError(f"select.features: none of the features that are read belongs to {', '.join(select.features or [])}")
    if select.top_k is not None and select.top_k > len(positions):
        raise NlabError(f"select.top_k: {select.top_k} of only {len(positions)} features")
    return positions


def variance_of_corr(train: Panel) -> Float64:
    """By raw feature, the variance over eras of its correlation with the target; NaN with fewer than two eras.

    Rows without a target and eras in which the feature is constant are left out. The panel must have its target.
    """
    n, total, squares = (np.zeros(train.n_raw) for _ in range(3))
    for block in train.blocks():
        assert block.target is not None
        known = np.isfinite(block.target)
        corr = pearson(block.features[known].astype(np.float64), block.target[known].astype(np.float64))
        n, total, squares = n + np.isfinite(corr), total + np.nan_to_num(corr), squares + np.nan_to_num(corr) ** 2
    live = n >= 2
    mean, square = (np.divide(part, n, out=np.full(train.n_raw, np.nan), where=live) for part in (total, squares))
    variance: Float64 = square - mean**2
    return variance


def shown_to(template: Generator, panel: Panel, train: tuple[int, ...], eras: tuple[int, ...], space: Scratch) -> Panel:
    """The panel that a generator is fitted on: its eras, with the raw features that it selects and no others.

    The panel holds the target of these eras if the generator uses labels, and auxiliary targets if it learns several. Other
    eras have no target (NaN). Selected features are copied into `space`, so a fit may read rows straight from the
    memory-map. Features are selected on the `train` eras alone.
    """
    visible = _visible(template, panel, eras)
    if template.select is None:
        return visible
    at = chosen(template.select, panel.only(train))
    return _narrowed(visible, at, space)


def outline(template: Generator, panel: Panel, eras: tuple[int, ...]) -> Panel:
    """The panel of `shown_to` as far as `refusal` needs it: right names and number of features, wrong values.

    Nothing is copied. Where the target chooses among features, the first ones stand in. Raises NlabError as `chosen` does.
    """
    visible = _visible(template, panel, eras)
    if template.select is None:
        return visible
    at = _eligible(template.select, panel)[: template.select.top_k]
    return _named(visible, at)


def _visible(template: Generator, panel: Panel, eras: tuple[int, ...]) -> Panel:
    """The eras that a generator is fitted on, with the targets that it may see and all raw features."""
    further = panel.auxiliary if template.several_targets else ()
    visible = (panel.labelled(eras, further) if template.uses_labels else panel.without_target()).only(eras)
    return visible.for_fitting(template.reads_feature_sets)


def adopted(generator: Generator, fitted_on: Panel, panel: Panel) -> Generator:
    """The fitted generator, knowing which raw features of a row it reads."""
    if generator.select is not None:
        position = {name: i for i, name in enumerate(panel.raw_names)}
        generator.selected_ = np.array([position[name] for name in fitted_on.raw_names], np.int32)
    return generator


def _narrowed(panel: Panel, at: Int64, space: Scratch) -> Panel:
    features = space.features(len(panel.ids), len(at), panel.features.dtype)
    for era in panel.eras.tolist():
        rows = panel.rows(era)
        features[rows] = panel.features[rows][:, at]
        panel.release()
        release_pages(features)
    return replace(_named(panel, at), features=features)


def _named(panel: Panel, at: Int64) -> Panel:
    """The panel with names, number and sets of the raw features at these positions; their values stay where they are."""
    place = {int(old): new for new, old in enumerate(at)}
    sets = {name: np.array([place[i] for i in old.tolist() if i in place], np.int64) for name, old in panel.feature_sets.items()}
    return replace(
        panel,
        feature_names=tuple(panel.feature_names[i] for i in at),
        n_raw=len(at),
        feature_sets={name: positions for name, positions in sets.items() if len(positions)},
    )
