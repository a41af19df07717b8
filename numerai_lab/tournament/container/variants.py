"""Predictions of an era: of models, neutralised and averaged."""

from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32
from numerai_lab.metrics.era import gauss, rank
from numerai_lab.metrics.neutralising import factorised, without_fit
from numerai_lab.tournament.container.columns import MODELS, generated_columns

RAW = "raw"


def predictions_of_era(model: dict[str, Any], cells: list[Array], era: int) -> Float32:
    """What the run would predict for the rows of an era, sorted by id: float32, rows × seeds. cells: of each store."""
    sets = {name: set_of_cells(parts, cells) for name, parts in model["sets"].items()}
    features = cells[0][:, : model["n_raw"]]
    columns: dict[int, Float32] = {}

    def inputs_of(names: list[Any]) -> Float32:
        parts = []
        for name in names:
            if name == RAW:
                parts.append(features)
            elif isinstance(name, str):
                parts.append(on_unit(sets[name]))
            else:
                if name not in columns:
                    columns[name] = generated_columns(model["generators"][name], features, model["top"], era)
                parts.append(columns[name])
        return np.concatenate([part.astype(np.float32) for part in parts], axis=1)

    def values_of(variant: dict[str, Any]) -> Float32:
        if variant["members"]:
            members = [values_of(member) for member in variant["members"]]
        else:
            own = [model["models"][i] for i in variant["models"]]
            members = [MODELS[part["function"]](inputs_of(part["inputs"]), part) for part in own]
        values = members[0]
        if variant["members"] or len(members) > 1:
            values = rank(np.column_stack(members).astype(np.float64)).mean(1).astype(np.float32)
        if variant["neutralize"] is None:
            return values
        return neutralised(values, sets[variant["neutralize"]["set"]], variant["neutralize"]["proportion"])

    return np.column_stack([values_of(variant) for variant in model["seeds"]])


def neutralised(values: Float32, features: Array, proportion: float) -> Float32:
    """Gaussianised predictions less `proportion` of their fit on features; a constant where nothing is left."""
    *_, rest_of = factorised(features)
    rest = without_fit(rest_of, gauss(values[:, None].astype(np.float64)), proportion)
    return np.nan_to_num(rest[:, 0]).astype(np.float32)


def set_of_cells(parts: list[Any], cells: list[Array]) -> Array:
    """The columns of a feature set, from one store of cells or several; float32 on 0..1 where these are of unlike units."""
    chosen = [cells[store][:, columns] for store, columns in parts]
    if len({part.dtype for part in chosen}) > 1:
        chosen = [on_unit(part) for part in chosen]
    return chosen[0] if len(chosen) == 1 else np.concatenate(chosen, axis=1)


def on_unit(cells: Array) -> Float32:
    """Cells on 0..1: bins of 0 to 4 are int8, others are on 0..1 already."""
    return cells.astype(np.float32) / np.float32(4 if cells.dtype == np.int8 else 1)
