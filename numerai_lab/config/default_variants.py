"""What a config that names no variants compares: what the forum argues with, each method beside its placebo."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config.kinds import component_of
from numerai_lab.core.component import Component
from numerai_lab.generators import GENERATORS

RAW = "raw"
C = TypeVar("C", bound=Component)
NOISE, UNTRAINED, SAME_ROWS = "random_columns", "random_encoder", "duplicate"
"""The kinds of placebos: as many columns of noise, a network of the same shape as it began, and the same rows once more."""


def with_variants(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config with variants written out, and the placebos they need.

    Of each generator NAME alone and raw+NAME, of each augmenter its rows; raw + a placebo of as many columns, one for each
    width there is; an untrained network of each shape there is, alone and with raw; and the same rows again, as many of the
    same weight.
    Beside generators that take the first training eras for themselves, raw and their placebos trained on the eras they
    leave. Works on values that were not checked yet: what is wrong with them is said elsewhere.
    """
    generators, augmenters = mapping(raw, "generators"), mapping(raw, "augmenters")
    added, same = {**_noise(generators), **_untrained(generators)}, _same_rows(augmenters)
    variants: dict[str, Any] = {"baseline": {"features": [RAW]}}
    for name, values in generators.items():
        if _kind(values) != NOISE:
            variants[f"{name}_only"] = {"features": [name]}
        variants[f"{RAW}+{name}"] = {"features": [RAW, name]}
    untrained = [name for name, values in added.items() if _kind(values) == UNTRAINED]
    variants |= {f"{name}_only": {"features": [name]} for name in untrained}
    variants |= {f"{RAW}+{name}": {"features": [RAW, name]} for name in added}
    for name in _early(generators):
        variants[f"baseline_after_{name}"] = {"features": [RAW], "after": [name]}
        of = _noise_of(name, generators[name]), _untrained_of(generators[name])
        own = [other for other, values in added.items() if values in of]
        variants |= {f"{RAW}+{other}_after_{name}": {"features": [RAW, other], "after": [name]} for other in own}
        alone = [other for other in own if other in untrained]
        variants |= {f"{other}_only_after_{name}": {"features": [other], "after": [name]} for other in alone}
    variants |= {name: {"features": [RAW], "augment": [name]} for name in (*augmenters, *same)}
    families = {"generators": {**generators, **added}} if added else {}
    families |= {"augmenters": {**augmenters, **same}} if same else {}
    return {**raw, **families, "variants": variants}


def mapping(raw: Mapping[str, Any], key: str) -> Mapping[Any, Any]:
    """The mapping under a key of unchecked values; empty where there is something else."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _noise(generators: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Noise placebos: one for each number of columns, and one for each generator whose number depends on the data.

    Empty where the config has a noise generator of its own.
    """
    if any(_kind(values) == NOISE for values in generators.values()):
        return {}
    placebos: dict[int | str, dict[str, Any]] = {}
    for name, values in generators.items():
        placebo = _noise_of(name, values)
        if placebo is not None:
            placebos.setdefault(placebo.get("like", placebo["n_columns"]), placebo)
    return _named("placebo", placebos, generators)


def _untrained(generators: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Untrained placebos: one network for each shape of the trained ones; empty where the config has one of its own."""
    if any(_kind(values) == UNTRAINED for values in generators.values()):
        return {}
    placebos: dict[str, dict[str, Any]] = {}
    for name, values in generators.items():
        placebo = _untrained_of(values)
        if placebo is not None and placebo not in placebos.values():
            placebos[str(name)] = placebo
    return _named("untrained", placebos, generators)


def _same_rows(augmenters: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Row placebos: for each augmenter as many copies of real rows, of the same weight.

    Empty where the config has such a placebo. An augmenter that replaces an era's rows by as many others needs none: the
    baseline is its placebo.
    """
    if SAME_ROWS not in AUGMENTERS or any(_kind(values) == SAME_ROWS for values in augmenters.values()):
        return {}
    every = [augmenter for values in augmenters.values() if (augmenter := _checked(AUGMENTERS, values))]
    placebos = {}
    for augmenter in every:
        if augmenter.replaces and augmenter.copies == augmenter.ratio == 1:
            continue
        share: dict[str, Any] = {
            name: value for name, value in (("ratio", augmenter.ratio), ("weight", augmenter.weight)) if value != 1
        }
        share |= {"mode": augmenter.mode} if augmenter.replaces else {}
        amount = "_".join([str(augmenter.copies), *(f"{name}_{value}" for name, value in share.items())])
        placebos[amount] = {"kind": SAME_ROWS, "copies": augmenter.copies, **share}
    return _named(SAME_ROWS, placebos, augmenters)


def _named(name: str, placebos: Mapping[Any, dict[str, Any]], taken: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """`placebo`; of several `placebo_12`, `placebo_60`; `untrained_scarf` after the first of a shape.

    A name that the config uses for something else is left to it.
    """
    names = {name if len(placebos) == 1 else f"{name}_{size}": values for size, values in placebos.items()}
    return {key: values for key, values in names.items() if key not in taken}


def _early(generators: Mapping[Any, Any]) -> list[str]:
    """Names of the generators that are fitted on the first training eras alone."""
    checked = {name: _checked(GENERATORS, values) for name, values in generators.items()}
    return [str(name) for name, generator in checked.items() if generator is not None and generator.fit_scope.kind == "early"]


def _noise_of(name: Any, values: Any) -> dict[str, Any] | None:
    """As many columns of noise as these parameters of a generator ask for; None where they are not valid."""
    generator = _checked(GENERATORS, values)
    if generator is None:
        return None
    like = {"like": str(name)} if generator.wide_by_data else {}
    return {"kind": NOISE, "n_columns": len(generator.names_out()), **like}


def _untrained_of(values: Any) -> dict[str, Any] | None:
    """The untrained network beside a network with these parameters, reading the same features; None beside anything else."""
    generator = _checked(GENERATORS, values)
    if generator is None or generator.untrained is None:
        return None
    return {**generator.untrained, **{key: values[key] for key in ("select", "fit_on") if key in values}}


def _checked(kinds: Mapping[str, type[C]], values: Any) -> C | None:
    """The component that these values describe; None where they are not valid."""
    kind = _kind(values)
    if kind not in kinds:
        return None
    try:
        return component_of(kinds[kind], values)
    except ValidationError:
        return None


def _kind(values: Any) -> str:
    return str(values.get("kind")) if isinstance(values, Mapping) else ""
