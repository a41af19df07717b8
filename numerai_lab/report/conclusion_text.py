"""The conclusion of a run as text for a terminal of any width."""

import textwrap
from collections.abc import Iterable, Sequence

from numerai_lab.report.conclusion import Conclusion, VariantLine
from numerai_lab.report.tables import marked

CHANGE, VERDICT, COST = 23, 20, 6
"""Widths of the columns of changes, verdicts and costs, in characters."""
KIND_NAMES = {"placebo": "", "untrained": "(untrained network)"}
"""Kind of placebo → how it is named behind the change against it."""
HOW = "Δ: mean corr, paired by era; [ ]: 95 % intervals, all together; cost: all seeds"


def conclusion_text(conclusion: Conclusion, width: int, head: Iterable[str] = ()) -> list[str]:
    """The sentence, the lines of `head`, the reference, two lines for each variant, notes, and the resolution.

    A terminal of about 130 characters has one line for each variant. No line is longer than `width`, unless one word is.
    """
    lines = [*wrapped(conclusion.sentence, width), "", *(part for line in head for part in wrapped(line, width))]
    every = [line for line in (conclusion.reference, *conclusion.lines) if line is not None]
    marks = marked([line.notes for line in every])
    titles = {line.variant: _title(line, marks) for line in every}
    if conclusion.reference is not None:
        title = titles.pop(conclusion.reference.variant)
        lines += ["", *wrapped(f"{title}: corr {conclusion.reference.corr_text}{_at(conclusion)}", width)]
    if conclusion.lines:
        lines += ["", *_table(conclusion, titles, width), *wrapped(HOW, width)]
    for note, mark in marks.items():
        lines += wrapped(f"{mark} {note}", width)
    return [*lines, *wrapped(conclusion.resolution, width)]


def wrapped(line: str, width: int) -> list[str]:
    """A line of prose in lines of at most `width` characters, of which all but the first are indented."""
    return textwrap.wrap(line, max(20, width), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def seconds_text(seconds: float | None) -> str:
    """`12 s`, `3 min` or `1.2 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _at(conclusion: Conclusion) -> str:
    """The split, where it is not both halves together."""
    return "" if conclusion.split == "val" else f" in {conclusion.split}"


def _title(line: VariantLine, marks: dict[str, str]) -> str:
    """The name of a variant with the mark of its notes, its role and its words."""
    name = " ".join(filter(None, [line.variant, marks.get(line.notes, "")]))
    role = {"reference": " (the reference)", "placebo": " (placebo)"}.get(line.role, "")
    return f"{name}{role}{': ' if line.words else ''}{line.words}"


def _table(conclusion: Conclusion, titles: dict[str, str], width: int) -> list[str]:
    """A heading, and the rows of each variant: its title, then the numbers, side by side where they fit."""
    reference = conclusion.reference.variant if conclusion.reference else "the reference"
    against = f"Δ to {reference}" if len(reference) <= CHANGE - 5 else "Δ to the reference"
    beside = any(line.beside for line in conclusion.lines)
    heads = _row([against, *(["Δ to its placebo"] if beside else [])], "verdict", "cost")
    body = [_rows(line, beside) for line in conclusion.lines]
    widest = max(len(titles[line.variant]) for line in conclusion.lines)
    numbers = max(len(row) for rows in body for row in rows)
    left = widest + 2 if widest + 2 + numbers <= width else 0
    out = [f"{'':{left or 2}}{heads}"]
    for line, (first, *more) in zip(conclusion.lines, body, strict=True):
        title = titles[line.variant]
        out += [f"{title:{left}}{first}"] if left else [*wrapped(title, width), f"  {first}"]
        out += [f"{'':{left or 2}}{row}" for row in more]
    return out


def _rows(line: VariantLine, beside: bool) -> list[str]:
    """Rows of numbers: the change, that against the placebo, verdict and cost; then another placebo, and a remark."""
    placebos = [(str(own.change), KIND_NAMES[kind]) for kind, own in line.beside.items()] or [("", "")]
    (against, kind), *more = placebos
    rows = [_row([str(line.change), *([against] if beside else [])], line.verdict, seconds_text(line.seconds))]
    rows += [_row(["", text], named, "") for text, named in [*([("", kind)] if kind else []), *more]]
    return [*rows, *([f"({line.remark})"] if line.remark else [])]


def _row(changes: Sequence[str], verdict: str, cost: str) -> str:
    return f"{''.join(f'{text:{CHANGE}}  ' for text in changes)}{verdict:{VERDICT}}  {cost:>{COST}}".rstrip()
