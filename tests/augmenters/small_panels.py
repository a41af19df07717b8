"""Panels at the edges of what an augmenter meets."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from numerai_lab.core.panel import Panel
from tests.conftest import make_panel

SMALL_PANELS: dict[str, Callable[[], Panel]] = {
    "one feature": lambda: make_panel(n_features=1),
    "one row an era": lambda: make_panel(n_rows=1),
    "two rows an era": lambda: make_panel(n_rows=2),
    "one era": lambda: make_panel(n_eras=1),
    "a constant target": lambda: replace(make_panel(), target=np.full(1200, 0.5, np.float32)),
    "constant features": lambda: replace(make_panel(), features=np.full((1200, 12), 2, np.int8)),
}
