"""The warning of a run whose scores no honest model is known to reach, and the feature that carries them."""

from typing import TYPE_CHECKING

import numpy as np

from numerai_lab.config.schema import ScoringConfig
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.metrics.single_features import raw_scores

if TYPE_CHECKING:
    import polars as pl

LEAST_ERAS = 10
"""Of fewer eras a Sharpe ratio above any limit says nothing."""
NAMED = 3


def implausible(scores: "pl.DataFrame", limits: ScoringConfig, panel: Panel, splits: Splits) -> str:
    """A warning for scores over all validation eras beyond the limits; empty where every score is plausible.

    scores: the score table. The feature that alone has the largest corr with the target of scored eras is named, straight or
    by the mean training target of its bins.
    """
    beyond = []
    for row in scores.filter(split="val").iter_rows(named=True):
        corr, sharpe = (row[name] if row[name] is not None else np.nan for name in ("corr_mean", "corr_sharpe"))
        if abs(corr) > limits.implausible_corr or (abs(sharpe) > limits.implausible_sharpe and row["n_eras"] >= LEAST_ERAS):
            beyond.append(f"{row['variant']} corr {corr:+.4f}, sharpe {sharpe:.2f}")
    if not beyond:
        return ""
    more = f" and {len(beyond) - NAMED} more" if len(beyond) > NAMED else ""
    alone = raw_scores(panel, splits.train, splits.scored).largest
    strongest = int(alone.argmax())
    return (
        f"implausible scores: {'; '.join(beyond[:NAMED])}{more} (beyond corr {limits.implausible_corr:g} or sharpe "
        f"{limits.implausible_sharpe:g}). The feature that tells most alone is {panel.raw_names[strongest]}, corr "
        f"{alone[strongest]:.4f}. Look for a leak with `nlab audit`"
    )
