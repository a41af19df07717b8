"""Notes that every table shows beside a variant's numbers."""

from collections.abc import Iterator, Sequence

from numerai_lab.fitting.feature_selection import LABELLED
from numerai_lab.fitting.fit_plan import FitPlan, label_note
from numerai_lab.fitting.learned_targets import learns_note


def notes_of(plan: FitPlan, alias: str) -> dict[str, str]:
    """By variant, its notes, separated by `; `; empty where there is nothing to note.

    They name transductive generators, generators that used labels, features selected with training labels, models that
    learned another target or from fewer eras than others, a lowered embargo and a moved alias.
    """
    config, splits = plan.config, plan.splits

    def parts(variants: Sequence[str]) -> Iterator[str]:
        inputs = [name for variant in variants for name in config.variants[variant].inputs]
        used = [config.generators[name] for variant in variants for name in config.generators_of(variant)]
        scopes = {generator.fit_scope.kind for generator in used}
        yield from (f"reads the feature set {name}" for name in config.input_sets if name in inputs)
        yield "transductive" if "all" in scopes else ""
        yield "columns learn from the features of their own era" if "per_era" in scopes else ""
        yield LABELLED if any(generator.select is not None and generator.select.by is not None for generator in used) else ""
        yield from (label_note(generator, splits) for generator in used)
        yield from (learns_note(config, config.variants[variant]) for variant in variants)
        left = min(len(plan.models[variant]) for variant in variants)
        yield f"trained on {left} of {len(splits.train)} eras" if left < len(splits.train) else ""
        yield from (splits.leak, alias)

    members = {name: variant.ensemble or [name] for name, variant in config.variants.items()}
    return {name: "; ".join(dict.fromkeys(part for part in parts(members[name]) if part)) for name in config.variants}
