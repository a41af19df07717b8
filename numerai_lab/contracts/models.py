"""What a model promises."""

from collections.abc import Callable, Mapping

import numpy as np

from numerai_lab.contracts.comparing import apart
from numerai_lab.contracts.small_panels import parts
from numerai_lab.core.arrays import Float32
from numerai_lab.core.panel import Panel
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.models import Model

N_BATCHES = 7


def fitted(template: Model, panel: Panel) -> Model:
    """The model, trained on the raw features of a panel."""
    return template.fresh().fit(TrainingStream(panel, ("raw",), panel.raw_names, 0), np.random.default_rng(0))


def shape_of_predictions(template: Model, panel: Panel, tolerance: float) -> str:
    """Predictions are finite float32, one a row; importances, where there are some, numbers ≥ 0, one an input."""
    past, era = parts(panel)
    X = _inputs(panel, era)
    model = fitted(template, past)
    values, gains = model.predict(X), model.importance()
    if gains is not None and (gains.shape != X.shape[1:] or not np.all(np.isfinite(gains) & (gains >= 0))):
        return f"importance gives an array of shape {gains.shape}, wanted {X.shape[1]} finite numbers ≥ 0"
    if values.dtype != np.float32 or values.shape != (len(X),):
        return f"predict gives {values.shape} of {values.dtype}, wanted float32, {len(X)}"
    n_wrong = int(np.count_nonzero(~np.isfinite(values)))
    return f"{n_wrong} predictions are NaN or infinite" if n_wrong else ""


def same_bytes(template: Model, panel: Panel, tolerance: float) -> str:
    """The same seed gives the same predictions."""
    past, era = parts(panel)
    first, again = (fitted(template, past).predict(_inputs(panel, era)) for _ in range(2))
    return "" if np.array_equal(first, again) else "the same seed gives other predictions; draw random numbers from `rng` alone"


def same_in_batches(template: Model, panel: Panel, tolerance: float) -> str:
    """A row's prediction is the same whatever rows come with it."""
    past, era = parts(panel)
    X, model = _inputs(panel, era), fitted(template, past)
    batches = np.concatenate([model.predict(part) for part in np.array_split(X, N_BATCHES) if len(part)])
    difference = apart(model.predict(X)[:, None], batches[:, None], tolerance)
    return f"a row's prediction depends on the rows that come with it ({difference})" if difference else ""


def same_when_loaded(template: Model, panel: Panel, tolerance: float) -> str:
    """Saved and loaded, it predicts the same."""
    past, era = parts(panel)
    X, model = _inputs(panel, era), fitted(template, past)
    suffix, content = model.saved()
    if not suffix.startswith(".") or not isinstance(content, bytes):
        return f"saved gives {suffix!r} and {type(content).__name__}, wanted a file suffix and bytes"
    same = np.array_equal(model.predict(X), template.fresh().loaded(content).predict(X))
    return "" if same else "saved and loaded, it predicts otherwise; keep all that `fit` learns in names that end in _"


CHECKS: Mapping[str, Callable[[Model, Panel, float], str]] = {
    "predictions are finite float32, one a row": shape_of_predictions,
    "the same seed gives the same bytes": same_bytes,
    "a row's prediction does not depend on other rows": same_in_batches,
    "saved and loaded, it predicts the same": same_when_loaded,
}


def _inputs(panel: Panel, era: int) -> Float32:
    return panel.block(era).matrix(["raw"])
