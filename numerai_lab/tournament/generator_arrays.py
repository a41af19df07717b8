"""Fitted generators as plain values and arrays, which `container.columns` computes with."""

from collections.abc import Callable, Mapping
from typing import Any

from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.generators import Generator
from numerai_lab.generators.autoencoder import Autoencoder
from numerai_lab.generators.contrastive import SubTab
from numerai_lab.generators.density import LocalDensity
from numerai_lab.generators.era import EraCode
from numerai_lab.generators.era_autoencoder import N_LAYERS, EraAutoencoder
from numerai_lab.generators.groups import GroupStats
from numerai_lab.generators.linear import PCA, FactorAnalysis
from numerai_lab.generators.neural import EncoderGenerator
from numerai_lab.generators.noise import RandomColumns
from numerai_lab.generators.ratios import LogRatioPairs
from numerai_lab.generators.supervised import Siamese, SupervisedAutoencoder
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.neural.layer_state import layers_in

Plain = dict[str, Any]
"""Text, numbers and arrays, in lists and dictionaries."""


def generator_arrays(fits: FittedGenerator) -> Plain:
    """The fit that gives live rows their columns. Raises NlabError for a generator that can't be deployed."""
    generator = fits.generators[-1]
    if message := undeployable(fits.template):
        raise NlabError(message)
    facts = {"selected": fits.selected, "ranked": fits.template.fit_scope.kind == "cross_fit"}
    return {**facts, **_converter(fits.template)(generator)}


def undeployable(template: Generator) -> str:
    """A sentence that says why a generator can't be deployed; empty where it can."""
    if template.whole_era and isinstance(template, UMAPParametric):
        return "umap with fit_on: per_era trains on each new era, which a deployed model cannot; take fit_on: train or all"
    if any(isinstance(template, kind) for kind in CONVERTERS):
        return ""
    mode = getattr(template, template.chosen_by, "") if template.chosen_by else ""
    which = f"{template.kind} with {template.chosen_by}: {mode}" if mode else template.kind
    way = "; take mode: parametric" if template.kind == "umap" else "; deploy a variant without it"
    return f"{which} needs more than numpy, so it can't be deployed{way}"


def _converter(template: Generator) -> Callable[[Any], Plain]:
    return next(convert for kind, convert in CONVERTERS.items() if isinstance(template, kind))


def _pca(generator: PCA) -> Plain:
    return {"function": "linear", "mean": generator.mean_, "loadings": generator.loadings_}


def _factor_analysis(generator: FactorAnalysis) -> Plain:
    if not generator.unusual:
        return {"function": "linear", "mean": generator.mean_, "loadings": generator.projection_}
    names = {"mean": "mean_", "projection": "projection_", "loadings": "loadings_", "precision": "precision_"}
    arrays = {name: getattr(generator, learned) for name, learned in names.items()}
    return {"function": "factors", **arrays, "quantiles": generator.norm_quantiles_}


def _group_stats(generator: GroupStats) -> Plain:
    return {"function": "groups", "members": generator.members_, "names": list(dict.fromkeys(generator.stats))}


def _log_ratios(generator: LogRatioPairs) -> Plain:
    return {"function": "ratios", "pairs": generator.pairs_, "offset": generator.offset}


def _local_density(generator: LocalDensity) -> Plain:
    return {"function": "density", "landmarks": generator.landmarks_, "n_neighbors": generator.n_neighbors}


def _random_columns(generator: RandomColumns) -> Plain:
    return {"function": "noise", "multipliers": generator.multipliers_, "n_columns": len(generator.names_out())}


def _era_code(generator: EraCode) -> Plain:
    eras = {"first": int(generator.first_), "last": int(generator.last_)}
    return {"function": "place of era", **eras, "capped": generator.emit_era == "max"}


def _encoder(generator: EncoderGenerator) -> Plain:
    return {"function": "network", "network": _layers(generator)}


def _layers(generator: EncoderGenerator) -> Plain:
    return {"form": "layers", "layers": layers_in(generator.state(), len(generator.encoder_widths))}


def _autoencoder(generator: Autoencoder) -> Plain:
    return {"function": "network", "network": {**_layers(generator), "deep": generator.emit == "deep_stack"}}


def _subtab(generator: SubTab) -> Plain:
    (weights, biases), *rest = layers_in(generator.state(), len(generator.encoder_widths))
    parts = [{"layers": [(weights[i], biases[i]), *rest]} for i in range(generator.subsets)]
    return {"function": "network", "network": {"form": "subsets", "parts": parts, "subsets": list(generator.subsets_)}}


def _parametric_umap(generator: UMAPParametric) -> Plain:
    *body, straight = layers_in(generator.state(), generator.n_layers + 2)
    axes = {"metric": generator.metric, "projection": generator.projection_, "shift": generator.shift_}
    parts = {"body": {"layers": body}, "straight": {"layers": [straight]}}
    return {"function": "network", "network": {"form": "scores", **axes, **parts}}


def _supervised_autoencoder(generator: SupervisedAutoencoder) -> Plain:
    state, predicts = generator.state(), generator.emit == "prediction"
    encoding = {"layers": [(state["encoding_weights_"], state["encoding_biases_"])], "activation": "swish", "last": True}
    layers = layers_in(state, len(generator.hidden) + 1) if predicts else []
    prediction = {"layers": layers, "activation": "swish"} if predicts else None
    return {"function": "network", "network": {"form": "latents", "encoding": encoding, "prediction": prediction}}


def _siamese(generator: Siamese) -> Plain:
    if generator.emit == "latent":
        return _encoder(generator)
    network = {"form": "centres", "places": _layers(generator), "centres": generator.state()["centres_"]}
    return {"function": "network", "network": network}


def _era_autoencoder(generator: EraAutoencoder) -> Plain:
    step = (generator.era_levels - 1) / max(1, len(generator.eras_) - 1)
    facts: Plain = {"eras": generator.eras_, "step": step, "whole": generator.round, "largest_code": generator.code(None)}
    network = None if generator.emit == ["era"] else _era_network(generator)
    emitted = {"latest": generator.emit_era == "max", "emit": list(generator.emit)}
    return {"function": "latents of era", **facts, **emitted, "network": network}


def _era_network(generator: EraAutoencoder) -> Plain:
    layers = {name: layers_in(generator.state(), n, prefix=f"{name}_") for name, n in N_LAYERS.items()}
    return {"form": "era", "to_bins": 4 / float(generator.top_), **layers, "masks": _masks(generator, layers["layers"])}


def _masks(generator: EraAutoencoder, layers: list[tuple[Any, Any]]) -> list[Any]:
    """The factors of inputs and of each hidden layer, for every network thinned by dropout that the columns are means of."""
    if not generator.mc_draws:
        return []
    import torch

    from numerai_lab.neural.era import dropping
    from numerai_lab.neural.networks import device_for, generator_for

    device = device_for(generator.device)
    drop = dropping(generator_for(int(generator.seed_), device), shared=True)
    widths = [generator.state()["frozen_weights_0_"].shape[1], *(len(biases) for _, biases in layers[:-1])]
    rates = [generator.dropout_input, *[generator.dropout_hidden] * (len(layers) - 1)]
    factors = [
        [drop(torch.ones(1, n, device=device), rate) for n, rate in zip(widths, rates, strict=True)]
        for _ in range(generator.mc_draws)
    ]
    return [[factor.cpu().numpy() for factor in draw] for draw in factors]


CONVERTERS: Mapping[type, Callable[[Any], Plain]] = {
    PCA: _pca,
    FactorAnalysis: _factor_analysis,
    GroupStats: _group_stats,
    LogRatioPairs: _log_ratios,
    LocalDensity: _local_density,
    RandomColumns: _random_columns,
    EraCode: _era_code,
    EraAutoencoder: _era_autoencoder,
    SupervisedAutoencoder: _supervised_autoencoder,
    UMAPParametric: _parametric_umap,
    Siamese: _siamese,
    SubTab: _subtab,
    Autoencoder: _autoencoder,
    EncoderGenerator: _encoder,
}
"""How a generator becomes arrays, the special classes before the general ones; kinds that are not here can't be deployed."""
