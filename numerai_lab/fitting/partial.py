"""A piece of a run: the stages of some variants for one seed and one split, for others to go on from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from numerai_lab.config.schema import Config
from numerai_lab.fitting.fit_plan import folds_of, seen_by, steps_of
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.learned_targets import plans_of
from numerai_lab.fitting.run_context import ProgressDisplay, RunContext
from numerai_lab.fitting.variants import check_methods, fit_generators, resolved_config, train_and_predict
from numerai_lab.storage.folders import cache_dir
from numerai_lab.storage.scratch import scratch
from numerai_lab.storage.stage_cache import STAGES, Cache


@dataclass(frozen=True)
class Piece:
    """Variants that share generators, a seed, and the number of a split: 0 = validation, then folds, then steps."""

    variants: tuple[str, ...]
    seed: int
    split: int = 0


def pieces_of(config: Config, n_splits: int) -> Iterator[Piece]:
    """The pieces of a run. Variants whose models are fed by a common generator are in one piece: it is fitted once.

    Models with `workers` are in no piece: the run trains them on several workers. Their generators are.
    """
    groups: list[tuple[set[str], list[str]]] = []
    for name in config.trained:
        generators = set(config.generators_of(name))
        joined = [group for group in groups if group[0] & generators]
        groups = [group for group in groups if group not in joined]
        members = [member for group in joined for member in group[1]]
        groups.append((generators.union(*(group[0] for group in joined)), [*members, name]))
    for split in range(n_splits):
        for seed in config.seeds:
            yield from (Piece(tuple(names), seed, split) for generators, names in groups if generators or _alone(config, names))


def _alone(config: Config, names: Iterable[str]) -> bool:
    """Whether the model of any of these variants is trained in one process."""
    return any(config.model_of(name).n_parts == 1 for name in names)


def n_splits_of(config: Config) -> int:
    """How often a run of the config is fitted: for validation, folds and steps."""
    loaded, splits = load_sealed(config)
    return 1 + len(folds_of(config, loaded.panel, splits)) + len(steps_of(config, loaded.panel, splits))


def make_stages(config: Config, piece: Piece, display: ProgressDisplay) -> list[Path]:
    """Makes the stages of a piece in the cache, or finds them there. Returns their folders.

    Raises NlabError where the config can't be run on these data.
    """
    loaded, splits = load_sealed(config)
    panel = loaded.panel
    plans = plans_of(config, splits, panel)
    plan = plans[piece.split]
    check_methods(config, panel, plan)
    resolved = resolved_config(config, panel, plans[0])
    seen = panel if piece.split == 0 else seen_by(panel, plan.splits)
    with scratch() as arrays, Cache(cache_dir() / STAGES) as cache:
        for store in loaded.stores.all:
            cache.hold(store.folder)
        context = RunContext(resolved, seen, plan, arrays, display, lambda name, content: None, cache, loaded.content)
        _fit(context, piece)
        return cache.entries


def _fit(context: RunContext, piece: Piece) -> None:
    config = context.config
    chosen = {name: config.variants[name] for name in piece.variants}
    narrowed = config.model_copy(update={"variants": chosen})
    narrow = replace(context, config=narrowed, plan=replace(context.plan, config=narrowed))
    fitted = fit_generators(narrow, [piece.seed])
    alone = {name: variant for name, variant in chosen.items() if config.model_of(name).n_parts == 1}
    if alone:
        of_piece = narrowed.model_copy(update={"seeds": [piece.seed], "variants": alone})
        train_and_predict(replace(narrow, config=of_piece), fitted)
