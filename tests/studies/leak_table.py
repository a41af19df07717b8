"""Which check of `nlab audit` finds which leak; the manual's table is this one."""

from numerai_lab.studies.audit import CANNOT_SEE

IN_DATA = {
    "the target itself": "no feature tells the target",
    "a feature whose distance from the middle bin is the target": "no feature tells the target",
    "a mean target by category that counts the row's own": "no feature tells the target",
    "a target of three weeks ago that overlaps with today's": "no feature tells the target",
    "a target of another horizon, under any name": "no feature tells the target",
    "two features whose difference modulo 5 is the target": "no two features together tell the target",
    "two fifths of validation rows in training under other ids": "no row of validation stands in training",
    "training eras that are copies of validation eras": "no row of validation stands in training",
    "ids of training that come again in validation": "no id of training stands in validation",
    "a meta model fitted on validation": "a model beside the data was not fitted on validation",
    "a benchmark model fitted on validation": "a model beside the data was not fitted on validation",
    "ids given in the order of targets": "the order of ids does not tell the target",
    "a horizon longer than said, where ids name stocks": "the target looks no further than its horizon",
    "rows missing by their target": "targets are spread in validation as in training",
    "a lowered embargo": "embargo covers the horizon",
}
"""Leaks that the data show before anything is trained."""

COLUMNS = "columns of training eras do not change with validation features"
IN_TRAINING = {
    "a generator that reads targets off the disk": "collapses when validation features are replaced by training ones",
    "a generator that learns from eras it was not given": COLUMNS,
    "the same, remembered in its module from an earlier trial": COLUMNS,
    "a generator that counts rows, where ids follow the target": "does not score by the order of rows",
    "an augmenter that copies validation rows off the disk": "no row of validation stands among made rows",
    "an augmenter whose rows depend on validation features": "made rows do not change with validation features",
    "an augmenter whose weights depend on validation features": "weights do not change with validation features",
    "a fold that learns from its block or next to it": "predictions of a fold do not change with what it must not see",
    "a step of retraining that learns from its block": "predictions of a step do not change with what it must not see",
}
"""Leaks of a config's components, which trials on broken data show."""


def table() -> str:
    """The manual's table of leaks and checks, and what no check finds."""
    rows = [f"| {leak} | {check} |" for leak, check in (IN_DATA | IN_TRAINING).items()]
    unseen = f"It cannot see: {'; '.join(CANNOT_SEE)}."
    return "\n".join(["| leak | check that fails |", "| --- | --- |", *rows, "", unseen])
