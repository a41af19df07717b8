"""What a variant is, in words: `raw features and 12 principal components`."""

from numerai_lab.config.default_variants import RAW
from numerai_lab.config.schema import Config
from numerai_lab.core.formatting import joined


def variant_words(config: Config, name: str) -> str:
    """What a variant reads, learns and predicts with, as far as it is not the same for all variants.

    Each generator, augmenter, model and target transform names itself, by its `in_words`. The reference names the model of
    the run too.
    """
    variant = config.variants[name]
    neutral = variant.neutralize
    parts = [
        _source(config, name),
        _by_model(config, name),
        f"neutralised to {neutral.features}" if neutral else "",
        f"by {neutral.proportion:.0%}".replace("%", " %") if neutral and neutral.proportion < 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _source(config: Config, name: str) -> str:
    """The rows, columns and target that the models of a variant learn from, or the members of an ensemble."""
    variant = config.variants[name]
    if variant.ensemble is not None:
        return f"mean of the ranks of {joined(variant.ensemble)}"
    inputs = joined(_input_words(config, block) for block in variant.inputs)
    alone = "" if RAW in variant.inputs or len(variant.inputs) > 1 else " alone"
    augmenters = [config.augmenters[block] for block in variant.augment]
    weights = joined(augmenter.in_words for augmenter in augmenters if augmenter.weighs)
    replacing = joined(augmenter.in_words for augmenter in augmenters if augmenter.replaces)
    rows = joined(augmenter.in_words for augmenter in augmenters if not (augmenter.weighs or augmenter.replaces))
    parts = [f"{inputs}{alone}"]
    parts += [f"{word}{text}" for word, text in (("", replacing), ("plus ", rows), ("under ", weights)) if text]
    if variant.after:
        parts.append(f"without the eras that {joined(variant.after)} learns from")
    if variant.targets and config.targets_of(name) != (config.data.target,):
        parts.append(f"on {joined(variant.targets)}")
    if variant.target_transform is not None:
        parts.append(f"on {variant.target_transform.in_words}")
    return ", ".join(parts)


def _input_words(config: Config, block: str) -> str:
    if block == RAW:
        return "raw features"
    return config.generators[block].in_words if block in config.generators else f"the features of {block}"


def _by_model(config: Config, name: str) -> str:
    own = config.variants[name].model
    named = own is not None or (name == config.reference and config.variants[name].ensemble is None)
    return f"by {config.model_of(name).in_words}" if named else ""
