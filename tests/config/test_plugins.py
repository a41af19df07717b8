"""Plug-ins: methods of a user's file are registered, and what is wrong with the file is one sentence with its line."""

import subprocess
import sys
from pathlib import Path

import pytest

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


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def loaded(path: Path) -> str:
    """What a fresh process says of the plug-in: its kinds, or the message of the error."""
    code = """
import sys
from pathlib import Path
from numerai_lab.config.plugins import load_plugin
from numerai_lab.core.errors import NlabError
try:
    print(load_plugin(Path(sys.argv[1])))
except NlabError as error:
    print(error)
"""
    done = python(code, str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_config_may_name_the_methods_of_a_plugin(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(WHOLE)
    code = """
import sys
from pathlib import Path
from numerai_lab.config.plugins import load_plugin
kinds = load_plugin(Path(sys.argv[1]))
from numerai_lab.config.loading import parse_config
from numerai_lab.storage.code_version import code_version
config = parse_config({"name": "x", "data": {"source": "synthetic"}, "model": {"kind": "ridge"},
    "generators": {"h": {"kind": "half"}}, "augmenters": {"a": {"kind": "again", "copies": 2}}}, "x")
again = type(config.augmenters["a"])
print(kinds, config.generators["h"].n_components, config.augmenters["a"].copies, again.control.world,
    code_version(again) == code_version(again))
"""
    done = python(code, str(path))
    assert done.stdout.strip() == "('half', 'again') 8 2 steady True", done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (1,\n", "mine.py, line 1: SyntaxError: '(' was never closed"),
        ("import numpy\n\nnumpy.nothing\n", "mine.py, line 3: AttributeError: module 'numpy' has no attribute 'nothing'"),
        ("x = 1\n", "mine.py: defines no subclass of Generator or Augmenter with a `kind`"),
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
    ],
)
def test_what_is_wrong_with_a_plugin_is_one_sentence_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    assert loaded(path) == f"{tmp_path}/{message}"


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    assert "no such file; a plug-in is a Python file with classes in it" in loaded(tmp_path / "mine.py")


def test_a_line_of_a_plugin_that_fails_in_a_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(WHOLE.replace("return block", "return block.nothing"))
    configs = tmp_path / "controls"
    configs.mkdir()
    (configs / "null.yaml").write_text(
        'name: n\ndata: {source: synthetic, world: "null", size: tiny}\nmodel: {kind: ridge}\nvariants: {baseline: {}}\n'
    )
    command = [sys.executable, "-m", "numerai_lab", "controls", "--plugin", str(path), "--only", "again", "--seed", "11"]
    where = ["--configs", str(configs), "--runs-dir", str(tmp_path / "runs")]
    done = subprocess.run([*command, *where], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    line = path.read_text().splitlines().index("        return block.nothing") + 1
    assert done.stderr.splitlines()[-1] == f"nlab: {path}, line {line}: AttributeError: 'Block' object has no attribute 'nothing'"
