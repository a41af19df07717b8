"""Attacks on files that a command reads, and the commands that read them."""

import contextlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from numerai_lab.runs.layout import MANIFEST, PER_ERA
from numerai_lab.runs.reading import FILES
from numerai_lab.storage.checksums import checksum
from numerai_lab.storage.stamped_json import read_mapping, with_stamp
from tests.forks import start

SECONDS, PATIENCE = 10, 12
"""CPU seconds that a command may take, and how many times as long by the clock on a busy machine."""
ESC = "\x1b]0;owned\x07\x1b[2J"
Attack = Callable[[Path, Path], None]
"""What is done to a run folder; the second path is a file outside that nobody may change."""


def reseal(run: Path) -> None:
    facts = read_mapping(run / MANIFEST)
    facts.pop("stamp", None)
    facts[FILES] = {n: checksum(run / n) for n in facts.get(FILES, {}) if (run / n).is_file()}
    (run / MANIFEST).write_text(with_stamp(facts))


def forged(path: str, value: Any) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        facts = read_mapping(run / MANIFEST)
        facts.pop("stamp", None)
        at: Any = facts
        *keys, last = path.split(".")
        for key in keys:
            at = at[key]
        at[last] = value
        (run / MANIFEST).write_text(with_stamp(facts))

    return attack


def fifo(name: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return attack


def huge(name: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        (run / name).unlink(missing_ok=True)
        with (run / name).open("wb") as file:
            file.truncate(1 << 40)

    return attack


def link(name: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(victim)

    return attack


def linked_folder(name: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        shutil.rmtree(run / name, ignore_errors=True)
        (run / name).symlink_to(victim.parent)

    return attack


def edited(name: str, old: str, new: str, seal: bool) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))
        if seal:
            reseal(run)

    return attack


def flipped(name: str, seal: bool) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[len(content) // 2] ^= 1
        (run / name).write_bytes(content)
        if seal:
            reseal(run)

    return attack


def cut(name: str, seal: bool) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: len(content) // 2])
        if seal:
            reseal(run)

    return attack


def yaml_bomb(key: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        lines = ["b0: &b0 [x,x,x,x,x,x,x,x,x,x]"] + [f"b{i}: &b{i} [{','.join([f'*b{i - 1}'] * 10)}]" for i in range(1, 9)]
        text = re.sub(rf"(?m)^{key}:.*$", "", (run / "config.yaml").read_text())
        (run / "config.yaml").write_text("\n".join(lines) + f"\n{key}: *b8\n" + text)
        reseal(run)

    return attack


def yaml_value(key: str, value: str) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        text = re.sub(rf"(?m)^{key}:.*\n(?:[ -].*\n)*", f"{key}: {value}\n", (run / "config.yaml").read_text())
        (run / "config.yaml").write_text(text)
        reseal(run)

    return attack


def escapes(run: Path, victim: Path) -> None:
    """Control characters wherever a run keeps text."""
    import polars as pl

    facts = read_mapping(run / MANIFEST)
    facts.pop("stamp", None)
    facts["warnings"] = [f"w{ESC}\nforged: a line"]
    facts["leak"] = f"leak{ESC}"
    facts["started"] = f"2026{ESC}"
    facts["comparable"]["data version"] = f"v{ESC}"
    facts["comparable"]["val1"] = f"1-2{ESC}"
    facts["scoring"]["fnc"] = f"fnc{ESC}"
    facts["data"]["resolved_target"] = f"t{ESC}"
    name = "cut"
    scores = (run / "scores.csv").read_text()
    (run / "scores.csv").write_text(scores.replace(f"\n{name},", f'\n"{name}{ESC}",'))
    eras = pl.read_parquet(run / PER_ERA)
    eras = eras.with_columns(variant=pl.col("variant").replace(name, name + ESC), **{f"x{ESC}": pl.lit(1.0)})
    eras.write_parquet(run / PER_ERA)
    (run / MANIFEST).write_text(with_stamp(facts))
    reseal(run)


def failed_text(run: Path, victim: Path) -> None:
    (run / "failed.txt").write_text(f"x{ESC}")


def config_key(run: Path, victim: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text + '"odd\\e]0;owned\\a\\e[2J": 1\n')
    reseal(run)


def models(spoil: Callable[[bytes], bytes], seal: bool) -> Attack:
    """Spoils every model file; seal: its checksum is made to fit."""

    def attack(run: Path, victim: Path) -> None:
        for path in sorted((run / "models").iterdir()):
            if path.name != "portable.json":
                path.write_bytes(spoil(path.read_bytes()))
        if seal:
            reseal(run)

    return attack


def with_a_flipped_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def of_long_numbers(content: bytes) -> bytes:
    """Numbers of text become too long; other content is cut."""
    return re.sub(rb"\d+", b"9" * 400, content) if content.startswith((b"{", b"tree")) else content[: len(content) // 2]


def stripped(run: Path, victim: Path) -> None:
    facts = read_mapping(run / MANIFEST)
    del facts["stamp"], facts["files"]
    (run / MANIFEST).write_text(json.dumps(facts))


def then(*attacks: Attack) -> Attack:
    def attack(run: Path, victim: Path) -> None:
        for one in attacks:
            one(run, victim)

    return attack


FINISHED = ("config.yaml", MANIFEST, "scores.csv", PER_ERA, "predictions.parquet", "report.html")
ATTACKS: dict[str, Attack] = {
    **{f"link {n}": link(n) for n in ("report.html.part", "manifest.json.part", "scores.md.part", "inspection.html.part")},
    **{f"link {n}": link(n) for n in ("report.html", "scores.md", "inspection.html", "config.yaml", "predictions.parquet")},
    "link models": linked_folder("models"),
    "link refits": linked_folder("refits"),
    **{
        f"fifo {n}": fifo(n)
        for n in (
            *FINISHED,
            "inspection.html",
            "models/portable.json",
            "failed.txt",
            "plugins.json",
            "realism.csv",
            "holdout.csv",
        )
    },
    **{f"1 TB {n}": huge(n) for n in (*FINISHED, "models/portable.json", "failed.txt", "realism.csv")},
    "config edited": edited("config.yaml", "- 0", "- 1", False),
    "predictions flipped": flipped("predictions.parquet", False),
    "predictions cut": cut("predictions.parquet", False),
    "predictions flipped, sealed": flipped("predictions.parquet", True),
    "predictions cut, sealed": cut("predictions.parquet", True),
    "per_era cut, sealed": cut(PER_ERA, True),
    "scores cut, sealed": cut("scores.csv", True),
    **{f"bomb {key}": yaml_bomb(key) for key in ("name", "seeds", "model", "splits", "extra")},
    "yaml date": yaml_value("name", "2026-13-45"),
    "yaml int": yaml_value("name", "!!int x"),
    "yaml timestamp": yaml_value("name", "!!timestamp x"),
    "yaml set": yaml_value("name", "{? {a: 1} : 2}"),
    "yaml long int": yaml_value("seeds", "[" + "1" * 5000 + "]"),
    "yaml recursive": yaml_value("seeds", "&r [*r]"),
    "yaml recursive map": yaml_value("model", "&r {kind: ridge, a: *r}"),
    "escapes": escapes,
    "escape in failed.txt": failed_text,
    "escape in config key": config_key,
    "stripped": stripped,
    "report edited": edited("report.html", "<body", "<body data-edited", False),
    "models flipped": models(with_a_flipped_bit, False),
    "models flipped, sealed": models(with_a_flipped_bit, True),
    "models of long numbers, sealed": models(of_long_numbers, True),
    "models empty, sealed": models(lambda content: b"", True),
    "models of zeros, sealed": models(lambda content: bytes(len(content)), True),
    **{
        f"manifest {path}={value!r:.20}": forged(path, value)
        for path, value in (
            ("cv", 3),
            ("retrain", [1]),
            ("holdout", {"a": 1}),
            ("stages", {"a": 3}),
            ("stages", {"a": {"seconds": "x", "peak_bytes": None}}),
            ("command", [None]),
            ("seeds", ["x"]),
            ("seeds", [10**400]),
            ("warnings", [3]),
            ("warnings", [["x"]]),
            ("costs", 3),
            ("costs", {"a": 3}),
            ("cache_hits", [3]),
            ("cache_hits", [{}]),
            ("packages", {"a": [1]}),
            ("machine", {}),
            ("splits.train", ["x"]),
            ("splits.train", [1e300]),
            ("splits.val1", [{"a": 1}]),
            ("splits.val1", []),
            ("data.rows", "x"),
            ("data.train_rows", 10**400),
            ("data.horizon_days", 10**12),
            ("data.horizon_days", -1),
            ("data.days_per_era", 0),
            ("data.days_per_era", "x"),
            ("scoring.reference", "nobody"),
            ("scoring.reference", "\ud800"),
            ("comparable.data version", "\ud800"),
            ("comparable.val1", "\ud800"),
            ("chosen", 3),
            ("chosen", {"split": []}),
            ("looks", "x"),
            ("plugins", 3),
            ("plugins", [3]),
            ("asked_config", 3),
            ("files", {"scores.csv": "x"}),
            ("files", []),
            ("files", {"../../x": 1}),
            ("comparable", {}),
            ("scoring.payout", "x"),
            ("scoring.least_rows", []),
            ("started", "not a date"),
            ("measured", 3),
            ("name", 3),
            ("schema", "x"),
        )
    },
}


TABLES = ("runs", "variants", "per_era", "stages", "warnings")
EVERY_TABLE = "SELECT " + ", ".join(f"(SELECT max(CAST(t AS VARCHAR)) FROM {name} AS t) AS {name}" for name in TABLES)
"""A query that reads every value."""
COMMANDS: dict[str, list[str]] = {
    "show": ["show", "RUN"],
    "compare": ["compare", "RUN", "GOOD"],
    "list": ["list", "runs", "--runs-dir", "RUNS"],
    "open": ["open", "RUN"],
    "redraw": ["open", "RUN", "--redraw"],
    "inspect": ["inspect", "RUN"],
    "rows": ["inspect", "RUN", "--rows"],
    "export": ["export", "RUN", "--generator", "p", "--out", "OUT/columns.parquet"],
    "predict": ["predict", "RUN", "DATA", "--out", "OUT/p.csv"],
    "unseal": ["unseal", "RUN", "--variant", "cut"],
    "power": ["power", "CONFIG", "--run", "RUN"],
    "live": ["live", "RUN", "--data", "DATA", "--out", "OUT/live.csv"],
    "score": ["score", "RUN/predictions.parquet", "CONFIG"],
    "query": ["query", EVERY_TABLE, "--runs-dir", "RUNS"],
    "watch": ["watch", "--once", "--runs-dir", "RUNS"],
    "trust": ["trust", "RUN"],
}
HANG, WROTE, ESCAPE, TRACE = "HANG", "WROTE", "ESC", "TRACE"


def ended(process: BaseProcess) -> bool:
    """Whether a process ends within `SECONDS` of CPU time, on a busy machine too."""
    begun = time.monotonic()
    with contextlib.suppress(psutil.NoSuchProcess):
        running = psutil.Process(process.pid)
        while process.exitcode is None and time.monotonic() - begun < PATIENCE * SECONDS:
            process.join(0.5)
            if sum(running.cpu_times()[:2]) > SECONDS:
                break
    process.join(0.1)
    return process.exitcode is not None


def outcome(command: list[str], attack: Attack, home: Path, base: Path) -> tuple[str, str]:
    """The exit code of a command after an attack, or what is wrong; and what it said."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        work = Path(folder)
        run, good, out, victim = work / "runs" / "run", work / "runs" / "good", work / "out", work / "victim" / "file"
        for target in (run, good):
            shutil.copytree(base, target)
        out.mkdir()
        victim.parent.mkdir()
        victim.write_text("precious")
        attack(run, victim)
        places = {"RUN": run, "GOOD": good, "RUNS": run.parent, "DATA": home / "live.parquet", "CONFIG": home / "config.yaml"}
        arguments = [str(places.get(word, word)).replace("OUT/", f"{out}/").replace("RUN/", f"{run}/") for word in command]
        process = start(*arguments, said=work, cwd=work, BROWSER="true", COLUMNS="200")
        if not ended(process):
            process.kill()
            process.join()
            return HANG, ""
        said = (work / "stdout").read_text(errors="replace") + (work / "stderr").read_text(errors="replace")
        if [path.name for path in victim.parent.iterdir()] != ["file"] or victim.read_text() != "precious":
            return WROTE, said
        if "Traceback" in said:
            return TRACE, said
        if "\x1b" in said or "\x07" in said or "\nforged" in said:
            return ESCAPE, said
        return str(process.exitcode), said


def outcomes(attack: Attack, home: Path) -> dict[str, str]:
    """Command → exit code after an attack, or what is wrong.

    home: a folder with `base`, which is a run, its config.yaml, and live.parquet.
    """
    return {command: outcome(words, attack, home, home / "base")[0] for command, words in COMMANDS.items()}
