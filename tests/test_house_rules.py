"""The rules of `make check` on size, layout and words hold, and each of them fails where it is broken."""

import re
from pathlib import Path

import pytest

from tests.house_rules import ENFORCED, ROOT, Rule, everything, measured, table
from tests.retired_words import LIST, read_list, retired_words

CONTRACT = """
[[tool.importlinter.contracts]]
name = "imports go one way"
type = "layers"
layers = [{layers}]
"""


def planted(root: Path, files: dict[str, str], n_layers: int = 2) -> Path:
    """A package of these files under a root."""
    (root / "pyproject.toml").write_text(CONTRACT.format(layers=", ".join(f'"numerai_lab.{i}"' for i in range(n_layers))))
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def rule(root: Path, name: str) -> Rule:
    (found,) = [each for each in measured(root) if each.name == name]
    return found


def words(root: Path, text: str) -> list[str]:
    """Where retired words are found, as path:line."""
    return [f"{each.path}:{each.line}" for each in retired_words(root, read_list(text))]


@pytest.mark.slow  # `make check` measures the same
def test_every_enforced_rule_holds() -> None:
    rules = measured(ROOT)
    assert set(ENFORCED) <= {each.name for each in rules}
    assert [f"{each.name}: {each.now}, {each.over[:9]}" for each in rules if each.name in ENFORCED and not each.holds] == []


def test_nine_modules_at_the_root_are_one_too_many(tmp_path: Path) -> None:
    planted(tmp_path, {f"numerai_lab/{name}.py": "" for name in "abcdefgh"} | {"numerai_lab/core/x.py": ""})
    assert rule(tmp_path, "modules at the root").holds
    (tmp_path / "numerai_lab/i.py").touch()
    assert not rule(tmp_path, "modules at the root").holds


def test_eleven_layers_are_one_too_many(tmp_path: Path) -> None:
    assert rule(planted(tmp_path, {}, n_layers=10), "import layers").holds
    assert rule(planted(tmp_path, {}, n_layers=11), "import layers").now == 11
    assert not rule(tmp_path, "import layers").holds


def test_a_contract_without_layers_is_no_free_pass(tmp_path: Path) -> None:
    (planted(tmp_path, {}) / "pyproject.toml").write_text("")
    with pytest.raises(ValueError, match="no import contract with layers"):
        measured(tmp_path)


def test_a_file_of_301_lines_is_too_long(tmp_path: Path) -> None:
    planted(tmp_path, {"numerai_lab/core/a.py": "x = 1\n" * 300, "numerai_lab/core/b.py": "x = 1\n" * 301})
    found = rule(tmp_path, "file lines")
    assert (found.now, found.over) == (301, [(301, "numerai_lab/core/b.py")])


def test_lines_of_a_function_count_from_def_without_its_docstring(tmp_path: Path) -> None:
    long = 'class A:\n    @property\n    def f(self):\n        """One\n\n        two."""\n' + "        x = 1\n" * 40
    planted(tmp_path, {"numerai_lab/a.py": long})
    found = rule(tmp_path, "function lines")
    assert (found.now, found.over) == (41, [(41, "numerai_lab/a.py::A.f")])


@pytest.mark.parametrize(
    "signature",
    [
        "def f(a, b, c, d, e, f, g): ...",
        "def f(a, b, /, c, *args, d, e, **rest): ...",
        "async def f(a, b, c, d, e, f, *, g): ...",
    ],
)
def test_seven_parameters_are_one_too_many(tmp_path: Path, signature: str) -> None:
    assert rule(planted(tmp_path, {"numerai_lab/a.py": signature}), "parameters").over == [(7, "numerai_lab/a.py::f")]


def test_self_is_no_parameter_and_options_of_a_command_are_none(tmp_path: Path) -> None:
    option = "Annotated[int, typer.Option()]"
    command = f"def run({', '.join(f'{name}: {option}' for name in 'abcdefg')}): ..."
    planted(tmp_path, {"numerai_lab/a.py": f"class A:\n    def f(self, a, b, c, d, e, f): ...\n{command}"})
    assert rule(tmp_path, "parameters").now == 6


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: tuple[int, str]): ...",
        "def f(*, a: 'tuple[int, str] | None' = None): ...",
        "Key = tuple[str, int]\ndef f(a: Key): ...",
        "Key: TypeAlias = tuple[str, int]\ndef f(a: Key | None): ...",
        'def f(a):\n    """Says what."""\n    b, c = a\n    return b',
    ],
)
def test_a_tuple_does_not_dodge_the_bound_on_parameters(tmp_path: Path, source: str) -> None:
    found = rule(planted(tmp_path, {"numerai_lab/a.py": source}), "tuples for parameters")
    assert [place for _, place in found.over] == ["numerai_lab/a.py::f(a)"]


@pytest.mark.parametrize(
    "source",
    [
        "def f(a: tuple[int, int]): ...",
        "def f(a: tuple[int, ...]): ...",
        "def f(a):\n    b, c = a.shape",
        "def f(a) -> tuple[int, str]: ...",
    ],
)
def test_a_tuple_of_like_things_is_one_parameter(tmp_path: Path, source: str) -> None:
    assert rule(planted(tmp_path, {"numerai_lab/a.py": source}), "tuples for parameters").now == 0


def test_the_median_is_over_lines_of_all_docstrings(tmp_path: Path) -> None:
    long, short = f'"""{"x" * 98}\n\n{"x" * 101}\n"""\n', f'class A:\n    a = 1\n    """{"x" * 50}"""\n'
    planted(tmp_path, {"numerai_lab/a.py": long})
    found = rule(tmp_path, "median docstring line")
    assert (found.now, found.places) == (101, ((0, "numerai_lab/a.py has 2 longer lines"),))
    (tmp_path / "numerai_lab/b.py").write_text(short * 3)
    assert rule(tmp_path, "median docstring line").now == 60


@pytest.mark.parametrize(
    ("source", "unnamed"),
    [
        ("def f():\n    raise NlabError('no')", ["f"]),
        ("def f():\n    for i in (): raise errors.NlabFailure('no') from error", ["f"]),
        ('def f():\n    """Reads it."""\n    raise NlabError("no")', ["f"]),
        ("class A:\n    def f(self):\n        try: g()\n        except ValueError: raise NlabError('no')", ["A.f"]),
        ('class A:\n    """It."""\n    def __init__(self):\n        raise NlabError("no")', ["A.__init__"]),
        ('class A:\n    """Raises NlabError."""\n    def f(self):\n        raise NlabError("no")', ["A.f"]),
        ("class A:\n    class B:\n        def f(self): raise NlabError('no')", ["A.B.f"]),
    ],
)
def test_a_user_s_error_that_a_public_docstring_does_not_name_is_found(tmp_path: Path, source: str, unnamed: list[str]) -> None:
    found = rule(planted(tmp_path, {"numerai_lab/a.py": source}), "errors named")
    assert not found.holds
    assert [place for _, place in found.over] == [f"numerai_lab/a.py::{name}" for name in unnamed]


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """Reads it. Raises NlabError without it."""\n    raise NlabError("no")',
        'def f():\n    """Reads it; refuses an empty file."""\n    raise NlabError("no")',
        'class A:\n    """Refuses all."""\n    def __init__(self):\n        raise NlabError("no")',
        "def _f():\n    raise NlabError('no')",
        "class _A:\n    def f(self): raise NlabError('no')",
        "def f():\n    def g(): raise NlabError('no')\n    return g",
        "def f():\n    raise ValueError('no')",
        "def f():\n    return NlabError('no')",
    ],
)
def test_an_error_is_named_or_it_is_no_public_functions_own(tmp_path: Path, source: str) -> None:
    assert rule(planted(tmp_path, {"numerai_lab/a.py": source}), "errors named").now == 0


@pytest.mark.parametrize(
    "source",
    [
        "dear = 1",
        "class A:\n    dear: int = 1",
        "a.dear = 1",
        "def f(dear): ...",
        "def f():\n    for dear in (): ...",
        "import a as dear",
    ],
)
def test_a_retired_name_is_found_wherever_it_is_given(tmp_path: Path, source: str) -> None:
    planted(tmp_path, {"numerai_lab/a.py": source, "numerai_lab/b.py": "dearest = dear\nDear = my_dear = 'dear'"})
    assert words(tmp_path, "name dear → expensive") == [f"numerai_lab/a.py:{1 + source.count(chr(10))}"]


def test_modules_have_names_too(tmp_path: Path) -> None:
    planted(tmp_path, {"numerai_lab/dear.py": "", "numerai_lab/dear/b.py": ""})
    assert words(tmp_path, "name dear → expensive") == ["numerai_lab/dear.py:1", "numerai_lab/dear/b.py:1"]


@pytest.mark.parametrize(
    ("name", "found"), [("dear_rows", 1), ("DEAR", 1), ("IsDearHTML", 1), ("dearest", 0), ("test_dear_rows", 0)]
)
def test_a_part_is_found_however_it_is_spelt(tmp_path: Path, name: str, found: int) -> None:
    assert len(words(planted(tmp_path, {"numerai_lab/a.py": f"def {name}(): ..."}), "part dear → expensive")) == found


def test_a_word_is_found_in_texts_for_users_and_not_in_docstrings(tmp_path: Path) -> None:
    files = {
        "numerai_lab/a.py": '"""Dear."""\nx = Field(description="dear")\ny = f"{x} is dear"\nz = "dear_key"\n"""Dear."""\n',
        "numerai_lab/cli/run.py": 'def run():\n    """Print what is dear."""\n',
        "numerai_lab/report/page.html": "<p>\nDear</p>",
        "configs/a.yaml": "# dear\n",
    }
    expected = [
        "configs/a.yaml:1",
        "numerai_lab/a.py:2",
        "numerai_lab/a.py:3",
        "numerai_lab/cli/run.py:2",
        "numerai_lab/report/page.html:2",
    ]
    assert words(planted(tmp_path, files), "text dear → expensive") == expected


def test_a_name_that_may_stand_for_one_thing_is_defined_once(tmp_path: Path) -> None:
    planted(
        tmp_path, {"numerai_lab/a.py": "class Plan: ...", "numerai_lab/b.py": "from a import Plan\ndef f():\n    class Plan: ..."}
    )
    assert words(tmp_path, "once Plan → FitPlan") == []
    (tmp_path / "numerai_lab/c.py").write_text("x = 1\ndef Plan(): ...")
    assert words(tmp_path, "once Plan → FitPlan") == ["numerai_lab/a.py:1", "numerai_lab/c.py:2"]


def test_a_word_stays_where_the_list_allows_it(tmp_path: Path) -> None:
    planted(tmp_path, {"numerai_lab/a.py": "tick = 1", "numerai_lab/b.py": "tick = 1"})
    assert words(tmp_path, "part tick → progress\nallow tick numerai_lab/b.py because an axis has ticks") == [
        "numerai_lab/a.py:1"
    ]


@pytest.mark.parametrize(
    "line", ["part dear", "dear → expensive", "allow tick numerai_lab/b.py", "allow tick numerai_lab/b.py because "]
)
def test_a_line_that_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"retired_words.txt:2: neither"):
        read_list(f"# words\n{line}")


def test_places_that_the_list_allows_exist() -> None:
    assert [path for path, _ in read_list(LIST.read_text()).allowed if not (ROOT / path).exists()] == []


def test_the_table_shows_every_rule_with_bound_and_count(tmp_path: Path) -> None:
    shown = table(measured(planted(tmp_path, {"numerai_lab/a.py": "def f(a, b, c, d, e, f, g): ..."}, n_layers=12)))
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [each.name.split()[0] for each in measured(tmp_path)]
    assert re.search(r"^parameters +≤ 6 +7 \(1 over\) +numerai_lab/a.py::f 7$", shown, re.MULTILINE)
    assert re.search(r"^import layers +≤ 10 +12$", shown, re.MULTILINE)


def test_the_report_shows_every_place_beyond_a_bound_and_no_other(tmp_path: Path) -> None:
    planted(tmp_path, {"numerai_lab/a.py": "def f(a: tuple[int, str]): raise NlabError('no')\ndef g(a, b, c, d, e, f, g): ..."})
    shown = [line.split() for line in everything(measured(tmp_path)) if "numerai_lab" in line]
    assert shown == [["7", "numerai_lab/a.py::g"], ["numerai_lab/a.py::f(a)"], ["numerai_lab/a.py::f"]]
