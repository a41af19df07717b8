"""The facts of data, splits and scoring in the manifest of a run."""

import hashlib
from typing import Any

from numerai_lab.config.schema import Config
from numerai_lab.core.era_ranges import span_text
from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.scoring_terms import scoring_of
from numerai_lab.metrics.scoring import Scoring


def facts_now(config: Config) -> dict[str, Any]:
    """The facts that the manifest of a run of this config would hold, were it made now."""
    loaded, splits = load_sealed(config)
    return run_facts(config, loaded, splits, scoring_of(config, loaded))


def run_facts(config: Config, loaded: Loaded, splits: Splits, scoring: Scoring) -> dict[str, Any]:
    """The facts of data, splits and scoring for the manifest.

    Only runs that agree in `comparable` and `scoring` are ranked together.
    """
    panel = loaded.panel
    return {
        "data": _data_facts(config, loaded, splits),
        "comparable": _comparable_facts(config, loaded, splits),
        "splits": {name: list(getattr(splits, name)) for name in ("train", "embargo", "val1", "val2", "holdout")},
        "holdout": span_text(splits.holdout, panel.dates) if splits.holdout else None,
        "smallest_effect": scoring.smallest_effect,
        "leak": splits.leak,
        "legacy_scores": config.scoring.legacy,
        "cv": config.cv.model_dump() if config.cv else None,
        "retrain": config.retrain.model_dump() if config.retrain else None,
        "scoring": {
            "reference": scoring.reference,
            "fnc": f"fnc[{scoring.fnc_features}]@{loaded.target}",
            "meta_model": scoring.meta_model,
            "benchmark": scoring.benchmark,
            "least_rows": scoring.least_rows,
            "payout": dict(zip(("corr", "mmc"), scoring.multipliers, strict=True)),
        },
    }


def _data_facts(config: Config, loaded: Loaded, splits: Splits) -> dict[str, Any]:
    panel = loaded.panel
    return {
        "source": config.data.model_dump()["source"],
        "synthetic": loaded.synthetic,
        "identity": loaded.identity,
        "store": loaded.store.folder.name,
        "labels": loaded.labels.folder.name,
        "extras": loaded.stores.extras.folder.name if loaded.stores.extras else None,
        "store_made": loaded.new_stores,
        "rows": len(panel.ids),
        "train_rows": panel.only(splits.train).n_rows,
        "features": panel.n_raw,
        "input_sets": {name: len(panel.feature_sets[name]) for name in config.input_sets},
        "target": config.data.target,
        "auxiliary_targets": config.data.auxiliary_targets,
        "resolved_target": loaded.target,
        "horizon_days": loaded.horizon_days,
        "days_per_era": panel.days_per_era,
    }


def _comparable_facts(config: Config, loaded: Loaded, splits: Splits) -> dict[str, Any]:
    panel = loaded.panel
    return {
        "data version": loaded.label,
        "data identity": loaded.identity,
        "meta model and benchmarks": loaded.extras_identity,
        "target": loaded.target,
        "horizon (days)": loaded.horizon_days,
        "val1": span_text(splits.val1, panel.dates),
        "val2": span_text(splits.val2, panel.dates),
        "scored rows": _digest(panel, splits),
        **({"days per era": panel.days_per_era} if panel.days_per_era != DAYS_PER_ERA else {}),
    }


def unlearned_targets(config: Config) -> str:
    """A remark where auxiliary targets are read and neither generators nor models learn them."""
    learned = any(generator.several_targets for generator in config.generators.values())
    learned = learned or any(variant.targets for variant in config.variants.values())
    unlearned = "no generator or variant of this config learns auxiliary targets"
    return "" if learned or not config.data.auxiliary_targets else unlearned


def _digest(panel: Panel, splits: Splits) -> str:
    """A hash of the ids and targets of the scored rows."""
    assert panel.target is not None
    digest = hashlib.sha256()
    for era in splits.scored:
        rows = panel.rows(era)
        digest.update(panel.ids[rows].tobytes() + panel.target[rows].tobytes())
    return digest.hexdigest()[:16]
