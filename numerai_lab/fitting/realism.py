"""How real the rows are that augmenters invent: samples of them beside training eras and held-out eras."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from numerai_lab.core import training_stream as streaming
from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.era_ranges import ranges_text
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.seeding import rng_for
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.fitting.stages import fitted_augmenter, rows_stream
from numerai_lab.metrics.augmentation_curve import CurvePoint, augmentation_curve
from numerai_lab.metrics.jackknife import Measure
from numerai_lab.metrics.realism import Realism, realism
from numerai_lab.metrics.row_sample import RowSample
from numerai_lab.storage.code_version import code_version, library_versions, source_version
from numerai_lab.storage.stage_cache import Entry, Stage

MOST_ERAS = 60
MOST_ROWS = 20_000
"""Of each sample, evenly from its eras."""
STATISTICS, PROPORTIONS = "realism.json", "proportions.npy"


@dataclass(frozen=True)
class Judged:
    """An augmenter, the seed whose rows were judged, the features, the statistics of its rows, and its augmentation curve."""

    augmenter: str
    seed: int
    features: tuple[str, ...]
    realism: Realism
    curve: tuple[CurvePoint, ...]


def realism_of(context: RunContext) -> list[Judged]:
    """The realism of every augmenter in use that invents rows, with the first seed; empty where no era is held out.

    An augmenter is fitted as for the first of its variants with the most training eras. Held-out eras are val1, or val2
    where val1 is empty. Their targets judge rows that are made already; nothing is chosen by them.
    """
    config, splits = context.config, context.splits
    held = tuple(splits.val1 or splits.val2)
    if not held:
        return []
    seed, out = config.seeds[0], []
    for name, augmenter in config.augmenters.items():
        users = [variant_name for variant_name, variant in config.variants.items() if name in variant.augment]
        if users and augmenter.invents_rows:
            user = max(users, key=lambda variant_name: len(context.plan.models[variant_name]))
            entry = _judged(context.for_variant(user), name, tuple(config.variants[user].augment), held)
            out.append(Judged(name, seed, context.panel.raw_names, *_read(entry)))
    return out


def _judged(context: RunContext, name: str, augment: tuple[str, ...], held: tuple[int, ...]) -> Entry:
    seed, train = context.config.seeds[0], context.train

    def judge(work: Path) -> None:
        with context.display.task(f"realism of {name}@{seed}") as progress:
            rng = rng_for(seed, "realism", context.config.augmenters[name].seed_key)
            augmenters = {augmenter_name: fitted_augmenter(context, augmenter_name, seed) for augmenter_name in augment}
            stream = rows_stream(context, augmenters, seed)
            origins = stream.origins_of(name)
            places = _spread(len(origins))
            generated = _sample((stream.rows_of(origins[i]) for i in places), len(places), rng)
            real = [_sample_of(context.panel.only(eras), rng) for eras in (train, held)]
            number = int(rng.integers(2**31 - 1))
            result = realism(real[0], real[1], generated, number, _features_of(context.panel.only(train)))
            progress(2, 3)
            curve = augmentation_curve(real[0], real[1], generated, number)
            progress(3, 3)
        _write(work, result, curve)

    templates = {augmenter_name: context.config.augmenters[augmenter_name] for augmenter_name in augment}
    kinds = [type(template) for template in templates.values()]
    facts = {
        "augmenters": [template.recipe for template in templates.values()],
        "augmenter": augment.index(name),
        "data": context.content.rows_of((*train, *held)),
        "labels": context.content.labels_of((*train, *held)),
        "code": [
            code_version(*kinds, Realism, CurvePoint, streaming),
            source_version(Path(__file__)),
        ],
        "libraries": library_versions(*kinds, Realism, CurvePoint),
        "trained on": ranges_text(train),
        "held out": ranges_text(held),
        "seed": seed,
    }
    return context.stages.obtain(Stage("realism", f"realism of {name}@{seed}", facts), judge)


def _write(folder: Path, result: Realism, curve: Iterable[CurvePoint]) -> None:
    plain = {
        "rows": result.rows,
        "eras": result.eras,
        "measures": {name: asdict(measure) for name, measure in result.measures.items()},
        "curve": [asdict(point) for point in curve],
    }
    (folder / STATISTICS).write_text(json.dumps(plain), encoding="utf-8")
    np.save(folder / PROPORTIONS, result.proportions, allow_pickle=False)


def _read(entry: Entry) -> tuple[Realism, tuple[CurvePoint, ...]]:
    plain = json.loads((entry.folder / STATISTICS).read_text(encoding="utf-8"))
    proportions: Float64 = np.load(entry.folder / PROPORTIONS, allow_pickle=False)
    measures = {name: Measure(**values) for name, values in plain["measures"].items()}
    curve = tuple(CurvePoint(**point) for point in plain["curve"])
    return Realism(plain["rows"], plain["eras"], measures, proportions), curve


def _features_of(panel: Panel) -> Iterator[Array]:
    """The features of all rows, a block an era."""
    for era in panel.eras.tolist():
        yield panel.block(era).features
        panel.release()


def _sample_of(panel: Panel, rng: np.random.Generator) -> RowSample:
    """Rows with a target of some eras of a panel, spread over all of them."""
    eras = panel.eras[_spread(len(panel.eras))].tolist()
    return _sample((panel.block(era) for era in eras), len(eras), rng)


def _sample(blocks: Iterable[Block], n_eras: int, rng: np.random.Generator) -> RowSample:
    features, targets, eras = [], [], []
    for block in blocks:
        assert block.target is not None
        known = block.take(np.isfinite(block.target))
        rows = np.sort(rng.permutation(len(known))[: MOST_ROWS // n_eras])
        assert known.target is not None
        features.append(known.features[rows])
        targets.append(known.target[rows])
        eras.append(np.full(len(rows), block.era))
    return RowSample(np.concatenate(features), np.concatenate(targets), np.concatenate(eras))


def _spread(n: int) -> list[int]:
    """At most MOST_ERAS of n places, evenly spread."""
    return sorted(set(np.linspace(0, n - 1, min(n, MOST_ERAS)).astype(int).tolist()))
