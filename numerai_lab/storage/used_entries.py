"""The cache entries that a living run uses: a list in its scratch folder, so that thousands take no descriptor each."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from numerai_lab.storage.file_lock import Lock, NoLocks
from numerai_lab.storage.folders import LOCK

SCRATCH = "scratch"
NAME = "used.txt"


@dataclass(frozen=True)
class UsedEntries:
    """The list of one run, which counts as long as the run holds the lock of its scratch folder. folder: the scratch folder."""

    folder: Path

    def add(self, entry: Path) -> None:
        """Notes an entry, whose lock the caller must hold meanwhile."""
        with (self.folder / NAME).open("a", encoding="utf-8") as file:
            file.write(f"{entry.relative_to(entry.parents[2])}\n")


def used_entries(cache: Path) -> set[Path]:
    """The entries that living runs list. While an entry's lock is owned, no run adds it."""
    used: set[Path] = set()
    for path in (cache / SCRATCH).glob(f"run-*/{NAME}"):
        # The run may end just now. Where there are no locks, none lives.
        with suppress(OSError, NoLocks), Lock(path.parent / LOCK, make_folder=False, make_file=False) as lock:
            if not lock.take():
                used |= {cache / line for line in path.read_text(encoding="utf-8").splitlines()}
    return used


def is_used(entry: Path) -> bool:
    """Whether a living run lists the entry, whose lock the caller must own."""
    return entry in used_entries(entry.parents[2])
