"""Refuses a run that does not fit into this machine, and names changes with which it would."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import human_bytes
from numerai_lab.core.gpus import gpus
from numerai_lab.core.requirements import absent
from numerai_lab.fitting.estimate import EstimateInputs, need
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.models import MODELS
from numerai_lab.storage.machine import free_disk, free_memory


def refuse_too_much(task: EstimateInputs, cache: Path, memory: int | None = None) -> None:
    """Raises NlabError when the machine has less memory or disk than the run needs: by how much, and what would fit.

    memory: bytes that the run may take; None: all that is free.
    """
    needs, disk = need(task), free_disk(cache)
    memory = free_memory() if memory is None else memory
    problems = []
    if needs.memory_bytes > memory:
        over = f"about {human_bytes(needs.memory_bytes)} of memory needed, {human_bytes(memory)} free: "
        over += f"{human_bytes(needs.memory_bytes - memory)} too much"
        problems.append(over + "".join(f"\n    would fit: {way}" for way in ways_out(task, memory)))
    if needs.disk_bytes > disk:
        over = f"about {human_bytes(needs.disk_bytes)} of disk needed in {cache}, {human_bytes(disk)} free: "
        over += f"{human_bytes(needs.disk_bytes - disk)} too much"
        problems.append(over + "\n    `nlab cache prune --keep …` makes room, NLAB_CACHE names another place")
    card = next(iter(gpus()), None)
    if card is not None and needs.gpu_bytes > card.memory_bytes:
        over = f"about {human_bytes(needs.gpu_bytes)} of GPU memory needed, {card.name} has {human_bytes(card.memory_bytes)}"
        problems.append(f"{over}\n    would fit: device: cpu, or fewer rows or a smaller batch_size of the method")
    if problems:
        raise NlabError("\n  ".join(["this run does not fit (--force runs it all the same)", *problems]))


def ways_out(task: EstimateInputs, memory: int) -> list[str]:
    """Changes of the config with which the run would fit, each alone."""
    ways = []
    for name, generator in task.config.generators.items():
        smaller = {"landmarks": 10_000}
        if "landmarks" in type(generator).model_fields and (generator.model_dump()["landmarks"] or 50_000) > 10_000:
            changed = {**task.config.generators, name: generator.model_copy(update=smaller)}
            ways += _if_fits(_with(task, generators=changed), memory, f"generators.{name}.landmarks=10000")
    train = task.plan.splits.train
    for share in range(9, 0, -1):
        eras = train[-max(1, len(train) * share // 10) :]
        way = _if_fits(_trained_on(task, eras), memory, f"splits.train={eras[0]}-{eras[-1]}")
        if way:
            ways += [f"{way[0]}, the last {len(eras)} of {len(train)} training eras"]
            break
    model = task.config.model
    if getattr(model, "external_memory", None) is False:
        outside = model.model_copy(update={"external_memory": True})
        ways += _if_fits(_with(task, model=outside), memory, "model.external_memory=true")
    kind = model.kind
    for other, simple in MODELS.items():
        if other != kind and not absent(simple.requires):
            ways += _if_fits(_with(task, model=simple()), memory, f"model.kind={other}")
    return ways


def _with(task: EstimateInputs, **changes: Any) -> EstimateInputs:
    return replace(task, plan=FitPlan.of(task.config.model_copy(update=changes), task.plan.splits))


def _if_fits(task: EstimateInputs | None, memory: int, change: str) -> list[str]:
    if task is None:
        return []
    n_bytes = need(task).memory_bytes
    return [f"--set {change} (about {human_bytes(n_bytes)})"] if n_bytes <= memory else []


def _trained_on(task: EstimateInputs, eras: tuple[int, ...]) -> EstimateInputs | None:
    """The same run on other training eras; None where they are too few for it."""
    splits = replace(task.plan.splits, train=eras)
    try:
        return replace(task, plan=FitPlan.of(task.config, splits))
    except NlabError:
        return None
