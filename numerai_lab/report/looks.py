"""The table of looks at holdouts, for `nlab ledger`."""

from typing import Any

from numerai_lab.core.era_ranges import shortened, spans_text, stretches
from numerai_lab.metrics.changes import KINDS
from numerai_lab.report.tables import TableColumn
from numerai_lab.runs.ledger import Look

LOOKS = (
    TableColumn("time", "when (UTC)", "s"),
    TableColumn("user", "who", "s"),
    TableColumn("run", "run", "s"),
    TableColumn("variant", "variant", "s"),
    TableColumn("look", "look", "d"),
    TableColumn("eras", "eras", "s"),
    TableColumn("delta_validation", "Δ val"),
    TableColumn("delta_holdout", "Δ holdout"),
    TableColumn("gain_retained", "retained", ".0%"),
    TableColumn("delta_placebo_holdout", "Δ placebo"),
    TableColumn("delta_untrained_holdout", "Δ untrained"),
    TableColumn("status", "status", "s"),
    TableColumn("target", "target", "s"),
    TableColumn("source", "data", "s"),
    TableColumn("host", "host", "s"),
)


def look_row(look: Look) -> dict[str, Any]:
    """A row of `LOOKS`, with the other facts of the ledger; the status of a scored look is None."""
    names = ["delta_validation", "delta_holdout", "delta_holdout_low", "delta_holdout_high", "gain_retained"]
    for kind in KINDS:
        names += [kind, *(f"delta_{kind}_holdout{end}" for end in ("", "_low", "_high"))]
    return {
        "time": look.time,
        "user": look.user,
        "host": look.host,
        "run": look.run,
        "variant": look.variant,
        "reference": look.reference,
        "seeds": ", ".join(map(str, look.seeds)),
        "data": look.holdout.data,
        "source": look.holdout.source,
        "target": look.holdout.target,
        "eras": _eras_text(look.holdout.eras),
        "look": look.number,
        "looks_before": ", ".join(look.before),
        **{name: look.result.get(name) for name in names},
        "status": None if look.result else "opened, never scored",
    }


def _eras_text(eras: tuple[int, ...]) -> str:
    """Text such as `81-96 (16 eras)` or `81 (1 era)`."""
    return f"{spans_text(shortened(stretches(eras)))} ({len(eras)} era{'s' * (len(eras) != 1)})"
