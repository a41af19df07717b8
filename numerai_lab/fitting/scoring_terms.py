"""The terms of scoring: what scores are computed against, given what the data holds."""

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.data.reader import Loaded
from numerai_lab.metrics.payout import multipliers
from numerai_lab.metrics.scoring import Scoring


def scoring_of(config: Config, loaded: Loaded, reference: str | None = None) -> Scoring:
    """The terms of scoring for this data. Raises NlabError when the data lack a model that the config names."""
    extras = loaded.panel.extras
    wanted = config.scoring
    for key in ("meta_model", "benchmark"):
        name = getattr(wanted, key)
        if name is not None and name not in extras and name != type(wanted).model_fields[key].default:
            raise NlabError(f"scoring.{key}: the data has no predictions {name!r}; {nearest(name, extras)}")
    benchmarks = [name for name in extras if name != wanted.meta_model]
    if wanted.payout is None:
        multipliers(loaded.horizon_days, wanted.payout_date)  # a day that it doesn't know is refused here
    return Scoring(
        reference=reference or config.reference,
        fnc_features=config.fnc_features,
        meta_model=wanted.meta_model if wanted.meta_model in extras else None,
        benchmark=wanted.benchmark or (benchmarks[0] if benchmarks else None),
        horizon_days=loaded.horizon_days,
        days_per_era=loaded.panel.days_per_era,
        payout=(wanted.payout.corr, wanted.payout.mmc) if wanted.payout else None,
        payout_date=wanted.payout_date,
        least_rows=wanted.least_rows,
        smallest_effect=wanted.smallest_effect,
    )
