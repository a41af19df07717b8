"""The states of runs as text for a terminal of any size, and as a line for each change."""

from collections import Counter
from collections.abc import Iterable, Sequence

from numerai_lab.core.formatting import human_seconds
from numerai_lab.report.conclusion_text import wrapped
from numerai_lab.report.overview import STATUSES, RunState
from numerai_lab.runs.live_progress import LiveProgress

BAR = 20
"""Characters of a bar of progress."""


def overview_lines(states: Sequence[RunState], width: int, height: int | None = None) -> list[str]:
    """Counts, the runs in progress, then the others, newest first, with what each shows.

    No line is longer than `width`, unless one word is. height: most lines; None for all. What is left out is counted.
    """
    running = [state for state in states if state.status == "running"]
    rest = [state for state in states if state.status not in ("running", "unread")]
    lines, shown = [*wrapped(counted(states), width)], 0
    for state in (*running, *rest):
        block = ["", *_block(state, width)]
        if height is not None and len(lines) + len(block) > height - 2:
            left = len(running) + len(rest) - shown
            return [*lines, "", f"{left} more: make the terminal higher, or `nlab watch --once`"]
        lines, shown = [*lines, *block], shown + 1
    return lines


def counted(states: Iterable[RunState]) -> str:
    """`2 running, 1 interrupted, 40 finished`."""
    numbers = Counter(state.status for state in states)
    words = {"unread": "not read yet"}
    return ", ".join(f"{numbers[status]} {words.get(status, status)}" for status in STATUSES if numbers[status]) or "no run yet"


def change_line(state: RunState) -> str:
    """A line about a run whose state changed: `20261130-021000_umap: train baseline@0; 12 of 40 stages, about 7 min left`."""
    if state.progress is not None:
        return f"{state.run}: {'; '.join(filter(None, [state.progress.stage, progress_text(state.progress)]))}"
    return f"{state.run}: {state.status}{_origin(state)}. {state.sentence}"


def progress_text(progress: LiveProgress) -> str:
    """`12 of 40 stages, 3 min so far, about 7 min left`."""
    words = [f"{progress.done} of {progress.stages} stages"] if progress.stages is not None else []
    seconds = progress.seconds_left
    left = "time left not known yet" if seconds is None else f"about {human_seconds(seconds)} left"
    return ", ".join([*words, f"{human_seconds(progress.seconds)} so far", left])


def _block(state: RunState, width: int) -> list[str]:
    if state.progress is None:
        head = f"{state.run}: {state.status}{_origin(state)}"
        best = f"largest Δ: {state.method} {state.change}, {state.verdict}" if state.method else ""
        return [*wrapped(head, width), *(part for line in (state.sentence, best) if line for part in _indented(line, width))]
    share = state.progress.share_of_run
    bar = f"[{'#' * round(BAR * share):{BAR}}] {share:.0%}" if share is not None else ""
    of_stage = f", {state.progress.share:.0%}" if state.progress.share else ""
    stage = f"now {state.progress.stage}{of_stage}" if state.progress.stage else ""
    how_far = "  ".join(filter(None, [bar, progress_text(state.progress)]))
    return [*wrapped(state.run, width), *(part for line in (how_far, stage) if line for part in _indented(line, width))]


def _indented(line: str, width: int) -> list[str]:
    return [f"  {part}" for part in wrapped(line, width - 2)]


def _origin(state: RunState) -> str:
    return ", from elsewhere" if state.elsewhere else ""
