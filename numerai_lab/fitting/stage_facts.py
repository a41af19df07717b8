"""The facts that stages are cached under, and reading what they wrote."""

from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabFailure
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.storage.array_files import mapped
from numerai_lab.storage.code_version import code_version, library_versions, source_version
from numerai_lab.storage.stage_cache import Entry

STATE = "state.safetensors"
"""The file of a fit: what was learned, as arrays."""


def training_facts(context: RunContext) -> dict[str, Any]:
    """The facts of stages that see all training rows with their targets."""
    train = context.train
    learned = {"learned": context.labels} if context.labels else {}
    return {"data": context.content.rows_of(train), "labels": context.content.labels_of(train), **learned}


def component_facts(stage_code: Path, *components: Component) -> dict[str, Any]:
    """The facts of every stage beside rows: parameters, code and versions of libraries.

    stage_code: the file of the function that computes the stage.
    """
    kinds = [type(component) for component in components]
    return {
        "parameters": components[0].model_dump(),
        "code": [code_version(*kinds), source_version(stage_code), source_version(Path(__file__))],
        "libraries": library_versions(*kinds),
    }


def read_array(entry: Entry, name: str, n_rows: int) -> Float32:
    """An array of a finished stage as a memory-map. Raises NlabFailure for anything but n_rows of float32."""
    try:
        array: Float32 = mapped(entry.folder / name)
    except Exception as error:  # whatever a foreign file makes numpy raise
        raise foreign_entry(entry, f"{name} is no array of numbers ({error})") from error
    if array.dtype != np.float32 or array.ndim == 0 or len(array) != n_rows:
        raise foreign_entry(entry, f"{name} holds {array.shape} of {array.dtype}, wanted {n_rows} rows of float32")
    return array


def foreign_entry(entry: Entry, what: str) -> NlabFailure:
    """The error for a cache entry that holds something else than its stage writes."""
    return NlabFailure(f"cache entry {entry.folder}: {what}; somebody else's? `nlab cache verify --repair`, or --no-cache")
