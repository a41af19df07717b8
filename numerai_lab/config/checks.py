"""Checks of a config across its fields: unknown names, repeated names, overlapping ranges."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.config.default_variants import RAW, mapping
from numerai_lab.config.schema import NAME, Config, Variant
from numerai_lab.core.era_ranges import parse_era_range
from numerai_lab.core.errors import nearest
from numerai_lab.core.formatting import brief
from numerai_lab.data.synthetic_files import ORACLE
from numerai_lab.generators.base import Generator

OF_MODELS = ("features", "augment", "targets", "target_transform", "model")
"""Keys of a variant that mean nothing in an ensemble."""


LONGEST_NAMES = {"generators": 100, "augmenters": 100, "variants": 150}
"""Characters: files of a run folder are named by them, and a file's name has at most 255 bytes."""


def cross_checks(raw: Mapping[str, Any]) -> list[str]:
    """Problems across fields of unchecked values, so that they are found even when single fields are wrong."""
    generators, augmenters = mapping(raw, "generators"), mapping(raw, "augmenters")
    sets = [ORACLE] if mapping(raw, "data").get(ORACLE) is True else []
    variants = {name: v for name, v in mapping(raw, "variants").items() if isinstance(v, Mapping)}
    problems = _bad_names(generators, augmenters, mapping(raw, "variants"))
    problems += [
        f"generators.{name}: the data have a feature set of this name; choose another" for name in sets if name in generators
    ]
    for i, (name, values) in enumerate(generators.items()):
        like = values.get("like") if isinstance(values, Mapping) else None
        problems += _unknown(f"generators.{name}.like", like and [like], list(generators)[:i], "generator above it")
    for name, variant in variants.items():
        where = f"variants.{name}"
        read = variant.get("features")
        if isinstance(read, list) and ORACLE in read and ORACLE not in (*sets, *generators):
            problems.append(f"{where}.features: {ORACLE!r} is read of a synthetic world with data.oracle: true; set it")
        else:
            problems += _unknown(f"{where}.features", read, [RAW, *generators, *sets], "generator")
        problems += _unknown(f"{where}.after", variant.get("after"), list(generators), "generator")
        problems += _unknown(f"{where}.augment", variant.get("augment"), list(augmenters), "augmenter")
        plain = [other for other, v in variants.items() if v.get("ensemble") is None]
        problems += _unknown(f"{where}.ensemble", variant.get("ensemble"), plain, "variant that is no ensemble")
        if variant.get("ensemble") is not None and (idle := [key for key in OF_MODELS if variant.get(key)]):
            problems.append(f"{where}: an ensemble averages other variants; leave out {' and '.join(idle)}")
    reference = mapping(raw, "scoring").get("reference")
    if isinstance(reference, str) and reference not in variants:
        problems.append(f"scoring.reference: no variant {reference!r}; {nearest(reference, map(str, variants))}")
    seeds = raw.get("seeds")
    if isinstance(seeds, list) and len(set(map(str, seeds))) < len(seeds):
        problems.append(f"seeds: {seeds} names a seed twice")
    return problems + _overlaps(mapping(raw, "splits"))


def scope_checks(config: Config) -> list[str]:
    """Problems of variants with the fit scopes of their generators, and with the targets that they learn."""
    problems = list(dict.fromkeys(problem for name in config.trained for problem in _start_problems(config, name)))
    problems += _joint_models_of_one_target(config)
    for name, variant in config.variants.items():
        used = [config.generators[g] for g in variant.inputs if g in config.generators]
        chosen = {a: config.augmenters[a] for a in variant.augment if a in config.augmenters}
        problems += [*_same_twice(config, name, variant), *_target_problems(config, name, variant)]
        problems += [
            f"variants.{name}.augment: {other!r} gives rows weights, and the model takes none; leave it out, or take another"
            for other, augmenter in chosen.items()
            if (augmenter.weighs or augmenter.weight != 1) and not config.model_of(name).takes_weights
        ]
        problems += [
            f"variants.{name}.augment: rows of {other!r} come from several eras, and no fit of a cross-fit generator may speak "
            "for them; give that generator scheme: early"
            for other in _unfit_augmenters(used, chosen)
        ]
        problems += [
            f"variants.{name}.augment: rows that an augmenter makes have no columns of the set {read!r}; leave one of them out"
            for read in variant.inputs
            if read in config.data.input_sets and any(not augmenter.weighs for augmenter in chosen.values())
        ]
        problems += [
            f"variants.{name}.after: {g!r} takes no training eras from models; only generators of the scheme early do"
            for g in variant.after
            if g in config.generators and config.generators[g].fit_scope.kind != "early"
        ]
    return problems


def _joint_models_of_one_target(config: Config) -> list[str]:
    """Problems of models that learn several targets jointly, and that no variant gives more than one."""
    used: dict[str, list[str]] = {}
    for name in config.trained:
        if config.model_of(name).learns_jointly:
            used.setdefault(f"variants.{name}.model" if config.variants[name].model else "model", []).append(name)
    return [
        f"{where}.multi_strategy: multi_output_tree learns several targets at once, and no variant with this model has several; "
        "give one `targets`, or leave it out"
        for where, names in used.items()
        if all(len(config.targets_of(name)) == 1 for name in names)
    ]


def _start_problems(config: Config, name: str) -> list[str]:
    """Problems of a variant whose network begins with the encoder of a generator."""
    variant, start = config.variants[name], config.model_of(name).encoder_of
    if start is None:
        return []
    where = f"variants.{name}.model.start_from" if variant.model else "model.start_from"
    if start not in config.generators:
        return [f"{where}: no generator {start!r}; {nearest(start, config.generators)}"]
    problems = []
    if message := config.generators[start].no_encoder:
        problems.append(f"{where}: {start!r}: {message}")
    if further := [read for read in variant.inputs if read != RAW]:
        problems.append(
            f"variants.{name}.features: its network begins with the encoder of {start!r}, which reads raw features; name them "
            f"alone, without {' and '.join(further)}, or give the variant another model"
        )
    return problems


def _bad_names(generators: Mapping[Any, Any], augmenters: Mapping[Any, Any], variants: Mapping[Any, Any]) -> list[str]:
    problems = []
    for family, names in (("generators", generators), ("augmenters", augmenters), ("variants", variants)):
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(NAME, name):
                problems.append(f"{family}: {brief(name)} is not a name (letters, digits and _ . + - after the first)")
            elif len(name) > LONGEST_NAMES[family]:
                problems.append(f"{family}: {brief(name)} is too long, a name has at most {LONGEST_NAMES[family]} characters")
            elif name == RAW and family != "variants":
                problems.append(f"{family}.{RAW}: this name stands for the raw features; choose another")
    return problems


def _unknown(where: str, names: Any, known: Sequence[Any], noun: str) -> list[str]:
    if not isinstance(names, list):
        return []
    known = list(map(str, known))
    twice = {name for name in names if isinstance(name, str) and names.count(name) > 1}
    return [
        f"{where}: no {noun} {name!r}; {nearest(name, known)}" for name in names if isinstance(name, str) and name not in known
    ] + [f"{where}: {name!r} stands twice" for name in sorted(twice)]


def _overlaps(splits: Mapping[Any, Any]) -> list[str]:
    """Problems of explicit era ranges that overlap or are in the wrong order."""
    spans = []
    for name in ("train", "val1", "val2", "holdout"):
        try:
            spans.append((name, parse_era_range(str(splits.get(name)))))
        except ValueError:
            continue
    return [
        f"splits.{later}: {splits[later]} must begin after {name} ({splits[name]}) ends"
        for (name, span), (later, later_span) in itertools.pairwise(spans)
        if type(later_span[0]) is type(span[1]) and later_span[0] <= span[1]  # type: ignore[operator]
    ]


def _same_twice(config: Config, name: str, variant: Variant) -> list[str]:
    """Problems of a variant with two entries of equal kind and parameters: their columns or rows would be the same."""
    generators = [(g, config.generators[g].seed_key) for g in variant.inputs if _is_own(config.generators.get(g))]
    augmenters = [(a, config.augmenters[a].seed_key) for a in variant.augment if a in config.augmenters]
    columns = "the same columns would stand twice; leave one out"
    rows = "(copies, ratio, weight aside); the same rows would be made twice; leave one out, or raise copies of the other"
    return [
        f"variants.{name}.{key}: {a!r} and {b!r} have the same kind and parameters{message}"
        for key, message, named in (("features", f"; {columns}", generators), ("augment", f" {rows}", augmenters))
        for (a, of_a), (b, of_b) in itertools.combinations(named, 2)
        if of_a == of_b
    ]


def _target_problems(config: Config, name: str, variant: Variant) -> list[str]:
    """Problems of a variant with targets that no data are read of, or that its augmenters replace by others."""
    known = (config.data.target, *config.data.auxiliary_targets)
    problems = [
        f"variants.{name}.targets: {target!r} is not read; {nearest(target, known)}; name it in data.auxiliary_targets"
        for target in config.targets_of(name)
        if target not in known
    ]
    twice = {target for target in variant.targets or () if (variant.targets or []).count(target) > 1}
    problems += [f"variants.{name}.targets: {target!r} stands twice" for target in sorted(twice)]
    n_targets = max(map(len, config.targets_by_model(name)))
    problems += [
        f"variants.{name}.augment: {a!r} knows one target, and the model learns {n_targets} at once; leave it out, or give each "
        "target a model of its own"
        for a in variant.augment
        if n_targets > 1 and a in config.augmenters and config.augmenters[a].reads_target
    ]
    if variant.target_transform is not None:
        problems += [
            f"variants.{name}.augment: {a!r} gives rows the tournament's target values, and target_transform gives others; "
            "set bins: train"
            for a in variant.augment
            if a in config.augmenters and config.augmenters[a].tournament_targets
        ]
    return problems


def _is_own(generator: Generator | None) -> bool:
    """Whether a generator decides its own number of columns; a placebo with `like` does not."""
    return generator is not None and not generator.model_dump().get("like")


def _unfit_augmenters(generators: Iterable[Generator], augmenters: Mapping[str, Augmenter]) -> list[str]:
    """Augmenters whose rows mix eras of several cross-fit blocks: no fit of a cross-fit generator is honest for them."""
    if not any(generator.fit_scope.kind == "cross_fit" for generator in generators):
        return []
    return [
        name
        for name, augmenter in augmenters.items()
        if not augmenter.weighs and (augmenter.crosses_eras or augmenter.invents_eras or augmenter.learns)
    ]
