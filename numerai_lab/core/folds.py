"""Cross-validation inside the training eras: folds that are predicted by models that saw none of their neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from numerai_lab.core.eras import DAYS_PER_ERA
from numerai_lab.core.errors import NlabError
from numerai_lab.core.split_config import EmbargoSpec
from numerai_lab.core.splits import Splits, embargo_eras


class CrossValidation(BaseModel):
    """Out-of-fold predictions of the training eras, beside validation and never mixed with it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    folds: int = Field(5, ge=2, le=50, description="blocks of training eras that are predicted in turn")
    scheme: Literal["expanding", "blocked"] = Field(
        "expanding", description="train on earlier eras only, or on both sides of the block that is predicted"
    )
    embargo: EmbargoSpec = Field("auto", description="eras left out on each side of a block; as in splits.embargo")


@dataclass(frozen=True)
class Fold(Splits):
    """Training eras and the block of eras, `val1`, that a model trained on them predicts."""

    number: int = 0

    def name_of(self, era: int) -> str:
        return f"cv{self.number}"


def make_folds(
    config: CrossValidation, train: tuple[int, ...], horizon_days: int | None, days_per_era: int = DAYS_PER_ERA
) -> tuple[Fold, ...]:
    """Folds of the training eras (rising), in order of the blocks they predict.

    blocked: as many equal blocks as folds, each predicted by all other eras that are further than the embargo from it.
    expanding: one block more, each but the first predicted by the eras that end before the embargo in front of it.
    Raises NlabError when a fold has nothing to learn from.
    """
    embargo, required = embargo_eras(config.embargo, horizon_days, "cv.embargo", days_per_era)
    expanding = config.scheme == "expanding"
    blocks = blocked(train, config.folds + expanding, embargo)
    folds = []
    for number, (seen, block) in enumerate(blocks[1:] if expanding else blocks, start=1):
        if expanding:
            seen = tuple(era for era in seen if era < block[0])
        if len(seen) < 2 or len(blocks) < config.folds + expanding:
            raise NlabError(
                f"cv.folds: fold {number} of {config.folds} has {len(seen)} eras to learn from ({len(train)} training eras, "
                f"embargo {embargo}); take fewer folds"
            )
        folds.append(Fold(seen, (), block, (), embargo, required, number=number))
    return tuple(folds)


def blocked(eras: Sequence[int], n_blocks: int, purge: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(eras further than `purge` from a block, on both sides, and the block) for equal blocks of rising eras, none empty."""
    blocks = [block.tolist() for block in np.array_split(np.array(eras), n_blocks) if len(block)]
    return [(tuple(era for era in eras if not block[0] - purge <= era <= block[-1] + purge), tuple(block)) for block in blocks]
