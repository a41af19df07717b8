"""Another model's predictions for training rows, for models that read them."""

import hashlib
from pathlib import Path

import numpy as np

from numerai_lab.core.arrays import Float32
from numerai_lab.fitting.run_context import RunContext
from numerai_lab.models import Model
from numerai_lab.storage.code_version import source_version


def shown_predictions(context: RunContext, model: Model) -> dict[str, Float32]:
    """The predictions that a model reads, by the other model's name: float32, one a row, NaN outside the training eras."""
    if model.other_model is None:
        return {}
    given, shown = context.panel.extras[model.other_model], np.full(len(context.panel.ids), np.nan, np.float32)
    for era in context.train:
        shown[context.panel.rows(era)] = given[context.panel.rows(era)]
    return {model.other_model: shown}


def other_model_facts(context: RunContext, model: Model) -> dict[str, str]:
    """The facts of what `shown_predictions` shows; none where the model reads no predictions."""
    if model.other_model is None:
        return {}
    given = context.panel.extras[model.other_model]
    shown = np.concatenate([given[context.panel.rows(era)] for era in context.train])
    return {"other model": hashlib.sha256(shown.tobytes()).hexdigest(), "shown by": source_version(Path(__file__))}
