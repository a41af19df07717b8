"""The registry of metrics: scores that are computed era by era, and their summaries over eras."""

from dataclasses import dataclass

_SCORE = ("mean", "std", "sharpe", "max_drawdown", "max_drawdown_compound", "share_positive")


@dataclass(frozen=True)
class Metric:
    """A per-era score: its meaning, its summaries over eras, and the source of its definition.

    window: (metric, n) makes it that metric over the last n eras of a split that have it. needs:
    the predictions that it takes beside the variant's own.
    """

    says: str
    stats: tuple[str, ...]
    source: str
    higher_is_better: bool = True
    window: tuple[str, int] | None = None
    needs: str = ""


METRICS: dict[str, Metric] = {
    "corr": Metric(
        "Numerai's CORR: correlation of gaussianised predictions and target, both to the power 1.5",
        _SCORE,
        "numerai_tools.scoring.numerai_corr",
    ),
    "rank_corr": Metric(
        "correlation of ranked predictions (ties broken by id) with the target: the score of 2020–22",
        _SCORE,
        "numerai_tools.scoring.tie_broken_rank_correlation",
    ),
    "fnc": Metric(
        "corr of the residuals of the gaussianised predictions after a least-squares fit on the scoring features",
        _SCORE,
        "numerai_tools.scoring.feature_neutral_corr; the closest local proxy of TC, which needs Numerai's own optimiser",
    ),
    "max_feature_exposure": Metric(
        "largest absolute correlation of the predictions with a scoring feature",
        ("mean", "max"),
        "numerai_tools.scoring.max_feature_correlation",
        False,
    ),
    "feature_exposure": Metric(
        "root mean square over scoring features of their correlation with the predictions",
        ("mean",),
        "Numerai forum",
        False,
    ),
    "mmc": Metric(
        "meta model contribution: target times the part of the predictions orthogonal to the meta model; missing without one",
        ("mean", "std", "sharpe", "max_drawdown"),
        "numerai_tools.scoring.correlation_contribution",
        needs="meta model",
    ),
    "bmc": Metric(
        "benchmark model contribution: MMC with a benchmark model in the meta model's place",
        ("mean", "std", "sharpe", "max_drawdown"),
        "numerai_tools.scoring.correlation_contribution",
        needs="benchmark model",
    ),
    "bmc_last200": Metric(
        "bmc over the last 200 eras of a split that have a benchmark, or over all of them if there are fewer "
        "(how many: bmc_last200_n_eras)",
        ("mean",),
        "this project; Numerai's guides and modellers judge by recent eras",
        window=("bmc", 200),
        needs="benchmark model",
    ),
    "corr_with_meta_model": Metric(
        "correlation of gaussianised predictions with the gaussianised meta model",
        ("mean",),
        "this project",
        False,
        needs="meta model",
    ),
    "corr_with_reference": Metric(
        "correlation of gaussianised predictions with those of the reference variant", ("mean",), "this project", False
    ),
    "payout_proxy": Metric(
        "a · corr + b · mmc with the payout multipliers of `scoring.payout`; missing without a meta model",
        ("mean", "sharpe"),
        "Numerai's payout rules, without its clipping and its payout factor",
        needs="meta model",
    ),
    "seed_churn": Metric(
        "1 − Spearman correlation of the predictions of two seeds, over all pairs of seeds; missing with one seed",
        ("mean",),
        "this project",
        False,
    ),
}
ERA_METRICS = tuple(name for name, metric in METRICS.items() if metric.window is None)
"""Metrics with a value per era: columns of per_era.parquet."""
