"""Descriptions of methods for `nlab list` and `nlab describe`, read from the registries."""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo

from numerai_lab.augmenters import Augmenter
from numerai_lab.config.kinds import algorithms_of, named
from numerai_lab.config.kinds import family as family_of
from numerai_lab.config.messages import FAMILIES
from numerai_lab.config.other_names import unknown_method
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.generators import Generator
from numerai_lab.metrics import METRICS, Metric
from numerai_lab.metrics.realism_measures import REALISM_MEASURES, RealismMeasure
from numerai_lab.models import Model
from numerai_lab.target_transforms import TargetTransform

Entry = type[Component] | Metric | RealismMeasure
CATALOGUE: dict[str, Mapping[str, Entry]] = {
    **FAMILIES,
    "metrics": METRICS,
    "realism": {f"realism.{name}": measure for name, measure in REALISM_MEASURES.items()},
}


def entries(family: str) -> list[dict[str, str]]:
    """Name and first line of every entry of a family. Raises NlabError for an unknown family."""
    if family not in CATALOGUE:
        raise NlabError(f"list: no family {family!r}; {nearest(family, CATALOGUE)}")
    return [{"name": name, "gives": _text(entry).partition("\n")[0]} for name, entry in CATALOGUE[family].items()]


def description(name: str) -> dict[str, Any]:
    """Docstring, output and parameters of a component or metric. Raises NlabError for an unknown name."""
    for family, members in CATALOGUE.items():
        if name in members:
            entry = members[name]
            parameters = _parameters(entry) if isinstance(entry, type) else []
            return {
                "name": name,
                "family": family,
                "text": _text(entry),
                "emits": _emits(entry),
                "control": _control(entry),
                "parameters": parameters,
            }
    raise NlabError(f"describe: {unknown_method(name, CATALOGUE)}")


def _text(entry: Entry) -> str:
    if isinstance(entry, Metric):
        return f"{entry.says}\n\nSummaries over eras: {', '.join(entry.stats)}.\n\nSource: {entry.source}"
    if isinstance(entry, RealismMeasure):
        beside = f"{entry.real_says} (`{entry.real}`)" if entry.real else "it is a ratio to real rows: 1"
        same = f"\n\nIn SDMetrics: {entry.sdmetrics}" if entry.sdmetrics else ""
        return f"{entry.says}\n\nBeside it, of real rows: {beside}.\n\nSource: {entry.source}{same}"
    text = inspect.getdoc(family_of(entry)) or ""
    first = {value: (inspect.getdoc(cls) or "").partition("\n")[0] for value, cls in entry.algorithms().items()}
    lines = [f"- {value}: {says}" for value, says in first.items()]
    return "\n".join([text, "", f"By {entry.chosen_by}:", "", *lines]) if lines else text


def _emits(entry: Entry) -> str:
    """The columns or rows that a component returns with its default parameters, as text."""
    if isinstance(entry, Metric):
        return "one number an era and variant" if entry.window is None else "one number a split and variant"
    if isinstance(entry, RealismMeasure):
        return "one number an augmenter that invents rows, with a 95 % interval"
    if issubclass(entry, Generator):
        default = entry()
        names = default.names_out()
        repeatable = "the same for a row whatever comes with it" if not default.whole_era else "repeatable for whole eras only"
        shape = "ranks within the era" if default.fit_scope.kind == "cross_fit" else repeatable
        return f"by default {len(names)} float32 columns ({names[0]} … {names[-1]}), {shape}"
    if issubclass(entry, Augmenter) and entry.weighs:
        return "weights of the training rows, of mean 1, and no rows"
    if issubclass(entry, Augmenter):
        amount = (
            "new eras, as many as there are training eras" if entry.invents_eras else "as many training rows an era as it has"
        )
        return f"{amount}, times `ratio`, times `copies`"
    if issubclass(entry, TargetTransform):
        return "the target that a model learns, a number for each training row, float32"
    return "a prediction a row, float32" if issubclass(entry, Model) else "a panel"


def _control(entry: Entry) -> str:
    """The world in which a generator or augmenter must help, or why there is none; empty for anything else."""
    if not isinstance(entry, type) or not issubclass(entry, Generator | Augmenter):
        return ""
    return str(entry.control)


def _parameters(registered: type[Component]) -> list[dict[str, str]]:
    """One row per parameter; `of`: the algorithms that have it, where not all of them do."""
    classes = algorithms_of(registered) or {"": registered}
    rows: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for value, cls in classes.items():
        for name, field in cls.model_fields.items():
            if name not in ("kind", "source", cls.chosen_by):
                rows.setdefault(tuple(_described(name, field).items()), []).append(value)
    chosen = []
    if registered.algorithms():
        field = registered.model_fields[registered.chosen_by]
        values = " or ".join(registered.algorithms())
        chosen = [{**_described(registered.chosen_by, field), "type": values, "of": ""}]
    return chosen + [{**dict(row), "of": named(registered, of)} for row, of in rows.items()]


def _described(name: str, field: FieldInfo) -> dict[str, str]:
    default = field.get_default(call_default_factory=True)
    return {
        "name": name,
        "type": _type_name(field.annotation) + _bounds(field.metadata),
        "default": "required" if field.is_required() else "none" if default is None else str(default),
        "says": field.description or "",
    }


def _type_name(annotation: Any) -> str:
    text = getattr(annotation, "__name__", None) if isinstance(annotation, type) else None
    text = text or re.sub(r"[a-z_]+\.", "", str(annotation))
    return re.sub(r"Literal\[(.*?)\]", lambda m: " or ".join(m[1].replace("'", "").split(", ")), text).replace(
        " | None", " or none"
    )


def _bounds(metadata: list[Any]) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = [f"{sign} {getattr(item, key)}" for item in metadata for key, sign in signs.items() if hasattr(item, key)]
    return f" {', '.join(limits)}" if limits else ""
