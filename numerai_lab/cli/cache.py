"""`nlab cache …`: lists, checks and prunes finished stages and data."""

from typing import Annotated, Any

import typer

from numerai_lab.cli.outcome import OutcomeOption, print_outcome
from numerai_lab.cli.terminal import FormatOption, TableFormat, print_table, say

SHOWN = 100
"""Entries that a terminal shows."""
cache_app = typer.Typer(help="Look at, check and prune what runs keep.", no_args_is_help=True)


@cache_app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="all of them in the terminal, not only the last hundred")] = False,
    table_format: FormatOption = "table",
) -> None:
    """List stages and data, most recently used first."""
    from numerai_lab.storage.cleanup import items, n_items
    from numerai_lab.storage.folders import cache_dir
    from numerai_lab.storage.used_entries import used_entries

    few = table_format == "table" and not every
    used, shown = used_entries(cache_dir()), items(cache_dir(), SHOWN if few else None)
    _print([item.as_dict(used) for item in shown], table_format)
    if few and (further := n_items(cache_dir()) - SHOWN) > 0:
        say(f"{further:,} more, used longer ago: --all or --format csv shows them")


@cache_app.command()
def info(table_format: FormatOption = "table") -> None:
    """Print number, size and computing time of entries by family."""
    from numerai_lab.storage.cleanup import items, orphans
    from numerai_lab.storage.file_lock import NoLocks
    from numerai_lab.storage.folders import cache_dir

    rows: dict[str, dict[str, Any]] = {}
    for item in items(cache_dir()):
        row = rows.setdefault(item.family, {"family": item.family, "entries": 0, "n_bytes": 0, "seconds": 0.0})
        row["entries"] += 1
        row["n_bytes"] += item.n_bytes
        row["seconds"] += item.seconds or 0.0
    total = {key: sum(row[key] for row in rows.values()) for key in ("entries", "n_bytes", "seconds")}
    _print([*(rows[family] for family in sorted(rows)), {"family": "all", **total}], table_format)
    try:
        left = len(orphans(cache_dir()))
        rest = f"left by dead processes: {left}{' (`nlab cache prune` removes them)' * bool(left)}"
    except NoLocks:
        rest = "what dead processes left is not known, as its file system knows no locks"
    say(f"{cache_dir()}; {rest}")


@cache_app.command()
def prune(
    keep: Annotated[str, typer.Option(help="bytes that may stay, such as 20GB; the least recently used go first")],
    data: Annotated[bool, typer.Option("--data", help="count and remove data too, not only stages")] = False,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Remove the least recently used entries; never one that is in use."""
    from numerai_lab.core.formatting import human_bytes
    from numerai_lab.storage.cleanup import bytes_of
    from numerai_lab.storage.cleanup import prune as prune_cache
    from numerai_lab.storage.folders import cache_dir

    removed, left = prune_cache(cache_dir(), bytes_of(keep), data=data)
    lines = [f"removed {what}  {human_bytes(n_bytes)}" for what, n_bytes in removed]
    total = f"{len(removed)} removed, {human_bytes(sum(n for _, n in removed))}; {human_bytes(left)} left"
    facts = {"removed": [{"what": what, "n_bytes": n_bytes} for what, n_bytes in removed], "bytes_left": left}
    print_outcome(outcome_format, lambda: facts, [*lines, total])


@cache_app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="remove what is damaged; the next run makes it anew")] = False,
    outcome_format: OutcomeOption = "text",
) -> None:
    """Check every checksum; exit code 1 if one is wrong."""
    from numerai_lab.core.errors import NlabFailure
    from numerai_lab.storage.cleanup import damaged_items, remove
    from numerai_lab.storage.folders import cache_dir

    checks = list(damaged_items(cache_dir()))
    wrong = [(item, damage) for item, damage in checks if damage]
    lines, damaged = [], []
    for item, damage in wrong:
        gone = repair and remove(item)
        end = "; removed" if gone else "; in use, left" if repair else ""
        lines.append(f"{item.family}/{item.path.name}  {item.what}: {damage}{end}")
        damaged.append({"family": item.family, "key": item.path.name, "what": item.what, "damage": damage, "removed": gone})
    facts = {"checked": len(checks), "damaged": damaged}
    print_outcome(outcome_format, lambda: facts, [*lines, f"{len(checks)} checked, {len(wrong)} damaged"])
    if left := sum(not entry["removed"] for entry in damaged):
        raise NlabFailure(f"cache verify: {left} damaged; runs never use them, --repair removes them")


def _print(rows: list[dict[str, Any]], table_format: TableFormat) -> None:
    import polars as pl

    from numerai_lab.core.formatting import human_bytes
    from numerai_lab.report.tables import TableColumn

    if not rows and table_format == "table":
        return
    table = pl.DataFrame(rows, infer_schema_length=None)
    if table_format == "table":
        table = table.with_columns(pl.Series("size", [human_bytes(row["n_bytes"]) for row in rows]))
    texts, numbers = ("family", "what", "size", "used", "key"), {"entries": "d", "seconds": ".1f"}
    print_table(
        table, table_format, [TableColumn(name, name, numbers.get(name, "s")) for name in (*texts[:3], *numbers, *texts[3:])]
    )
