"""The variants of a config that names none: each method, and a placebo beside it."""

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
"""Kinds of placebos: columns of noise, an untrained network of the same shape, and repeated real rows."""
SHUFFLED = "shuffle_eras"
"""The parameter that makes an augmenter which weighs its own placebo."""


def with_variants(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a config with default variants and the placebos that they need.

    For each generator NAME: NAME_only and raw+NAME; for each augmenter: real rows with its rows. Placebos: raw with noise
    columns, one per number of columns; untrained networks, one per shape, alone and with raw; repeated rows, as many and of
    the same weight; the same weights over shuffled eras. Beside generators that keep the first training eras for themselves, raw
    and placebos also train on the eras that these leave. Takes unchecked values; the checks report their problems.
    """
    generators, augmenters = mapping(raw, "generators"), mapping(raw, "augmenters")
    added, same = {**_noise(generators), **_untrained(generators)}, {**_same_rows(augmenters), **_shuffled(augmenters)}
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
    """The mapping under a key of unchecked values; empty where the value is no mapping."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _noise(generators: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Noise placebos: one per number of columns, and one per generator whose number of columns depends on the data.

    Empty where the config has a noise generator.
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
    """Untrained placebos: one network per shape of the trained ones; empty where the config has one."""
    if any(_kind(values) == UNTRAINED for values in generators.values()):
        return {}
    placebos: dict[str, dict[str, Any]] = {}
    for name, values in generators.items():
        placebo = _untrained_of(values)
        if placebo is not None and placebo not in placebos.values():
            placebos[str(name)] = placebo
    return _named("untrained", placebos, generators)


def _same_rows(augmenters: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Row placebos: for each augmenter as many repeated real rows, of the same weight.

    Empty where the config has such a placebo. The placebo of an augmenter that replaces an era's rows by as many others is
    the baseline.
    """
    if SAME_ROWS not in AUGMENTERS or any(_kind(values) == SAME_ROWS for values in augmenters.values()):
        return {}
    every = [augmenter for values in augmenters.values() if (augmenter := _checked(AUGMENTERS, values))]
    placebos = {}
    for augmenter in every:
        if augmenter.weighs:
            continue
        if augmenter.replaces and augmenter.copies == augmenter.ratio == 1:
            continue
        share: dict[str, Any] = {
            name: value for name, value in (("ratio", augmenter.ratio), ("weight", augmenter.weight)) if value != 1
        }
        share |= {"mode": augmenter.mode} if augmenter.replaces else {}
        amount = "_".join([str(augmenter.copies), *(f"{name}_{value}" for name, value in share.items())])
        placebos[amount] = {"kind": SAME_ROWS, "copies": augmenter.copies, **share}
    return _named(SAME_ROWS, placebos, augmenters)


def _shuffled(augmenters: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Placebos of augmenters that weigh: for each that has none in the config, the same weights over shuffled eras."""
    placebos = {}
    for name, values in augmenters.items():
        augmenter = _checked(AUGMENTERS, values)
        if augmenter is not None and augmenter.weighs and not augmenter.shuffles:
            placebo = {**values, SHUFFLED: True}
            if placebo not in augmenters.values():
                placebos[f"shuffled_{name}"] = placebo
    return {name: values for name, values in placebos.items() if name not in augmenters}


def _named(name: str, placebos: Mapping[Any, dict[str, Any]], taken: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Placebos by name: `NAME` where there is one, such as `placebo`; `NAME_KEY` where there are several.

    A placebo whose name the config already uses is left out.
    """
    names = {name if len(placebos) == 1 else f"{name}_{size}": values for size, values in placebos.items()}
    return {key: values for key, values in names.items() if key not in taken}


def _early(generators: Mapping[Any, Any]) -> list[str]:
    """Names of the generators that are fitted on the first training eras alone."""
    checked = {name: _checked(GENERATORS, values) for name, values in generators.items()}
    return [str(name) for name, generator in checked.items() if generator is not None and generator.fit_scope.kind == "early"]


def _noise_of(name: Any, values: Any) -> dict[str, Any] | None:
    """Parameters of noise with as many columns as the generator has; None where its parameters are invalid."""
    generator = _checked(GENERATORS, values)
    if generator is None:
        return None
    like = {"like": str(name)} if generator.wide_by_data else {}
    return {"kind": NOISE, "n_columns": len(generator.names_out()), **like}


def _untrained_of(values: Any) -> dict[str, Any] | None:
    """Parameters of the untrained network beside a trained one, on the same features; None for anything else."""
    generator = _checked(GENERATORS, values)
    if generator is None or generator.untrained is None:
        return None
    return {**generator.untrained, **{key: values[key] for key in ("select", "fit_on") if key in values}}


def _checked(kinds: Mapping[str, type[C]], values: Any) -> C | None:
    """The component with these parameters; None where they are invalid."""
    kind = _kind(values)
    if kind not in kinds:
        return None
    try:
        return component_of(kinds[kind], values)
    except ValidationError:
        return None


def _kind(values: Any) -> str:
    return str(values.get("kind")) if isinstance(values, Mapping) else ""
