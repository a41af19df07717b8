"""Walk-forward validation: the models are fitted again as validation moves on, with the embargo before each block."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from numerai_lab.core.errors import NlabError
from numerai_lab.core.folds import Fold
from numerai_lab.core.splits import Splits


class Retrain(BaseModel):
    """Predictions of the validation eras by models that are fitted again and again, beside those of the one fit."""

    model_config = ConfigDict(extra="forbid", strict=True)
    every: int = Field(
        52, gt=0, description="eras that a fit predicts, counted from the first era of val1; 52 weekly eras are a year"
    )
    window: int | Literal["expanding"] = Field(
        "expanding", description="train on that many eras before the embargo, or on all since the first training era"
    )


@dataclass(frozen=True)
class Step(Fold):
    """Training eras and the block of validation eras, `val1`, that the models fitted on them predict."""

    def name_of(self, era: int) -> str:
        return f"walk{self.number}"


def make_steps(retrain: Retrain, splits: Splits, known: Collection[int], stride: int = 1) -> tuple[Step, ...]:
    """The steps of walk-forward validation, in order of the blocks that they predict.

    Blocks are the scored eras of each `every` eras from the first of val1 on. A step trains on the training eras and the
    later eras with a known target that end before the embargo in front of its block, within the window.
    known: eras with a known target. stride: take every k-th of the later eras, as `splits.era_stride` does of training eras.
    Raises NlabError when a step has fewer than two eras to learn from.
    """
    first, scored = splits.scored[0], splits.scored
    later = [era for era in splits.validation if era in known][::stride]
    pool = (*splits.train, *later)
    steps: list[Step] = []
    for start in range(first, scored[-1] + 1, retrain.every):
        block = tuple(era for era in scored if start <= era < start + retrain.every)
        if not block:
            continue
        end = block[0] - splits.embargo_eras
        oldest = min(pool) if retrain.window == "expanding" else end - retrain.window
        seen = tuple(era for era in pool if oldest <= era < end)
        if len(seen) < 2:
            raise NlabError(
                f"retrain.window: step {len(steps) + 1} has {len(seen)} eras to learn from in the {retrain.window} before "
                f"era {end}; take a longer window, or expanding"
            )
        steps.append(Step(seen, (), block, (), splits.embargo_eras, splits.required_eras, number=len(steps) + 1))
    return tuple(steps)
