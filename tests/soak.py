"""The long tests, in parts: each ends within twenty minutes and goes on where the last try stopped.

python -m tests.soak                    # every part, one after another; hours
python -m tests.soak data-files kills   # these parts

NLAB_SOAK names the folder that keeps how far each test is (`build/soak` by default), NLAB_SOAK_SECONDS the time of a part. The
exit code is 1 where a test failed; a part that is not through yet is none.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

FOLDER = Path(os.environ.get("NLAB_SOAK", "build/soak")).resolve()
SECONDS = float(os.environ.get("NLAB_SOAK_SECONDS", "1100"))
BEGUN = time.monotonic()
FUZZ = "tests/faults/test_fuzz.py"
PARTS: dict[str, list[str]] = {
    "configs": [f"{FUZZ}::test_configs"],
    "run-folders": [f"{FUZZ}::test_run_folders_that_broke_are_all_refused"],
    "forged-folders": [f"{FUZZ}::test_run_folders_whose_checksums_were_forged_are_read_or_refused"],
    "cache-entries": [f"{FUZZ}::test_stage_cache_entries_that_broke_are_never_used"],
    "checkpoints": [f"{FUZZ}::test_checkpoints_and_half_written_columns_that_broke_cost_what_was_lost_and_no_more"],
    "stores": [f"{FUZZ}::test_stores_that_broke_are_found_and_made_anew"],
    "data-files": [f"{FUZZ}::test_data_files_that_broke_are_read_or_refused"],
    "schemas": ["tests/faults/test_foreign_schemas.py"],
    "attacks": ["tests/faults/test_strangers.py"],
    "kills": ["tests/runs/test_kill.py"],
    "one-cache": ["tests/storage/test_many_runs.py"],
    "saboteur": ["tests/faults/test_saboteur.py"],
    "cluster": ["tests/cluster/test_run_on_cluster.py", "tests/cluster/test_gang.py"],
}


def rest(name: str, total: int) -> Iterator[int]:
    """The numbers below `total` that no try of a long test has come to yet, until the time of its part is over.

    A number counts as done when the next one is asked for, so that one that fails comes first in the next try.
    """
    path = FOLDER / f"{name}.json"
    state = json.loads(path.read_text()) if path.exists() else {"done": 0, "seconds": 0.0}
    begun, before = time.monotonic(), state["seconds"]
    try:
        for number in range(state["done"], total):
            if time.monotonic() - BEGUN > SECONDS:
                break
            yield number
            seconds = round(before + time.monotonic() - begun, 1)
            state = {"done": number + 1, "of": total, "seconds": seconds, "when": date.today().isoformat()}
            if (number + 1) % 100 == 0 or seconds > number:
                _write(path, state)
    finally:
        _write(path, {"of": total, **state})
    print(f"\n{name}: {state['done']:,} of {total:,}, {state['seconds']:,.0f} s", flush=True)


def report() -> list[str]:
    """A line for each long test that has begun."""
    states = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return [f"{name:30} {state['done']:>8,} of {state['of']:>8,} {state['seconds']:>8,.0f} s" for name, state in states.items()]


def main(parts: list[str]) -> int:
    """Runs parts, prints how far each is, and gives the exit code."""
    if unknown := {*parts} - {*PARTS}:
        print(f"no part is called {', '.join(sorted(unknown))}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = []
    for part in parts or PARTS:
        command = [sys.executable, "-m", "pytest", "-s", "-m", "soak", *PARTS[part]]
        print(f"== {part}", flush=True)
        if subprocess.run(command, env={**os.environ, "NLAB_SOAK": str(FOLDER)}, check=False).returncode:
            failed.append(part)
    print("\n".join(report()))
    print("failed: " + ", ".join(failed) if failed else "nothing failed; a part that is not through goes on when it is run again")
    return 1 if failed else 0


def _write(path: Path, state: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(state))
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
