"""Plug-ins: methods of a user's file are registered, and what is wrong with the file is one sentence with its line."""

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

import numerai_lab
from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.config import plugins
from numerai_lab.config.loading import load_config, load_recorded, load_resumed, parse_config
from numerai_lab.config.plugins import load_plugins, plugins_in
from numerai_lab.config.stand_ins import RECORD
from numerai_lab.core.errors import NlabError
from numerai_lab.generators import GENERATORS
from numerai_lab.models import MODELS
from numerai_lab.storage.code_version import code_version
from tests.conftest import make_panel
from tests.own_methods import MINE, SMALL_CONTROL, registries_restored

HEAD = """from typing import ClassVar, Literal

import numpy as np

from numerai_lab.augmenters.base import Augmenter
from numerai_lab.core.control import Control
from numerai_lab.generators.base import Generator
from numerai_lab.generators.linear import PCA


"""
WHOLE = (
    HEAD
    + """class Half(PCA):
    '''Half as many components.'''

    kind: Literal["half"] = "half"
    n_components: int = 8


class Again(Augmenter):
    '''The same rows.'''

    control: ClassVar[Control] = Control("steady", "it need not", "nobody")
    kind: Literal["again"] = "again"

    def augment(self, block, rng):
        return block
"""
)
CONFIG = {"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"}}


def constructor(parameter: str) -> str:
    """A plain class with one parameter."""
    methods = "    def augment(self, X, y, rng):\n        return X, y\n"
    return f"class A:\n    kind = 'a'\n\n    def __init__(self, {parameter}): ...\n\n{methods}"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with registries_restored():
        yield


def written(folder: Path, text: str = MINE, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_config_may_name_the_methods_of_a_plugin(tmp_path: Path) -> None:
    (loaded,) = load_plugins([written(tmp_path, WHOLE)])
    methods = {"generators": {"h": {"kind": "half"}}, "augmenters": {"a": {"kind": "again", "copies": 2}}}
    config = parse_config({**CONFIG, **methods}, "x")
    again = type(config.augmenters["a"])
    assert loaded.kinds_of("generators", "augmenters") == ["half", "again"]
    assert (config.generators["h"].n_components, config.augmenters["a"].copies, again.control.world) == (8, 2, "steady")  # type: ignore[attr-defined]
    assert code_version(again) == code_version(again)


def test_plain_classes_become_methods_with_the_parameters_of_their_constructors(tmp_path: Path) -> None:
    load_plugins([written(tmp_path)])
    raw = {
        "generators": {"m": {"kind": "row_moments", "power": 2}},
        "augmenters": {"s": {"kind": "half_swap"}},
        "model": {"kind": "least_squares"},
    }
    config = parse_config({**CONFIG, **raw}, "x")
    assert config.generators["m"].power == 2.0  # type: ignore[attr-defined]
    assert list(config.variants) == ["baseline", "m_only", "raw+m", "raw+placebo", "s", "duplicate"]
    assert config.generators["placebo"].like == "m"  # type: ignore[attr-defined]
    assert parse_config(config.resolved(), "again").to_yaml() == config.to_yaml()


def test_from_python_a_config_is_loaded_with_plugins_at_any_time(tmp_path: Path) -> None:
    config = numerai_lab.load_config({**CONFIG, "model": {"kind": "least_squares"}}, plugins=[written(tmp_path)])
    assert config.model.kind == "least_squares"


def test_a_config_with_methods_of_a_plugin_goes_to_other_processes(tmp_path: Path) -> None:
    load_plugins([written(tmp_path)])
    config = parse_config({**CONFIG, "generators": {"m": {"kind": "row_moments", "power": 2}}}, "x")
    fitted = config.generators["m"].fresh().fit(make_panel().without_target(), np.random.default_rng(0))
    again, sent = pickle.loads(pickle.dumps((config, fitted)))
    assert again.to_yaml() == config.to_yaml()
    np.testing.assert_array_equal(sent.transform(make_panel().block(3)), fitted.transform(make_panel().block(3)))


def test_a_wrong_parameter_of_a_plugin_is_a_problem_of_the_config(tmp_path: Path) -> None:
    load_plugins([written(tmp_path)])
    with pytest.raises(NlabError, match=r"generators.m.powers: unknown key, did you mean 'power'\?"):
        parse_config({**CONFIG, "generators": {"m": {"kind": "row_moments", "powers": 2}}}, "x")


def test_another_text_of_the_file_is_another_version_of_the_code(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    load_plugins([written(first)])
    one = code_version(GENERATORS["row_moments"])
    assert one == code_version(GENERATORS["row_moments"])
    with registries_restored():
        for registry, kind in ((GENERATORS, "row_moments"), (AUGMENTERS, "half_swap"), (MODELS, "least_squares")):
            del registry[kind]  # type: ignore[attr-defined]
        load_plugins([written(second, MINE.replace("deviation.mean(1)", "deviation.sum(1)"), "other.py")])
        assert code_version(GENERATORS["row_moments"]) != one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (1,\n", "mine.py, line 1: SyntaxError: '(' was never closed"),
        ("import numpy\n\nnumpy.nothing\n", "mine.py, line 3: AttributeError: module 'numpy' has no attribute 'nothing'"),
        ("import sys\n\nsys.exit()\n", "mine.py, line 3: SystemExit: no message"),
        ("x = 1\n", "mine.py: defines no method; wanted a class with `kind` and fit and transform, augment, or fit and predict"),
        (HEAD + "class A(PCA):\n    pass\n", "mine.py, line 11: A: the kind 'pca' is taken; choose another name"),
        (HEAD + "class A(Generator):\n    kind: Literal['a'] = 'a'\n", "mine.py, line 11: A lacks fit, names_out, transform"),
        (
            HEAD + "class A(PCA):\n    kind: Literal['a b'] = 'a b'\n",
            """mine.py, line 11: A: wanted kind: Literal["name"] = "name" with letters, digits and _""",
        ),
        (
            HEAD + "class A(PCA):\n    kind: Literal['a'] = 'a'\n    share: float\n",
            "mine.py, line 11: A can't be made with its defaults: share: Field required",
        ),
        (
            "class A:\n    kind = 'a'\n\n    def fit(self, X, eras, rng): ...\n",
            "mine.py, line 1: A has the methods of 0 families",
        ),
        (
            "class A:\n    kind = 'a'\n\n    def fit(self, X): ...\n\n    def transform(self, X): ...\n",
            "mine.py, line 1: A fit of a generator is called as fit(self, X, eras, rng): too many positional arguments",
        ),
        (
            "class A:\n    kind = 'a'\n\n    def __init__(self, copies=1): ...\n\n    def augment(self, X, y, rng): ...\n",
            "mine.py, line 1: A the parameter 'copies' is one of every augmenter's; choose another name",
        ),
        (constructor("n=len"), "mine.py, line 1: A has a parameter that no config can hold: "),
        (constructor("n: 'Absent' = 1"), "mine.py, line 1: A has a parameter that no config can hold: name 'Absent' is not"),
        (constructor("n=object()"), "mine.py, line 1: A can't be made with its defaults: Unable to serialize"),
        (constructor("kind='x'"), "mine.py, line 1: A the parameter 'kind' is one of every augmenter's; choose another name"),
        (constructor("copy=True"), "mine.py, line 1: A the parameter 'copy' is one of every augmenter's; choose another name"),
        (constructor("n_=1"), "mine.py, line 1: A the parameter 'n_' begins or ends with _; choose another name"),
        ("A = type('A', (), {'kind': 'a'})\n", "mine.py: A has the methods of 0 families"),
        (
            "class A:\n    kind = 'a'\n\n    def __init__(self, n): ...\n\n    def augment(self, X, y, rng): ...\n",
            "mine.py, line 1: A the parameter 'n' has no default; give it one that somebody would use",
        ),
        (
            "class A:\n    kind = 'a'\n    control = 'cluster'\n\n    def augment(self, X, y, rng): ...\n",
            "mine.py, line 1: A states the control 'cluster', wanted the name of a synthetic world: did you mean 'clusters'?",
        ),
        (
            HEAD + "class A(PCA):\n    kind: Literal['a'] = 'a'\n    control: ClassVar[str] = 'steady'\n",
            """mine.py, line 11: A: wanted control: ClassVar[Control] = Control("world", "why", "source")""",
        ),
        (
            "class A:\n    kind = 'pca'\n\n    def augment(self, X, y, rng): ...\n",
            "mine.py, line 1: A: the kind 'pca' is taken; choose another name",
        ),
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_sentence_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(NlabError) as error:
        load_plugins([written(tmp_path, text)])
    assert str(error.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(error.value)


def test_a_plain_class_names_the_world_in_which_it_must_help(tmp_path: Path) -> None:
    load_plugins([written(tmp_path, MINE.replace('"row_moments"', '"row_moments"\n    control = "clusters"'))])
    assert GENERATORS["row_moments"].control.world == "clusters"


def test_a_broken_file_registers_none_of_its_methods(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="is taken"):
        load_plugins([written(tmp_path, MINE + "\n\nclass A:\n    kind = 'pca'\n\n    def augment(self, X, y, rng): ...\n")])
    assert "row_moments" not in GENERATORS


@pytest.mark.parametrize("broken", ["x = 1\n", "raise SystemExit(3)\n", MINE.replace("row_moments", "pca")])
def test_a_mended_file_is_loaded_by_the_same_process(tmp_path: Path, broken: str) -> None:
    with pytest.raises(NlabError):
        load_plugins([written(tmp_path, broken)])
    load_plugins([written(tmp_path)])
    assert "row_moments" in GENERATORS


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NlabError, match="no such file; a plug-in is a Python file with classes in it"):
        load_plugins([str(tmp_path / "mine.py")])
    with pytest.raises(NlabError, match="--plugin no_such_module_here: no such file, and no installed module of this name"):
        load_plugins(["no_such_module_here"])


SOURCE = """from typing import Literal

from numerai_lab.data.synthetic import Synthetic


class Mine(Synthetic):
    '''A synthetic tournament of my own.'''

    source: Literal["my_data"] = "my_data"
"""


def test_a_source_of_a_plugin_is_named_in_data(tmp_path: Path) -> None:
    path = written(tmp_path, SOURCE)
    with registries_restored():
        load_plugins([path])
        config = parse_config({**CONFIG, "data": {"source": "my_data", "size": "tiny"}}, "x")
        text = config.to_yaml()
        (tmp_path / "config.yaml").write_text(text)
        (tmp_path / RECORD).write_text(json.dumps(plugins_in(config)))
    assert config.data.size == "tiny"  # type: ignore[attr-defined]
    recorded = load_recorded(tmp_path / "config.yaml")
    with pytest.raises(NlabError, match=r"my_data: this run has it from the plug-in mine\.py"):
        recorded.data.files()


def test_a_file_that_changed_while_it_was_loaded_asks_for_a_new_process(tmp_path: Path) -> None:
    path = written(tmp_path)
    load_plugins([path])
    load_plugins([path])
    written(tmp_path, MINE.replace("half_swap", "whole_swap"))
    with pytest.raises(NlabError, match="changed since this process loaded it"):
        load_plugins([path])


def test_a_module_may_be_named_instead_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    written(tmp_path, name="nlab_plugin_module.py")
    load_plugins(["nlab_plugin_module"])
    assert "row_moments" in GENERATORS


def test_the_environment_names_further_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLAB_PLUGINS", written(tmp_path))
    load_plugins()
    assert "least_squares" in MODELS


def test_entry_points_of_installed_packages_are_methods_and_one_that_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    written(tmp_path, name="nlab_plugin_package.py")
    points = [
        EntryPoint("row_moments", "nlab_plugin_package:RowMoments", "numerai_lab.generators"),
        EntryPoint("least_squares", "nlab_plugin_package:LeastSquares", "numerai_lab.models"),
        EntryPoint("half_swap", "nlab_plugin_package:HalfSwap", "numerai_lab.augmenters"),
        EntryPoint("broken", "nlab_plugin_absent:Broken", "numerai_lab.generators"),
        EntryPoint("leaving", "nlab_plugin_leaving:Leaving", "numerai_lab.generators"),
    ]
    written(tmp_path, "raise SystemExit(0)\n", "nlab_plugin_leaving.py")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])
    with caplog.at_level("WARNING", "nlab"):
        plugins.log.propagate = True
        load_plugins()
    assert "row_moments" in GENERATORS
    methods = {"generators": {"m": {"kind": "row_moments"}}, "augmenters": {"a": {"kind": "half_swap"}}}
    (package,) = plugins_in(parse_config({**CONFIG, **methods, "model": {"kind": "least_squares"}}, "x"))
    assert package["kinds"] == {"generators": ["row_moments"], "augmenters": ["half_swap"], "models": ["least_squares"]}
    assert package["give"] == "pip install nlab_plugin_package"
    assert package["sha256"] == hashlib.sha256(MINE.encode()).hexdigest()
    (checked,) = load_plugins(["nlab_plugin_package"])
    assert checked.kinds_of("models") == ["least_squares"]
    assert checked.methods["row_moments"][1] is GENERATORS["row_moments"]
    assert "plug-in broken of the package nlab_plugin_absent is left out: No module named 'nlab_plugin_absent'" in caplog.text


NAMES = ("os.system", "mine.RowMoments", "mine", "./mine.py", "mine:RowMoments", "numerai_lab.plugins.mine")


def test_a_config_imports_nothing_whatever_its_fields_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')\n")
    whole = parse_config(
        {**CONFIG, "generators": {"p": {"kind": "pca"}}, "augmenters": {"c": {"kind": "cutout"}}}, "x"
    ).resolved()
    before = set(sys.modules)
    for path in paths_in(whole):
        for name in NAMES:
            raw = json.loads(json.dumps(whole))
            at = raw
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = name
            try:
                parse_config(raw, "stranger.yaml")
            except NlabError:
                continue
    assert {name for name in set(sys.modules) - before if not name.startswith("numerai_lab")} == set()


def paths_in(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """The path to every value of nested mappings and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, value in items for found in ((*path, key), *paths_in(value, (*path, key)))]


def test_without_its_plugin_a_recorded_config_opens_and_says_what_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path)
    raw = {"generators": {"m": {"kind": "row_moments"}, "p": {"kind": "pca"}}, "model": {"kind": "least_squares"}}
    with registries_restored():
        load_plugins([path])
        config = parse_config({**CONFIG, **raw}, "x")
        text = config.to_yaml()
        (tmp_path / "config.yaml").write_text(text)
        (tmp_path / RECORD).write_text(json.dumps(plugins_in(config)))
    with pytest.raises(NlabError, match="generators.m.kind: unknown 'row_moments'"):
        load_config(tmp_path / "config.yaml")
    recorded = load_recorded(tmp_path / "config.yaml")
    assert recorded.to_yaml() == text
    message = rf"row_moments: this run has it from the plug-in mine.py, which is not loaded; give it with `--plugin {path}`"
    with pytest.raises(NlabError, match=message):
        recorded.generators["m"].names_out()
    with pytest.raises(NlabError, match="from the plug-in mine.py, which is not loaded"):
        load_resumed(tmp_path / "config.yaml")


def test_a_line_of_a_plugin_that_fails_in_a_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(WHOLE.replace("return block", "return block.nothing"))
    configs = tmp_path / "controls"
    configs.mkdir()
    (configs / "null.yaml").write_text(SMALL_CONTROL)
    command = [sys.executable, "-m", "numerai_lab", "controls", "--plugin", str(path), "--only", "again", "--seed", "11"]
    where = ["--configs", str(configs), "--runs-dir", str(tmp_path / "runs")]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    line = path.read_text().splitlines().index("        return block.nothing") + 1
    assert f"{path}, line {line}: AttributeError: 'Block' object has no attribute 'nothing'" in done.stdout + done.stderr
    assert done.returncode in (1, 2), done.stderr
