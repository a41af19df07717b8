"""How much of what could be gained a variant gained, where the truth is known."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

BOTH = "val"
"""The split whose rows have shares: both halves of validation."""


def with_shares(scores: "pl.DataFrame", reference: str, truth: float, oracle: str | None) -> "pl.DataFrame":
    """The score table with `share_of_truth` and `share_of_oracle` in the rows of both halves of validation.

    A share is the change of mean corr against the reference, divided by how far the truth, or the
    variant that reads the oracle, is above the reference. It is empty where that is not positive.

    truth: mean corr of the expected returns over both halves. oracle: the name of a variant.
    """
    import polars as pl

    corr = dict(scores.filter(split=BOTH).select("variant", "corr_mean").iter_rows())
    start = corr.get(reference, float("nan"))
    tops = {"share_of_truth": truth, "share_of_oracle": corr.get(oracle, float("nan"))}
    rows = (pl.col("split") == BOTH) & (pl.col("variant") != reference)
    shares = []
    for name, top in tops.items():
        share = (pl.col("corr_mean") - start) / (top - start)
        shares.append(pl.when(rows & pl.lit(top > start)).then(share).otherwise(None).cast(pl.Float64).alias(name))
    return scores.with_columns(shares)
