"""Networks that begin with an encoder, each beside the same network begun at random."""

from collections.abc import Mapping

from numerai_lab.config.schema import Config, Variant
from numerai_lab.models import Model


def with_random_starts(config: Config) -> Config:
    """The config with a variant `NAME_from_random` after each variant NAME that begins with learned weights and has none yet."""
    for name in config.trained:
        twin = _random_start(config, name)
        if twin is not None and _named(config, twin) is None:
            new_name, every = _free_name(f"{name}_from_random", config.variants), list(config.variants.items())
            place = list(config.variants).index(name) + 1
            variants = dict([*every[:place], (new_name, twin), *every[place:]])
            config = config.model_copy(update={"variants": variants})
    return config


def random_starts(config: Config) -> dict[str, str]:
    """Variant → the variant that is the same network begun at random."""
    pairs = {name: _random_start(config, name) for name in config.trained}
    named = {name: _named(config, twin) for name, twin in pairs.items() if twin is not None}
    return {name: twin for name, twin in named.items() if twin is not None}


def _random_start(config: Config, name: str) -> Variant | None:
    """The variant with random weights of the encoder in place of learned ones; None where it begins with none."""
    model = config.model_of(name).random_start
    return None if model is None else _written_out(config.variants[name], model)


def _named(config: Config, wanted: Variant) -> str | None:
    """The first variant equal to this one, which is written out; None where there is none."""
    every = ((name, _written_out(config.variants[name], config.model_of(name))) for name in config.trained)
    return next((name for name, variant in every if variant == wanted), None)


def _written_out(variant: Variant, model: Model) -> Variant:
    """The variant with this model and its features by name, whether they are its own or the run's."""
    return variant.model_copy(update={"model": model, "features": list(variant.inputs)})


def _free_name(name: str, taken: Mapping[str, Variant]) -> str:
    return name if name not in taken else _free_name(f"{name}_", taken)
