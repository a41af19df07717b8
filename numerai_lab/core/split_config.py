"""The keys of a config for splits and embargoes."""

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator

from numerai_lab.core.era_ranges import parse_era_range, parse_share


class Embargo(BaseModel):
    """An embargo below what the target's horizon asks for, taken knowingly."""

    model_config = ConfigDict(extra="forbid", strict=True)
    eras: int = Field(ge=0, description="eras left out between train and val1, val1 and val2, val2 and the holdout")
    allow_leak: bool = Field(False, description="allow fewer eras than the horizon asks for; stamped on every table")


def _embargo_tag(value: Any) -> str:
    return "auto" if isinstance(value, str) else "override" if isinstance(value, Mapping | Embargo) else "number"


EmbargoSpec = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[int, Field(ge=0), Tag("number")] | Annotated[Embargo, Tag("override")],
    Discriminator(_embargo_tag),
]


class SplitsConfig(BaseModel):
    """Which eras train and which validate."""

    model_config = ConfigDict(extra="forbid", strict=True)
    train: str = Field(
        "train",
        description="`train` (rows whose data_type is train), a share of the eras (`60%`), or a range (`1-574`; "
        "`20200103-20201225` or `2020-01-03..2020-12-25` where eras are dates)",
    )
    era_stride: int = Field(
        1,
        gt=0,
        le=1000,
        description="train on every k-th training era, from the first on: quick to scout with, as in Numerai's example scripts "
        "(4 takes weekly eras whose 20-day targets do not overlap); what validates stays the same",
    )
    embargo: EmbargoSpec = Field(
        "auto",
        description="eras left out before val1, val2 and the holdout: auto = 8 for 20-day, 16 for 60-day targets of "
        "weekly eras, in general the eras that horizon + 20 business days take (see data.days_per_era); "
        "a number may raise it; `{eras: n, allow_leak: true}` lowers it",
    )
    val1: str = Field("first_half", description="`first_half` of the eras after train and embargo, or a range")
    val2: str = Field("second_half", description="`second_half`, or a range")
    holdout: Annotated[int, Field(gt=0)] | str | None = Field(
        None,
        description="eras after val2 that no run reads and `nlab unseal` scores once: a share of the eras with a known target "
        "(`20%`: the last fifth), a number of eras, or a range (`900-950`); none = no holdout",
    )

    @field_validator("train")
    @classmethod
    def _train_reads(cls, text: str) -> str:
        if text != "train" and parse_share(text) is None:
            parse_era_range(text)
        return text

    @field_validator("val1", "val2")
    @classmethod
    def _validation_reads(cls, text: str) -> str:
        if text not in ("first_half", "second_half"):
            parse_era_range(text)
        return text

    @field_validator("holdout", mode="before")
    @classmethod
    def _holdout_reads(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if value is None or whole or (isinstance(value, str) and parse_share(value) is not None):
            return value
        with contextlib.suppress(ValueError):
            parse_era_range(str(value))
            return value
        raise ValueError(f"got {value!r}, wanted a share of the eras (`20%`), a number of eras (50) or a range (`900-950`)")
