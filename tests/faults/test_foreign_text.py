"""What other people's texts may not do: move the cursor, begin lines, hold the program, fill the memory, end in a traceback."""

import ast
import io
import logging
import sys
from pathlib import Path

import pytest

import numerai_lab
from numerai_lab.cli.terminal import print_table, put, put_text, say
from numerai_lab.config.loading import load_config, parse_config
from numerai_lab.config.yaml_file import parse_yaml
from numerai_lab.core.errors import NlabError
from numerai_lab.core.formatting import Printable, indented, printable
from tests.faults.test_fuzz import soon

ESCAPE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2028\ud800\r\nforged: a line"
CONTROLS = ("\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\ud800", "\r", "\nforged")


def test_control_characters_and_ends_of_lines_are_escaped() -> None:
    assert printable("Übung 株 é\tx") == "Übung 株 é\\u0009x"
    assert printable("a\x1b[2Jb\r\n\u202ec\ud800") == "a\\u001b[2Jb\\u000d\\u000a\\u202ec\\ud800"
    assert printable("a\n\tb\x07", lines=True) == "a\n\tb\\u0007"
    assert indented("x.yaml: 2 problems\n  one\ntwo\n\nthree") == "x.yaml: 2 problems\n  one\n  two\n\n  three"


def test_nothing_that_is_printed_holds_a_control_character_or_begins_a_forged_line(capsys: pytest.CaptureFixture[str]) -> None:
    import polars as pl

    from numerai_lab.report.tables import TableColumn

    safe = ESCAPE.replace("\ud800", "")  # no table can hold half a character
    table = pl.DataFrame({"variant": [safe], f"x{safe}": [1.0]})
    columns = (TableColumn("variant", "variant", "s"), TableColumn(f"x{safe}", f"x{safe}"))
    say(ESCAPE)
    put(ESCAPE, f"name: {ESCAPE}")
    for how in ("table", "md", "json", "csv"):
        print_table(table, how, columns, [ESCAPE], wrap=True)  # type: ignore[arg-type]
    said = capsys.readouterr()
    for control in CONTROLS[:-1]:
        assert control not in said.out + said.err
    assert "\nforged" not in said.err + said.out.split("{")[0]
    put_text("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


def test_a_record_of_the_log_begins_no_line_of_its_own() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Printable("%(levelname)s %(message)s"))
    handler.emit(logging.LogRecord("nlab", logging.INFO, "", 0, "%s", (ESCAPE,), None))
    assert stream.getvalue().splitlines()[1].startswith("  forged")
    assert not any(control in stream.getvalue() for control in CONTROLS)


def test_commands_print_by_the_functions_that_escape() -> None:
    folder = Path(numerai_lab.__file__).parent
    for path in {*folder.rglob("*.py")} - {folder / "cli" / "terminal.py"}:
        for node in ast.walk(ast.parse(path.read_bytes())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write"), f"{path}:{node.lineno}"


def test_unknown_keys_of_a_config_are_escaped_in_the_error() -> None:
    key = ESCAPE.replace("\ud800", "")
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, key: 1}
    with pytest.raises(NlabError) as error:
        parse_config(raw, "x.yaml")
    assert not any(control in indented(str(error.value)) for control in CONTROLS)
    with pytest.raises(NlabError, match=r"and 400 more$"):
        parse_config({**raw, **{f"key{i}": 1 for i in range(499)}}, "x.yaml")


BOMB = "b0: &b0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(f"b{i}: &b{i} [{','.join([f'*b{i - 1}'] * 10)}]\n" for i in range(1, 9))
REST = "data: {source: synthetic}\nmodel: {kind: ridge}\n"


@pytest.mark.parametrize("key", ["name", "seeds", "model", "data", "splits", "generators", "variants", "extra"])
def test_an_alias_bomb_is_refused_at_once(key: str, tmp_path: Path) -> None:
    text = BOMB + "".join(line + "\n" for line in REST.splitlines() if not line.startswith(key)) + f"{key}: *b8\n"
    (tmp_path / "x.yaml").write_text(text)
    with soon(key), pytest.raises(NlabError, match="with aliases written out it has more than 100,000 values"):
        load_config(tmp_path / "x.yaml")


ODD = {
    "name: 2026-13-45": "'2026-13-45' is no timestamp",
    "name: !!int x": "'x' is no int",
    "name: !!float x": "'x' is no float",
    "name: !!bool x": "'x' is no bool",
    "name: !!timestamp x": "'x' is no timestamp",
    "name: {? {a: 1} : 2}": "a list or mapping is not a name",
    "name: !!set {a, b}": "a set is no part of a config",
    "name: !!binary aGVsbG8=": "a binary is no part of a config",
    "name: !!binary é": "not valid YAML",
    "seeds: [" + "1" * 5000 + "]": "'1{99}… is no int",
    "seeds: [" + "1" * 30 + "]": "a whole number has at most 18 digits",
    "seeds: &r [*r]": "it holds itself",
    "model: &r {kind: ridge, a: *r}": "it holds itself",
    "a: " + "[" * 5000: "nested too deeply",
    "name: !!python/object/apply:os.system [x]": "could not determine a constructor",
    "name: 'a\x00b'": "special characters are not allowed",
    "? !!timestamp x\n: 1": "'x' is no timestamp",
}


@pytest.mark.parametrize("text", ODD, ids=[text[:30] for text in ODD])
def test_odd_yaml_is_refused_in_one_sentence(text: str) -> None:
    with soon(text), pytest.raises(NlabError, match=ODD[text]) as error:
        parse_yaml(text, "x.yaml")
    assert len(str(error.value)) < 600
    assert "\n" not in str(error.value)


def test_aliases_and_merges_of_honest_configs_are_read() -> None:
    text = "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\nd: [*a, *a]\ne: 2026-01-02\nf: 9223372036854775807"
    read = parse_yaml(text, "x.yaml")
    assert read["b"] == {"x": 1}
    assert read["c"] == {"x": 1, "y": 2}
    assert read["d"] == [{"x": 1}, {"x": 1}]
    assert read["f"] == sys.maxsize


@pytest.mark.parametrize("family", ["generators", "augmenters", "variants"])
def test_a_name_that_no_file_name_can_hold_is_refused_before_any_training(family: str) -> None:
    slices = {"variants": {}, "generators": {"kind": "pca"}, "augmenters": {"kind": "cutout"}}
    raw = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}, family: {"n" * 250: slices[family]}}
    with pytest.raises(NlabError, match="is too long, a name has at most 1[05]0 characters"):
        parse_config(raw, "x.yaml")
