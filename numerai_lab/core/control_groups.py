"""The control groups (Linux) whose limits hold for this process."""

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CONTROLLED = Path("/proc/self/cgroup")


def groups_of(controller: str, cgroups: Path = CGROUPS, controlled: Path = CONTROLLED) -> list[tuple[Path, int]]:
    """Folders of the groups that a controller (`memory`, `cpu`) limits this process by, and their version, 1 or 2."""
    groups = []
    try:
        lines = controlled.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root, version = (cgroups / controller, 1) if controllers else (cgroups, 2)
        here = root / path.lstrip("/")
        # Inside a container the path may be that of the host: its own group is then mounted as the root.
        groups += [(folder, version) for folder in (here, *here.parents) if folder.is_relative_to(root) and folder.is_dir()]
    return groups


def numbers_in(path: Path) -> list[int] | None:
    """The whole numbers of a group's file; None where there is none, or it says `max`."""
    try:
        return [int(word) for word in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError):
        return None
