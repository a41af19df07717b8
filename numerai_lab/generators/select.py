"""The raw features that a generator reads. They are declared here; `fitting`, which may look at labels, selects them."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Select(BaseModel):
    """The raw features that a generator reads: those of some feature sets, or the best of them by a statistic.

    Source: [sunkay, Numerai forum]: select features first, then embed them.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    features: list[str] | None = Field(None, min_length=1, description="feature sets to keep, united; none = all that are read")
    by: Literal["variance"] | None = Field(
        None,
        description="variance: of the feature's correlation with the target over training eras; looks at training labels, which "
        "every table says",
    )
    keep: Literal["lowest", "highest"] = Field(
        "lowest", description="the steadiest features, or those whose correlation changes most; with `by`"
    )
    top_k: int | None = Field(None, gt=0, description="features to keep, by `by`")

    @field_validator("features")
    @classmethod
    def _in_one_order(cls, names: list[str] | None) -> list[str] | None:
        return None if names is None else sorted(names)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.features is None and self.by is None and self.top_k is None:
            raise ValueError("selects nothing; give features, or by and top_k")
        if (self.by is None) != (self.top_k is None):
            raise ValueError("by and top_k go together: by: variance, top_k: 100")
        return self
