"""The contract of generators that learn from targets. They choose a scheme against leaks; `fitting` applies it."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from numerai_lab.generators.base import FitScope, Generator


class Labelled(Generator):
    """Learns from the target too. `scheme` says which fit computes the columns of which rows.

    On rows that it learned from, such a generator has memorised the targets. A model that learned
    from those columns would trust them, and be wrong on all other rows.
    """

    uses_labels: ClassVar[bool] = True

    fit_on: Literal["train"] = Field("train", description="targets of training eras are the only ones it ever sees")
    scheme: Literal["cross_fit", "early"] = Field(
        "cross_fit",
        description="cross_fit: rows of a block of training eras get columns from a fit that saw neither the block nor its "
        "neighbours, other rows from a fit on all training eras, each as ranks within the era; early: one fit on the first "
        "training eras, models learn from those that follow the purge",
    )
    blocks: int = Field(4, ge=2, le=50, description="cross_fit: blocks of training eras, one fit each and one on all")
    share: float = Field(0.5, gt=0, lt=1, description="early: share of the training eras that it learns from")

    def saved_bytes(self, n_columns: int) -> int:
        return super().saved_bytes(n_columns) * self._n_fits

    @property
    def checkpoints(self) -> float:
        return super().checkpoints / self._n_fits

    @property
    def _n_fits(self) -> int:
        return self.blocks + 1 if self.scheme == "cross_fit" else 1

    @property
    def fit_scope(self) -> FitScope:
        return FitScope("cross_fit", blocks=self.blocks) if self.scheme == "cross_fit" else FitScope("early", share=self.share)

    @property
    def comparable(self) -> bool:
        """Whether a column means the same in every fit, so that columns of several fits can be joined."""
        return True

    @model_validator(mode="after")
    def _one_meaning_a_column(self) -> Self:
        if self.scheme == "cross_fit" and not self.comparable:
            raise ValueError("its columns mean another thing in every fit; emit something else, or take scheme: early")
        return self
