"""Diagnostics read from a run folder: likeness of predictions, importance of inputs, training curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.config.default_variants import RAW, mapping
from numerai_lab.config.schema import Config
from numerai_lab.config.stand_ins import StandIn
from numerai_lab.config.yaml_file import read_yaml
from numerai_lab.core.arrays import Float64, arrays_from_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.fitting.restoring import restored_generator
from numerai_lab.metrics.era import gauss
from numerai_lab.models import Model
from numerai_lab.runs.layout import CONFIG, PREDICTIONS, model_files, models_of, name_in_file
from numerai_lab.runs.reading import Run, damaged_run

if TYPE_CHECKING:
    import polars as pl

META_MODEL = "meta model"


@dataclass(frozen=True)
class Likeness:
    """Mean over validation eras of the correlation of gaussianised predictions (averaged over seeds): names × names."""

    names: tuple[str, ...]
    values: Float64


@dataclass(frozen=True)
class Share:
    """The share of a block of inputs: in a model's importance, and in its columns."""

    importance: float
    columns: float


def likeness(run: Run, variants: Sequence[str]) -> Likeness:
    """Correlations between all variants, and with the meta model over its eras where there is one.

    Raises NlabError where predictions.parquet is not what was written.
    """
    import polars as pl

    there = run.columns(PREDICTIONS)
    seeds = {name: [column for column in there if column.rpartition("@")[0] == name] or [name] for name in variants}
    columns = [column for own in seeds.values() for column in own]
    predictions = run.table(PREDICTIONS, ["era", "split", *columns])
    numbers = all(predictions[name].dtype.is_numeric() for name in ("era", *columns))
    if not numbers or predictions["split"].dtype != pl.String:
        raise damaged_run(run.path, f"{PREDICTIONS} holds predictions that are no numbers, or no names of splits")
    table = predictions.filter(pl.col("split").is_in(("val1", "val2")))
    if not len(table):
        raise damaged_run(run.path, f"{PREDICTIONS} holds no rows of validation")
    numbers_of_eras = table["era"].to_numpy()
    starts = np.flatnonzero(np.append(True, numbers_of_eras[1:] != numbers_of_eras[:-1]))
    parts = []
    for first, last in zip(starts, [*starts[1:], len(table)], strict=True):
        era = table[int(first) : int(last)]
        values = [gauss(era.select(own).to_numpy().astype(np.float64)).mean(1) for own in seeds.values()]
        parts.append(_correlations(np.array(values)))
    correlations = _mean(np.array(parts))
    meta = [_with_meta_model(run.per_era, name) for name in variants]
    if not np.isfinite(meta).any():
        return Likeness(tuple(variants), correlations)
    whole = np.block([[correlations, np.array(meta)[:, None]], [np.array([meta]), np.ones((1, 1))]])
    return Likeness((*variants, META_MODEL), whole)


def importances(run: Run, config: Config, n_raw: int) -> dict[str, dict[str, Share]]:
    """Variant → block (`raw` and generators) → share, averaged over seeds; only variants whose saved model has importances.

    Variants of plug-ins that are not loaded are left out. Ensembles have no model, and variants that differ only after
    prediction share the model of the first of them.
    """
    orders = _orders(run)
    out = {}
    for name in config.trained:
        variant, model = config.variants[name], config.model_of(name)
        if any(isinstance(part, StandIn) for part in (model, *map(config.generators.get, variant.inputs))):
            continue  # a plug-in that is not loaded can't say
        order = orders.get(name, ())
        order = order if set(order) == set(variant.inputs) else variant.inputs
        per_model = [
            _shares(run.content(path), model, [(block, _width(run, config, block, seed, n_raw)) for block in order])
            for seed in config.seeds
            for path in models_of(run.path, name, seed)
        ]
        known = [shares for shares in per_model if shares]
        if known:
            out[name] = {
                block: Share(float(np.mean([shares[block].importance for shares in known])), known[0][block].columns)
                for block in variant.inputs
            }
    return out


def training_curves(run: Run) -> dict[str, Float64]:
    """Name of a saved network → its curve, one row per evaluation: step, training loss, loss on held-out eras.

    A network of several fits has a curve for each of them.
    """
    out = {}
    for model in model_files(run.path, "*.safetensors"):
        name = name_in_file(model)
        curves = {key: array for key, array in arrays_from_bytes(run.content(model)).items() if key.split("/")[-1] == "curve_"}
        for key, curve in curves.items():
            if curve.ndim == 2 and curve.shape[1] == 3:
                fit = key.removesuffix("curve_").rstrip("/")
                out[f"{name}, fit {int(fit) + 1}" if fit else name] = curve.astype(np.float64)
    return out


def _orders(run: Run) -> dict[str, tuple[str, ...]]:
    """Variant → the input order of its model, from config.yaml; the order of older runs is not canonical."""
    try:
        written = read_yaml(run.path / CONFIG)
    except NlabError:  # config.yaml is gone or was edited: take the order of new runs
        return {}
    variants = mapping(written, "variants") if isinstance(written, Mapping) else {}
    listed = {name: variant.get("features") for name, variant in variants.items() if isinstance(variant, Mapping)}
    return {str(name): tuple(map(str, features)) for name, features in listed.items() if isinstance(features, list) and features}


def _with_meta_model(eras: "pl.DataFrame", variant: str) -> float:
    import polars as pl

    if "corr_with_meta_model" not in eras.columns:
        return float("nan")
    own = eras.filter(pl.col("split").is_in(("val1", "val2")), pl.col("variant") == variant)["corr_with_meta_model"]
    known = own.fill_nan(None).drop_nulls().to_numpy()
    return float(known.mean()) if len(known) else float("nan")


def _correlations(values: Float64) -> Float64:
    """Correlations between rows; NaN where a row is constant."""
    centred = values - values.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1))
    unit = centred / np.where(spread > 0, spread, np.nan)[:, None]
    correlations: Float64 = unit @ unit.T
    return correlations


def _mean(parts: Float64) -> Float64:
    known = np.isfinite(parts)
    mean: Float64 = np.where(known, parts, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    return mean


def _width(run: Run, config: Config, block: str, seed: int, n_raw: int) -> int:
    of_sets = {RAW: n_raw, **run.manifest["data"].get("input_sets", {})}
    if block in of_sets:
        return int(of_sets[block])
    template = config.generators[block]
    return len(restored_generator(run, config, block, seed if template.stochastic else config.seeds[0]).names)


def _shares(content: bytes, model: Model, widths: Sequence[tuple[str, int]]) -> Mapping[str, Share]:
    gains = model.loaded(content).importance()
    n_columns = sum(width for _, width in widths)
    if gains is None or len(gains) != n_columns or not gains.sum() > 0:
        return {}
    ends = np.cumsum([width for _, width in widths])
    totals = [float(part.sum() / gains.sum()) for part in np.split(gains, ends[:-1])]
    return {block: Share(total, width / n_columns) for (block, width), total in zip(widths, totals, strict=True)}
