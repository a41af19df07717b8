"""The tournament's payout multipliers of corr and mmc, by date and horizon of the target."""

from numerai_lab.core.errors import NlabError

MULTIPLIERS: tuple[tuple[str, int, tuple[float, float]], ...] = (
    ("2026-08-28", 60, (3.0, 15.0)),
    ("2026-01-01", 20, (0.75, 2.25)),
    ("2024-01-01", 20, (0.5, 2.0)),
)
"""First day, horizon in days, multipliers of corr and mmc; newest first."""
USUAL = 20
"""The horizon whose multipliers hold for horizons that the tournament did not pay at the time."""


def multipliers(horizon_days: int | None, date: str | None = None) -> tuple[float, float]:
    """Multipliers of corr and mmc for targets of a horizon on a day (ISO text; None: the newest there are).

    Raises NlabError for a day before the first of the table.
    """
    known = [(horizon, values) for first, horizon, values in MULTIPLIERS if date is None or first <= date]
    if not any(horizon == USUAL for horizon, _ in known):
        first = min(day for day, _, _ in MULTIPLIERS)
        raise NlabError(f"scoring.payout_date: {date} is before {first}, the first day known here; give scoring.payout instead")
    return next((values for horizon, values in known if horizon == horizon_days), dict(reversed(known))[USUAL])
