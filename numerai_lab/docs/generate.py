"""Writes the generated sections of the manual: registries, config keys, metrics and commands.

A generated section stands between `<!-- generated: NAME -->` and `<!-- end of generated -->`.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from numerai_lab.augmenters import Augmenter
from numerai_lab.config.catalogue import CATALOGUE, description, entries
from numerai_lab.config.schema import SECTIONS, Config
from numerai_lab.core.component import Component
from numerai_lab.docs.pages import FOLDER, ORDER, source
from numerai_lab.docs.what_works import sections
from numerai_lab.generators import Generator
from numerai_lab.metrics import METRICS
from numerai_lab.metrics.realism_measures import REALISM_MEASURES
from numerai_lab.runs.query_schema import COLUMNS, TABLES

BEGIN, END = "<!-- generated: {} -->\n", "<!-- end of generated -->\n"
SECTION = re.compile(r"<!-- generated: ([a-z ]+) -->\n.*?<!-- end of generated -->\n", flags=re.DOTALL)
TAKES = {"generators": "Every one of these generators takes:", "augmenters": "Every augmenter that makes rows takes:"}
"""The line above the parameters that a family shares."""
FAMILY_BASES: Mapping[str, type[Component]] = {"generators": Generator, "augmenters": Augmenter}
SCORES = ("metrics", "realism")
"""Families that are no components."""
READ_MORE = {
    "run": "quickstart.md",
    "resume": "cache-and-resume.md#resume-a-killed-run",
    "compare": "scores-and-verdicts.md#compare-runs",
    "query": "query.md",
    "serve": "watch.md#on-a-page",
    "watch": "watch.md#in-a-terminal",
    "power": "scores-and-verdicts.md#before-a-run-what-can-it-show",
    "sweep": "scores-and-verdicts.md#sweeps",
    "score": "your-own-data.md#score-predictions-from-elsewhere",
    "audit": "trust.md#the-audit",
    "methods": "methods.md#what-the-methods-do",
    "controls": "trust.md#controls",
    "check-plugin": "your-own-method.md",
    "export": "your-own-data.md#export-columns-and-synthetic-eras",
    "transform": "your-own-data.md#export-columns-and-synthetic-eras",
    "inspect": "scores-and-verdicts.md#look-at-what-was-learned",
    "unseal": "trust.md#the-holdout",
    "ledger": "trust.md#the-holdout",
    "submit": "tournament.md#submit-predictions",
    "schedule": "tournament.md#submit-in-every-round",
    "init": "quickstart.md#run-it",
    "doctor": "quickstart.md#run-it",
    "new": "configs.md",
    "data": "data.md",
    "cache": "cache-and-resume.md",
    "cluster": "cluster.md",
}
"""Command or group → the page that explains it."""


def generated(root: Any) -> dict[str, str]:
    """Page → its text with every generated section made anew.

    root: the command group of the command line (click). A section whose results are not there stays as it is.
    """
    makers: dict[str, Callable[[], str]] = {
        **{family.replace("_", " "): partial(_family, family) for family in CATALOGUE if family not in SCORES},
        "metrics": _metrics,
        "realism columns": _realism_columns,
        "config keys": _config_keys,
        "query tables": _query_tables,
        "commands": lambda: _commands(root),
        **{name: partial(str, section) for name, section in sections().items()},
    }
    return {page: SECTION.sub(partial(_filled, makers), source(page)) for page in ORDER}


def write(root: Any) -> list[str]:
    """Rewrites the pages whose generated sections are stale, and names them."""
    stale = [page for page, text in generated(root).items() if text != source(page)]
    for page, text in generated(root).items():
        if page in stale:
            (FOLDER / f"{page}.md").write_text(text, encoding="utf-8")
    return stale


def _filled(makers: Mapping[str, Callable[[], str]], section: re.Match[str]) -> str:
    if section[1] not in makers:
        return section[0]
    return f"{BEGIN.format(section[1])}\n{makers[section[1]]().strip()}\n\n{END}"


def _family(family: str) -> str:
    """An overview table of a family, the parameters all members share, and a section a member."""
    members = CATALOGUE[family]
    base = FAMILY_BASES.get(family)
    shared = set(base.model_fields) if base else set()
    parts = [_table(("kind", "gives"), [(f"[`{row['name']}`](#{row['name']})", row["gives"]) for row in entries(family)])]
    if base is not None:
        rows = [row for row in description(next(iter(members)))["parameters"] if row["name"] in shared]
        parts += [TAKES[family], _parameters(rows)]
    for name in members:
        parts += _member(name, shared)
    return "\n\n".join(parts)


def _member(name: str, shared: set[str]) -> Iterator[str]:
    facts = description(name)
    yield f"### {name}"
    yield facts["text"]
    yield f"Emits: {facts['emits']}."
    if facts["control"]:
        yield f"Control: {facts['control']}"
    own = [row for row in facts["parameters"] if row["name"] not in shared]
    if own:
        yield _parameters(own)


def _parameters(rows: list[dict[str, str]]) -> str:
    cells = [(f"`{row['name']}`", f"`{row['default']}`", _with_type(row), row["of"]) for row in rows]
    if any(row["of"] for row in rows):
        return _table(("parameter", "default", "what it does", "only of"), cells)
    return _table(("parameter", "default", "what it does"), [cell[:3] for cell in cells])


def _with_type(row: dict[str, str]) -> str:
    return f"{row['says']} ({row['type']})" if row["says"] else row["type"]


def _metrics() -> str:
    rows = [(f"`{name}`", metric.says, ", ".join(f"`{stat}`" for stat in metric.stats)) for name, metric in METRICS.items()]
    definitions = [f"- `{name}`: {metric.source}" for name, metric in METRICS.items()]
    return "\n".join([_table(("metric", "what it is", "statistics over eras"), rows), "", "Their definitions:", "", *definitions])


def _realism_columns() -> str:
    rows = []
    for name, entry in REALISM_MEASURES.items():
        real = f"; `{entry.real}`: of {entry.real_says}" if entry.real else ""
        source = f"{entry.source}; there {entry.sdmetrics}" if "SDMetrics" in entry.source and entry.sdmetrics else entry.source
        source += f"; {entry.sdmetrics} of SDMetrics" if entry.sdmetrics and "SDMetrics" not in entry.source else ""
        rows.append((f"`{name}`" + (f", `{entry.real}`" if entry.real else ""), entry.says + real, source))
    return _table(("column", "meaning", "source"), rows)


def _query_tables() -> str:
    """The tables of `nlab query`, and the columns of each that are declared."""
    parts = [_table(("table", "holds"), [(f"`{name}`", meaning) for name, meaning in TABLES.items()])]
    for name, columns in COLUMNS.items():
        rows = [(f"`{key}`", column.sql_type, column.meaning) for key, column in columns.items()]
        parts += [f"### {name}", _table(("column", "type", "meaning"), rows)]
    files = "`scores` and `per_era` have `run`, then the columns of [scores.csv](run-folder.md#scorescsv) and"
    return "\n\n".join([*parts, f"{files} [per_era.parquet](run-folder.md#per_eraparquet)."])


def _config_keys() -> str:
    """Every key outside components: of the config itself, then of each of its mappings."""
    parts: list[str] = []
    sections: dict[str, type[BaseModel]] = {"The config": Config, **SECTIONS}
    for title, model in sections.items():
        heading = title if model is Config else f"Keys of `{title}`"
        rows = [(f"`{name}`", _default(field), field.description or "") for name, field in model.model_fields.items()]
        parts += [f"### {heading}", _first(model), _table(("key", "default", "what it does"), rows)]
    return "\n\n".join(parts)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    return "none" if value is None else f"`{value}`"


def _commands(root: Any) -> str:
    parts: list[str] = []
    for path, command in _leaves(root, ()):
        name = " ".join(("nlab", *path))
        parts += [f"## {name}", inspect.cleandoc(command.help or ""), _usage(name, command)]
        annotations = get_type_hints(inspect.unwrap(command.callback))
        visible = [parameter for parameter in command.params if parameter.name != "help" and not parameter.hidden]
        if rows := [_parameter(parameter, annotations) for parameter in visible]:
            parts.append(_table(("argument or option", "default", "what it does"), rows))
        more = READ_MORE.get(path[0])
        parts += [f"Read more: [{more.partition('#')[0].removesuffix('.md')}]({more})."] if more else []
    return "\n\n".join(parts)


def _leaves(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a group with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, (*path, name))
        else:
            yield (*path, name), command


def _usage(name: str, command: Any) -> str:
    words = [_argument(parameter) for parameter in command.params if _is_argument(parameter)]
    options = ["[OPTIONS]"] if any(not _is_argument(p) and not p.hidden for p in command.params) else []
    return f"Usage: `{' '.join((name, *words, *options))}`"


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def _argument(parameter: Any) -> str:
    name = parameter.name.upper() + ("…" if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _parameter(parameter: Any, annotations: Mapping[str, Any]) -> tuple[str, str, str]:
    """Name, default and help text of an argument or option."""
    if _is_argument(parameter):
        name = _argument(parameter)
    else:
        value = "" if parameter.is_flag else f" {parameter.metavar or _value_name(annotations[parameter.name])}"
        name = " / ".join((*parameter.opts, *parameter.secondary_opts)) + value
    return f"`{name}`", _shown_default(parameter), parameter.help or ""


def _value_name(annotation: Any) -> str:
    """What stands for an option's value: the choices, or the name of its type."""
    if get_origin(annotation) is Literal:
        return "|".join(get_args(annotation))
    names = {int: "INTEGER", float: "NUMBER", Path: "PATH"}
    return next((names[part] for part in (annotation, *get_args(annotation)) if part in names), "TEXT")


def _shown_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value is None or value is False or not isinstance(value, str | int | float | Path):
        return ""
    return f"`{'yes' if value is True else value}`"


def _first(entry: Any) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(entry) or "").partition("\n")[0]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
