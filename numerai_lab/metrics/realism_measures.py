"""The registry of measures of realism: columns of realism.csv, and what stands beside them of real rows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RealismMeasure:
    """A statistic of invented rows.

    says: what it is. real: its column for real rows, empty where these give 1 by definition; real_says: which real rows.
    style: the format of its numbers. source: where it is defined. sdmetrics: the same measure in SDMetrics.
    """

    says: str
    real: str
    real_says: str
    style: str
    source: str
    sdmetrics: str = ""


_THESE = "training rows"
_HELD = "held-out rows"

REALISM_MEASURES: dict[str, RealismMeasure] = {
    "bins_mean": RealismMeasure(
        "mean difference of a feature's bin proportions from the training rows': half the sum of absolute differences",
        "bins_mean_real",
        _HELD,
        ".3f",
        "total variation distance",
        "1 − TVComplement",
    ),
    "bins_max": RealismMeasure(
        "largest difference of a feature's bin proportions from the training rows'",
        "bins_max_real",
        _HELD,
        ".3f",
        "total variation distance",
        "1 − least TVComplement",
    ),
    "bins_covered": RealismMeasure(
        "share of a feature's bins that some of the rows have, as a mean over features",
        "bins_covered_real",
        _HELD,
        ".3f",
        "SDMetrics",
        "CategoryCoverage",
    ),
    "pairs": RealismMeasure(
        "likeness of the contingency tables of two columns, target included, to those of held-out rows: 1 − half the sum "
        "of absolute differences, as a mean over pairs of at most 100 features; 1 = the same",
        "pairs_real",
        _THESE,
        ".3f",
        "SDMetrics",
        "ContingencySimilarity",
    ),
    "corr": RealismMeasure(
        "rms difference of correlations between features to held-out eras, at most 400 features",
        "corr_floor",
        _THESE,
        ".4f",
        "this project; CorrelationSimilarity of SDMetrics has mean absolute differences",
    ),
    "target_corr": RealismMeasure(
        "rms difference of the features' correlations with the target to held-out eras, at most 400 features",
        "target_corr_floor",
        _THESE,
        ".4f",
        "this project",
    ),
    "corr_ratio": RealismMeasure("`corr` over that of training rows; 1 = as near as real eras", "", "", ".2f", "this project"),
    "target_corr_ratio": RealismMeasure(
        "`target_corr` over that of training rows; 1 = as near as real eras", "", "", ".2f", "this project"
    ),
    "auc": RealismMeasure(
        "how well trees tell the rows from held-out rows, on eras that they did not learn from; 0.5 = not at all",
        "auc_real",
        _THESE,
        ".3f",
        "classifier two-sample test (Lopez-Paz and Oquab, 2017)",
    ),
    "density": RealismMeasure(
        "how densely the rows lie where held-out rows lie; 1 is expected where eras are alike",
        "density_real",
        _THESE,
        ".3f",
        "Naeem et al., 2020, with 5 neighbours of other eras",
    ),
    "coverage": RealismMeasure(
        "share of held-out rows that have one of the rows near: nearer than their fifth neighbour in another held-out era; "
        "0.97 is expected where eras are alike",
        "coverage_real",
        _THESE,
        ".3f",
        "Naeem et al., 2020, with 5 neighbours of other eras",
    ),
    "utility": RealismMeasure(
        "how well trees that learned from the rows predict columns of held-out rows from the other columns: mean correlation "
        "by era, 5 columns from at most 60 others",
        "utility_real",
        _THESE,
        ".3f",
        "the global utility of TabStruct (Jiang et al., 2025), with correlations",
    ),
    "copies": RealismMeasure(
        "share of the rows whose features are those of a training row",
        "copies_real",
        _HELD,
        ".4f",
        "SDMetrics, without its tolerance",
        "1 − NewRowSynthesis",
    ),
    "near_copies": RealismMeasure(
        "share of the rows that differ from a training row in at most 3 features; empty with fewer than 40 features",
        "near_copies_real",
        _HELD,
        ".4f",
        "this project",
    ),
    "memorised": RealismMeasure(
        "distance to the nearest of at most 20,000 training rows over that of held-out rows; well below 1 = copies",
        "",
        "",
        ".3f",
        "distance to the closest record",
    ),
    "membership": RealismMeasure(
        "how well distances to the rows tell training rows from held-out rows, as an area under the ROC curve; 0.5 is expected "
        "of rows drawn anew from the training eras, more = they give away which rows were learned from, less = they are farther "
        "from training rows than these from each other",
        "membership_real",
        "half of the training rows",
        ".3f",
        "van Breugel et al., 2023, with distances",
    ),
    "tstr": RealismMeasure(
        "corr on held-out eras of trees that learned from the rows alone",
        "trtr",
        "as many training rows",
        "+.4f",
        "Esteban et al., 2017",
    ),
    "diversity": RealismMeasure(
        "spread over eras of correlations with the target, over that of training eras; empty = too few rows to tell",
        "",
        "",
        ".2f",
        "this project",
    ),
}


def columns_of(name: str) -> list[str]:
    """The columns of realism.csv for a measure: its value, its interval, and its value for real rows where that is not 1."""
    real = REALISM_MEASURES[name].real
    return [name, f"{name}_low", f"{name}_high", *([real] if real else [])]
