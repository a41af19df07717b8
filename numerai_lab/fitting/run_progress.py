"""How far a run is and how long it will still take, by what its kinds of stages took so far, here or in earlier runs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from numerai_lab.core.formatting import human_seconds
from numerai_lab.core.progress import Progress
from numerai_lab.fitting.run_context import ProgressDisplay, WholeRun
from numerai_lab.fitting.workload import PlannedStage
from numerai_lab.storage.stage_speeds import Speed

TRUSTED_SHARE = 0.05
"""Share of a stage from which on its own speed tells when it will end."""


class Speeds:
    """Speeds by kind and family; what is measured counts before what is remembered, and a kind before its family."""

    def __init__(self, remembered: Mapping[str, Speed]) -> None:
        self.remembered = remembered
        self.measured: dict[str, Speed] = {}

    def add(self, stage: PlannedStage, seconds: float) -> None:
        """Counts a stage that was computed."""
        for key in (stage.kind, stage.family):
            before = self.measured.get(key, Speed(0.0, 0.0))
            self.measured[key] = Speed(before.seconds + seconds, before.amount + stage.amount)

    def seconds_of(self, stage: PlannedStage) -> float | None:
        """Estimated seconds of a stage; None where no such stage has run on this machine."""
        for key in (stage.kind, stage.family):
            for speeds in (self.measured, self.remembered):
                speed = speeds.get(key)
                if speed is not None and speed.amount > 0:
                    return speed.seconds / speed.amount * stage.amount
        return None


def expected_seconds(stages: Sequence[PlannedStage], remembered: Mapping[str, Speed]) -> tuple[float, list[str]]:
    """Seconds of all stages whose speed is known, and the families of those whose speed is not."""
    speeds = Speeds(remembered)
    seconds = {stage: speeds.seconds_of(stage) for stage in stages}
    unknown = dict.fromkeys(stage.family for stage in stages if seconds[stage] is None)
    return sum(seconds[stage] or 0.0 for stage in stages), list(unknown)


@dataclass
class RunProgress:
    """The progress of one run.

    stages: all that are planned. speeds: of earlier runs, and what this one measures. A stage from the cache takes no time.
    """

    stages: Sequence[PlannedStage]
    speeds: Speeds
    started: float = 0.0
    _done: list[PlannedStage] = field(default_factory=list)
    _left: list[PlannedStage] = field(default_factory=list)
    _now: tuple[str, float, float] = ("", 0.0, 0.0)

    def __post_init__(self) -> None:
        self._left, self.started = list(self.stages), time.monotonic()

    def begin(self, label: str) -> None:
        """A stage or another task begins."""
        self._now = (label, time.monotonic(), 0.0)

    def at(self, done: int, total: int) -> None:
        """How far what has begun is."""
        label, start, _ = self._now
        self._now = (label, start, done / total if total else 0.0)

    def finish(self, label: str, seconds: float | None) -> None:
        """A stage is done. seconds: that it took; None where the cache had it."""
        stage = self._planned(label)
        if stage is not None:
            self._left.remove(stage)
            self._done.append(stage)
            if seconds is not None:
                self.speeds.add(stage, seconds)

    def seconds_left(self) -> float | None:
        """Estimated seconds to the end of the run; None while stages are left of which none has run here."""
        seconds, all_known = self._known_left()
        return seconds if all_known else None

    def facts(self) -> dict[str, Any]:
        """The fields of `LiveProgress`."""
        label, _, share = self._now
        return {
            "stage": label,
            "share": min(1.0, max(0.0, share)),
            "done": len(self._done),
            "stages": len(self.stages),
            "seconds": time.monotonic() - self.started,
            "seconds_left": self.seconds_left(),
        }

    def line(self) -> str:
        """Such as `whole run: 12 of 40 stages, 30 %, 3 min so far, about 7 min left; now train baseline@0, 60 %`."""
        label, start, share = self._now
        so_far, (left, all_known) = time.monotonic() - self.started, self._known_left()
        words = [f"{len(self._done)} of {len(self.stages)} stages"]
        if all_known:
            words.append(f"{so_far / (so_far + left):.0%}" if so_far + left else "0%")
        words.append(f"{human_seconds(so_far)} so far")
        bound = "about" if all_known else "more than"
        words.append(f"{bound} {human_seconds(left)} left" if all_known or left else "time left not known yet")
        how_far = f", {share:.0%}" if share else f", for {human_seconds(time.monotonic() - start)}"
        return f"whole run: {', '.join(words)}" + (f"; now {label}{how_far}" if label else "")

    def _known_left(self) -> tuple[float, bool]:
        """Estimated seconds of the stages that are left as far as their kinds ran here, and whether all of them did."""
        label, start, share = self._now
        current = self._planned(label)
        seconds = [
            self._rest(stage, time.monotonic() - start, share) if stage is current else self.speeds.seconds_of(stage)
            for stage in self._left
        ]
        return sum(own for own in seconds if own is not None), None not in seconds

    def _planned(self, label: str) -> PlannedStage | None:
        return next((stage for stage in self._left if stage.label == label), None)

    def _rest(self, stage: PlannedStage, elapsed: float, share: float) -> float | None:
        """Seconds that the stage still takes: by its own speed once it is far enough, before that by those of its kind."""
        if share >= TRUSTED_SHARE:
            return elapsed * (1 - share) / share
        expected = self.speeds.seconds_of(stage)
        return None if expected is None else max(0.0, expected - elapsed)


@dataclass(frozen=True)
class WatchedDisplay:
    """A display whose tasks also tell the progress of the run that they are part of."""

    display: ProgressDisplay
    progress: RunProgress

    @contextmanager
    def task(self, label: str) -> Iterator[Progress]:
        """Shows a task."""
        self.progress.begin(label)
        with self.display.task(label) as show:

            def both(done: int, total: int, note: str = "", /) -> None:
                self.progress.at(done, total)
                show(done, total, note)

            yield both

    def run(self, whole: WholeRun) -> AbstractContextManager[None]:
        """Shows a run."""
        return self.display.run(whole)
