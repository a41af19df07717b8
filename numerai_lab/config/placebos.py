"""The placebo of each variant of a config: noise columns, an untrained network, repeated rows, or shuffled weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from numerai_lab.config.default_variants import NOISE, RAW, SAME_ROWS, SHUFFLED, UNTRAINED
from numerai_lab.config.random_starts import random_starts
from numerai_lab.config.schema import Config
from numerai_lab.core.placebo_pairs import Placebos

PLACEBOS = {"placebo": (NOISE, SAME_ROWS, SHUFFLED), "untrained": (UNTRAINED,)}
"""Field of `Placebos` → the kinds of components that replace a method in a placebo. SHUFFLED: any kind of shuffled weights."""


def placebos_of(config: Config) -> Placebos:
    """The placebos of every variant but the reference, as far as the config has them.

    A variant's placebo differs from it only in the methods that the reference lacks: noise columns replace generators (or
    untrained networks replace networks), repeated rows replace augmenters, shuffled weights replace weights of the same kind.
    Raw features, other components, the model, neutralisation, targets and training eras are the same. Of several candidates
    the one that replaces most of these methods is taken, then the nearest in width and shape, in number and weight of rows,
    or in parameters of weights. Names do not matter. The placebo of a network that begins with a trained encoder is the same
    network begun at random.
    """
    recipes = {name: _Recipe.of(config, name) for name in config.trained}
    reference = recipes.get(config.reference, _Recipe(frozenset(), frozenset({RAW})))
    nearest = {kind: _nearest(config, recipes, reference, kind) for kind in PLACEBOS}
    nearest["untrained"] |= {name: twin for name, twin in random_starts(config).items() if name != config.reference}
    return Placebos(**{kind: _with_ensembles(config, pairs) for kind, pairs in nearest.items()})


def unequal(config: Config, placebos: Placebos) -> list[str]:
    """Remarks on placebos that add another number of columns or rows than the methods that they replace."""
    remarks = []
    for variant, placebo in [*placebos.placebo.items(), *placebos.untrained.items()]:
        own, other = _Recipe.of(config, variant), _Recipe.of(config, placebo)
        columns = _width(config, own.inputs - other.inputs), _width(config, other.inputs - own.inputs)
        rows = _rows(config, own.augment - other.augment), _rows(config, other.augment - own.augment)
        remarks += [
            f"{variant} adds {mine:g} {unit}, its placebo {placebo} {theirs:g}: not a fair comparison"
            for unit, (mine, theirs) in (("columns", columns), ("new rows for each real one", rows))
            if not math.isclose(mine, theirs)
        ]
    return remarks


@dataclass(frozen=True)
class _Recipe:
    """The parts of a variant.

    inputs: generators. given: `raw` and feature sets. augment: augmenters that make rows. weights: augmenters that weigh.
    early_share: largest share of the training eras that its generators keep for themselves. rest: the model, what it learns,
    and neutralisation.
    """

    inputs: frozenset[str]
    given: frozenset[str]
    augment: frozenset[str] = frozenset()
    weights: frozenset[str] = frozenset()
    early_share: float = 0.0
    rest: str = ""

    @classmethod
    def of(cls, config: Config, name: str) -> Self:
        variant = config.variants[name]
        scopes = [config.generators[read].fit_scope for read in variant.reads if read in config.generators]
        early_share = max((scope.share for scope in scopes if scope.kind == "early"), default=0.0)
        inputs = frozenset(variant.inputs)
        generated = inputs & config.generators.keys()
        weights = frozenset(name for name in variant.augment if config.augmenters[name].weighs)
        augment = frozenset(variant.augment) - weights
        rest = repr((config.model_of(name), config.targets_of(name), variant.target_transform, variant.neutralize))
        return cls(generated, inputs - generated, augment, weights, early_share, rest)

    @property
    def parts(self) -> frozenset[tuple[str, str]]:
        """Generators, augmenters and weights as pairs of family and name."""
        named = (("generators", self.inputs), ("augmenters", self.augment), ("weights", self.weights))
        return frozenset((family, name) for family, names in named for name in names)


def _nearest(config: Config, recipes: Mapping[str, _Recipe], reference: _Recipe, kind: str) -> dict[str, str]:
    """Variant → its nearest placebo, without ensembles."""
    placebos = {}
    for name, own in recipes.items():
        if name == config.reference:
            continue
        candidates = []
        for place, (other, recipe) in enumerate(recipes.items()):
            replaced = _replaced(config, own, recipe, kind)
            if replaced and not replaced & reference.parts:
                left = len(own.parts - reference.parts - replaced)
                candidates.append((left, _distance(config, own, recipe, kind), place, other))
        if candidates:
            placebos[name] = min(candidates)[-1]
    return placebos


def _replaced(config: Config, own: _Recipe, other: _Recipe, kind: str) -> frozenset[tuple[str, str]]:
    """The methods of a variant that placebos replace in another one, alike in all else; empty where it is no placebo."""
    gone, new = own.parts - other.parts, other.parts - own.parts
    same_rest = own.early_share == other.early_share and own.rest == other.rest
    fixed = same_rest and own.given == other.given
    if not fixed or {family for family, _ in gone} != {family for family, _ in new}:
        return frozenset()
    every = {placebo for kinds in PLACEBOS.values() for placebo in kinds}
    from_placebo = any(_kind(config, family, name) in every for family, name in gone)
    stands_in = all(_kind(config, family, name) in PLACEBOS[kind] for family, name in new) and not from_placebo
    replaces = {config.augmenters[name].replaces for family, name in gone | new if family == "augmenters"}
    networks = [config.generators[name].untrained for family, name in gone if family == "generators"]
    weights = [sorted(config.augmenters[name].kind for family, name in part if family == "weights") for part in (gone, new)]
    fits = len(replaces) < 2 and weights[0] == weights[1] and (kind != "untrained" or None not in networks)
    return gone if stands_in and fits else frozenset()


def _distance(config: Config, own: _Recipe, other: _Recipe, kind: str) -> float:
    """The distance of a placebo from the methods it replaces: in columns, rows and weight, or in parameters."""
    gone, new = own.inputs - other.inputs, other.inputs - own.inputs
    distance = abs(math.log(_width(config, new) / _width(config, gone))) if new else 0.0
    if kind == "untrained":
        there = [config.generators[name].model_dump() for name in new]
        for name in gone:
            read = {key: config.generators[name].model_dump()[key] for key in ("select", "fit_on")}
            expected = {**(config.generators[name].untrained or {}), **read}
            distance += min(sum(values.get(key) != value for key, value in expected.items()) for values in there)
    rows, again = own.augment - other.augment, other.augment - own.augment
    if again:
        distance += abs(math.log(_rows(config, again) / _rows(config, rows)))
        distance += abs(math.log(_weight(config, again) / _weight(config, rows)))
    return distance + _apart(config, own.weights - other.weights, other.weights - own.weights)


def _apart(config: Config, gone: frozenset[str], new: frozenset[str]) -> int:
    """The number of parameters in which the nearest of the shuffled weights differ, summed over the weights they replace."""
    recipes = [config.augmenters[name].model_dump(exclude={SHUFFLED}) for name in new]
    mine = [config.augmenters[name].model_dump() for name in gone]
    return sum(min(sum(values.get(key) != value for key, value in other.items()) for other in recipes) for values in mine)


def _width(config: Config, names: frozenset[str]) -> int:
    """Number of columns of these generators; an estimate where only the fit decides it."""
    total = 0
    for name in names:
        generator = config.generators[name]
        like = generator.model_dump().get("like")
        total += len(config.generators.get(str(like), generator).names_out())
    return total


def _rows(config: Config, names: frozenset[str]) -> float:
    """New rows per real row."""
    return sum(config.augmenters[name].growth for name in names)


def _weight(config: Config, names: frozenset[str]) -> float:
    """Weight of all new rows per real row."""
    return sum(config.augmenters[name].growth * config.augmenters[name].weight for name in names)


def _kind(config: Config, family: str, name: str) -> str:
    if family == "weights":
        return SHUFFLED if config.augmenters[name].shuffles else config.augmenters[name].kind
    return config.generators[name].kind if family == "generators" else config.augmenters[name].kind


def _with_ensembles(config: Config, placebos: Mapping[str, str]) -> dict[str, str]:
    """The placebos with those of ensembles: an ensemble in which placebos replace some members."""
    ensembles = {name: variant for name, variant in config.variants.items() if variant.ensemble is not None}
    added: dict[str, str] = {}
    for name, own in ensembles.items():
        for other, variant in ensembles.items():
            gone, new = _members_apart(own.ensemble or (), variant.ensemble or ())
            alike = len(own.ensemble or ()) == len(variant.ensemble or ()) and own.neutralize == variant.neutralize
            if gone and alike and {placebos.get(member) for member in gone} == new:
                added.setdefault(name, other)
    return {**placebos, **{name: other for name, other in added.items() if name != config.reference}}


def _members_apart(first: Sequence[str], second: Sequence[str]) -> tuple[set[str], set[str]]:
    return {*first} - {*second}, {*second} - {*first}
