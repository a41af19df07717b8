"""Writes what is proven of each method, from the results of `nlab controls` and `nlab methods` that lie in `configs/`."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from numerai_lab.config.default_variants import NOISE, SAME_ROWS, UNTRAINED
from numerai_lab.metrics.verdict import signed, verdict_of

CONFIGS = Path(__file__).parents[2] / "configs"
CONTROLS, DEFAULT, REAL = "controls.json", "methods.json", "methods_csi500.json"
NO_METHODS = {NOISE, SAME_ROWS, UNTRAINED}
"""Kinds that are compared with and claim nothing."""
CLAIM = re.compile(r"^\| \[(?P<config>\w+)\]\([^)]*\) \| (?P<claim>(?!none:)[\w.]+(?: [\w.]+)?: [^|]+?) \| (?P<source>[^|]+?) \|")
"""A row of `configs/README.md` whose claim names its author."""
Row = Mapping[str, Any]


def sections(configs: Path = CONFIGS) -> dict[str, str]:
    """Name of a generated section → its text. Sections whose results are not there are left out."""
    controls, default, real = (_read(configs / name) for name in (CONTROLS, DEFAULT, REAL))
    default = default or (_default_of(controls) if controls else {})
    texts: dict[str, str] = {}
    if controls:
        texts |= {"proven": _bullets(_proven(controls)), "not proven": _bullets(_not_proven(controls))}
    if default:
        texts["default world"] = _bullets(_measured(default))
    if real:
        texts["real market"] = _bullets(_measured(real))
    if controls and real:
        texts["claims"] = _claims(configs, controls, [default, real])
    return texts


def _default_of(controls: Row) -> Row:
    """The methods that the controls ran in the default world, as results of `nlab methods`."""
    rows = [row for row in controls["rows"] if row["world"] == "default"]
    seeds = ", ".join(map(str, controls["seeds"]))
    methods = [
        {
            "method": row["variant"],
            "kind": next(iter(row["kinds"]), ""),
            "verdict": verdict_of(*(float("nan") if row[key] is None else row[key] for key in ("value", "low", "high"))),
            **{key: row[key] for key in ("value", "low", "high")},
        }
        for row in rows
    ]
    return {"data": [f"SYNTHETIC data, world seeds {seeds}, from `configs/controls.md`"], "methods": methods}


def _read(path: Path) -> Row:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _bullets(items: Iterator[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in items) or "- Nothing."


def _proven(results: Row) -> Iterator[str]:
    """A sentence for each gain or loss that had to be found and was."""
    for row in _asked(results, "found"):
        share = row["share_of_truth"]
        part = f" That is {share:.0%} of what the truth has more of than raw features." if share and row["value"] > 0 else ""
        yield f"In `{row['world']}`, `{row['variant']}` changes corr by {_interval(row)}.{part}"


def _not_proven(results: Row) -> Iterator[str]:
    for row in _asked(results, "missed"):
        yield f"In `{row['world']}`, `{row['variant']}` had to change corr and was not seen to: {_interval(row)}."
    for row in results["rows"]:
        if row["result"] == "gain":
            yield f"In `{row['world']}`, `{row['variant']}` gains where no gain is expected: {_interval(row)}."


def _asked(results: Row, result: str) -> list[Row]:
    return [row for row in results["rows"] if row["result"] == result]


def _measured(results: Row) -> Iterator[str]:
    """What the data are, what helps and harms, and which gains are excluded, the narrowest first."""
    yield from results["data"]
    if len(worlds := results.get("worlds", ())) > 1:
        yield f"the mean over world seeds {', '.join(map(str, worlds))}"
    methods = sorted(results["methods"], key=lambda row: row["high"] if row["high"] is not None else float("inf"))
    for verdict, sentence in (("better", "Better than raw features and than the placebos"), ("worse", "Worse than raw features")):
        named = ", ".join(f"`{row['method']}` {_interval(row)}" for row in methods if row["verdict"] == verdict)
        yield f"{sentence}: {named or 'none'}."
    for row in methods:
        if row["verdict"] not in ("better", "worse") and row["high"] is not None:
            yield f"`{row['method']}`: {_interval(row)}. A gain above {signed(max(row['high'], 0.0001))} is excluded."


def _interval(row: Row) -> str:
    """`+.0213 (+.0150 … +.0280)`."""
    if row["value"] is None:
        return "not known"
    if row["low"] is None or row["high"] is None:
        return signed(row["value"])
    return f"{signed(row['value'])} ({signed(row['low'])} … {signed(row['high'])})"


def _claims(configs: Path, controls: Row, measured: Sequence[Row]) -> str:
    """Who claimed what, and what the control, the default world and the real market say of it: a list, for narrow terminals."""
    lines = []
    for line in (configs / "README.md").read_text(encoding="utf-8").splitlines():
        if row := CLAIM.match(line):
            kinds = _kinds(configs / f"{row['config']}.yaml")
            asked = [own for own in (*_asked(controls, "found"), *_asked(controls, "missed")) if {*own["kinds"]} & kinds]
            shown = "; ".join(f"`{own['variant']}` {own['result']} in `{own['world']}`" for own in asked)
            in_default, in_market = (_of_kinds(results, kinds) for results in measured)
            results_of = {"In its control": shown, "Default world": in_default, "CSI 500": in_market}
            known = [f"    - {where}: {what}." for where, what in results_of.items() if what]
            lines += [f"- `{row['config']}`, {row['claim']}.", *(known or ["    - Not measured."])]
    return "\n".join(lines)


def _kinds(path: Path) -> set[str]:
    """Kinds of the generators and augmenters of a config, without those that only others are compared with."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    own = [*config.get("generators", {}).values(), *config.get("augmenters", {}).values()]
    return {component["kind"] for component in own} - NO_METHODS


def _of_kinds(results: Row, kinds: set[str]) -> str:
    rows: Sequence[Row] = [row for row in results["methods"] if row["kind"] in kinds]
    return "; ".join(f"`{row['method']}` {_interval(row)}" for row in rows)
